"""The broker: logs of partitions, and the rules by which they take, keep and give away records."""

from bpsim.tiers.broker.broker import Broker
from bpsim.tiers.broker.spec import BrokerSpec

__all__ = ["Broker", "BrokerSpec"]
