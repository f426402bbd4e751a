"""Apache Flink: subtasks behind network buffers, and the policies of its versions."""

from bpsim.tiers.flink.flink import Flink, FlinkSpec

__all__ = ["Flink", "FlinkSpec"]
