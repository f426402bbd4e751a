"""A job's metrics under Flink's own names, one row a subtask and second."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import nan

import numpy as np

from bpsim.kernel.clock import Clock
from bpsim.result import Table
from bpsim.tiers.flink.checkpoints import Checkpoint
from bpsim.tiers.flink.gate import InputGate, RemoteInputChannel
from bpsim.tiers.flink.jobgraph import JobGraph
from bpsim.tiers.flink.operator import OperatorSubtask
from bpsim.tiers.flink.partition import ResultPartition
from bpsim.tiers.flink.subtask import Subtask

EVERY = 1.0
"""Seconds from one row to the next."""
TIMES = ("idleTimeMsPerSecond", "busyTimeMsPerSecond", "softBackPressuredTimeMsPerSecond", "hardBackPressuredTimeMsPerSecond")
COUNTS = ("numRecordsIn", "numRecordsOut", "numBytesIn", "numBytesOut", "numBuffersOut")
GATE = (
    "inPoolUsage", "inputExclusiveBuffersUsage", "inputFloatingBuffersUsage", "inputQueueLength", "inputQueueSize",
    "debloatedBufferSize", "estimatedTimeToConsumeBuffersMs",
)  # fmt: skip
PARTITION = ("outPoolUsage", "outputQueueLength", "outputQueueSize", "isBackPressured")
COLUMNS = ("time_s", "vertex", "subtask", *TIMES, *COUNTS, *GATE, *PARTITION)


class Gauges:
    """Looks at every subtask once a second. A gauge of what a subtask does not have is NaN."""

    def __init__(self, clock: Clock, graph: Callable[[], JobGraph]) -> None:
        self._clock = clock
        self._graph = graph
        self._flat = array("d")
        self._before: dict[Subtask, list[float]] = {}
        clock.call_small(clock._now + EVERY, self._look, None)

    def _look(self, _: object) -> None:
        graph, now = self._graph(), self._clock._now
        graph.settle()
        for number, vertex in enumerate(graph.vertices):
            for index, subtask in enumerate(vertex.subtasks):
                self._flat.extend((now, number, index, *self._times(subtask, now), *_counts(subtask)))
                self._flat.extend(_gate(subtask, vertex.gates[index]) if vertex.gates else [nan] * len(GATE))
                self._flat.extend(_partition(vertex.partitions[index]) if vertex.partitions else [nan] * len(PARTITION))
        self._before = {subtask: self._before[subtask] for subtask in graph.subtasks}
        self._clock.call_small(now + EVERY, self._look, None)

    def _times(self, subtask: Subtask, now: float) -> list[float]:
        """Of one that is new, the time before it was there counts as idle."""
        spent = subtask.spent(now)
        before, self._before[subtask] = self._before.get(subtask, [sum(spent) - EVERY, 0.0, 0.0, 0.0]), spent
        return [1000 * (after - earlier) / EVERY for after, earlier in zip(spent, before, strict=True)]

    def table(self) -> Table:
        """The table `flink`."""
        rows = np.array(self._flat).reshape(-1, len(COLUMNS))
        table: Table = {name: rows[:, index] for index, name in enumerate(COLUMNS)}
        names = np.array([vertex.name for vertex in self._graph().vertices], dtype=object)
        table["vertex"] = names[table["vertex"].astype(np.int64)]
        table["subtask"] = table["subtask"].astype(np.int32)
        return table


def _counts(subtask: Subtask) -> tuple[float, ...]:
    bytes_in = subtask.bytes_in if isinstance(subtask, OperatorSubtask) else 0
    outputs = subtask.partitions
    records_out = subtask.output.records_out
    return subtask.records_in, records_out, bytes_in, sum(o.bytes_out for o in outputs), sum(o.buffers_out for o in outputs)


def _gate(subtask: Subtask, gate: InputGate) -> list[float]:
    remote = [channel for channel in gate.channels if isinstance(channel, RemoteInputChannel)]
    exclusive = sum(channel.initial for channel in remote)
    taken = exclusive - sum(channel.exclusive for channel in remote)
    floating = max(0, gate.floating_total - gate.floating - sum(channel.floating for channel in remote))
    received = gate.received
    debloater = subtask.debloater if isinstance(subtask, OperatorSubtask) else None
    return [
        (taken + floating) / max(1, exclusive + gate.floating_total),
        taken / max(1, exclusive),
        floating / max(1, gate.floating_total),
        len(received),
        sum(part.size for part in received),
        nan if debloater is None else debloater.announced,
        nan if debloater is None else debloater.estimated_ms,
    ]


def _partition(partition: ResultPartition) -> list[float]:
    length = sum(len(subpartition.queue) for subpartition in partition.subpartitions)
    return [partition.pool.requested / partition.pool.size, length, partition.size, float(not partition.available)]


def checkpoint_table(checkpoints: list[Checkpoint]) -> Table:
    """The table `checkpoints`."""
    return {
        "number": np.array([one.number for one in checkpoints], dtype=np.int32),
        "triggered_s": np.array([one.triggered for one in checkpoints], dtype=np.float64),
        "ended_s": np.array([one.ended for one in checkpoints], dtype=np.float64),
        "ended": np.array([one.how for one in checkpoints], dtype=np.uint8),
        "start_delay_s": np.array([one.start_delay for one in checkpoints], dtype=np.float64),
        "alignment_s": np.array([one.alignment for one in checkpoints], dtype=np.float64),
        "state_bytes": np.array([one.state_bytes for one in checkpoints], dtype=np.int64),
        "persisted_bytes": np.array([one.persisted_bytes for one in checkpoints], dtype=np.int64),
    }
