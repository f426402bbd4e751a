"""The HTTP API: a door, a queue, workers, and one process whose memory ends somewhere."""

from bpsim.tiers.api.api import Api
from bpsim.tiers.api.contents import inside, outside
from bpsim.tiers.api.spec import ApiSpec

__all__ = ["Api", "ApiSpec", "inside", "outside"]
