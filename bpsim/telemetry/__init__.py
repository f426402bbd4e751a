"""A result as the metrics that the real systems would have shown, under their own names."""

from bpsim.telemetry.exposition import Exposition
from bpsim.telemetry.flink import add_flink
from bpsim.telemetry.kafka import add_kafka
from bpsim.telemetry.tiers import add_tiers

__all__ = ["Exposition", "add_flink", "add_kafka", "add_tiers"]
