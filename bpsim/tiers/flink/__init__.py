"""Apache Flink: one stage of subtasks, or a whole job with Flink's network stack, and the policies of its versions."""

from bpsim.tiers.flink.flink import Flink, FlinkSpec
from bpsim.tiers.flink.job import FlinkJob

__all__ = ["Flink", "FlinkJob", "FlinkSpec"]
