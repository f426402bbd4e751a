"""The producer: what an API process keeps until the broker has it."""

from bpsim.tiers.producer.ends import Ends
from bpsim.tiers.producer.producer import Producer
from bpsim.tiers.producer.spec import ProducerSpec

__all__ = ["Ends", "Producer", "ProducerSpec"]
