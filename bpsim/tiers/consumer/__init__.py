"""The consumer: a group that reads the broker's partitions and hands records on."""

from bpsim.tiers.consumer.consumer import Consumer
from bpsim.tiers.consumer.spec import ConsumerSpec

__all__ = ["Consumer", "ConsumerSpec"]
