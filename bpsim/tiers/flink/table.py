"""A job's metrics under Flink's own names, one row a subtask and second."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from math import nan

import numpy as np

from bpsim.kernel.clock import Clock
from bpsim.result import Table
from bpsim.tiers.flink.channels import RemoteInputChannel
from bpsim.tiers.flink.checkpoints import Checkpoint
from bpsim.tiers.flink.debloat import BufferDebloater
from bpsim.tiers.flink.jobgraph import JobGraph
from bpsim.tiers.flink.operator import OperatorSubtask
from bpsim.tiers.flink.partition import ResultPartition
from bpsim.tiers.flink.subtask import Subtask

EVERY = 1.0
"""Seconds from one row to the next."""
TIMES = ("idleTimeMsPerSecond", "busyTimeMsPerSecond", "softBackPressuredTimeMsPerSecond", "hardBackPressuredTimeMsPerSecond")
COUNTS = ("numRecordsIn", "numRecordsOut", "numBytesIn", "numBytesOut", "numBuffersOut")
INPUT = (
    "inPoolUsage", "inputExclusiveBuffersUsage", "inputFloatingBuffersUsage", "inputQueueLength", "inputQueueSize",
    "debloatedBufferSize", "estimatedTimeToConsumeBuffersMs",
)  # fmt: skip
OUTPUT = ("outPoolUsage", "outputQueueLength", "outputQueueSize", "isBackPressured")
COLUMNS = ("time_s", "vertex", "subtask", *TIMES, *COUNTS, *INPUT, *OUTPUT)


class Gauges:
    """Looks at every subtask once a second. A gauge of what a subtask does not have is NaN."""

    def __init__(self, clock: Clock, graph: Callable[[], JobGraph]) -> None:
        self._clock = clock
        self._graph = graph
        self._flat = array("d")
        self._before: dict[Subtask, list[float]] = {}
        further = max(len(inputs) for inputs in graph().topology.inputs) - 1
        self._columns = (*COLUMNS, *(f"debloatedBufferSize.{gate}" for gate in range(1, further + 1)))
        """With the sizes of the gates behind the first, when a task has several."""
        clock.call_small(clock._now + EVERY, self._look, None)

    def _look(self, _: object) -> None:
        graph, now = self._graph(), self._clock._now
        graph.settle()
        for number, vertex in enumerate(graph.vertices):
            for index, subtask in enumerate(vertex.subtasks):
                self._flat.extend((now, number, index, *self._times(subtask, now), *_counts(subtask)))
                self._flat.extend(_input(subtask) if subtask.gates else [nan] * len(INPUT))
                self._flat.extend(_output(subtask.partitions) if subtask.partitions else [nan] * len(OUTPUT))
                self._flat.extend(self._further_sizes(subtask))
        self._before = {subtask: self._before[subtask] for subtask in graph.subtasks}
        self._clock.call_small(now + EVERY, self._look, None)

    def _times(self, subtask: Subtask, now: float) -> list[float]:
        """Of one that is new, the time before it was there counts as idle."""
        spent = subtask.spent(now)
        before, self._before[subtask] = self._before.get(subtask, [sum(spent) - EVERY, 0.0, 0.0, 0.0]), spent
        return [1000 * (after - earlier) / EVERY for after, earlier in zip(spent, before, strict=True)]

    def _further_sizes(self, subtask: Subtask) -> list[float]:
        sizes: list[float] = [debloater.announced for debloater in _debloaters(subtask)[1:]]
        return [*sizes, *[nan] * (len(self._columns) - len(COLUMNS) - len(sizes))]

    def table(self) -> Table:
        """The table `flink`."""
        rows = np.array(self._flat).reshape(-1, len(self._columns))
        table: Table = {name: rows[:, index] for index, name in enumerate(self._columns)}
        names = np.array([vertex.name for vertex in self._graph().vertices], dtype=object)
        table["vertex"] = names[table["vertex"].astype(np.int64)]
        table["subtask"] = table["subtask"].astype(np.int32)
        return table


def _counts(subtask: Subtask) -> tuple[float, ...]:
    bytes_in = subtask.bytes_in if isinstance(subtask, OperatorSubtask) else 0
    outputs = subtask.partitions
    records_out = subtask.output.records_out
    return subtask.records_in, records_out, bytes_in, sum(o.bytes_out for o in outputs), sum(o.buffers_out for o in outputs)


def _input(subtask: Subtask) -> list[float]:
    """Over all its gates."""
    gates = subtask.gates
    remote = [channel for channel in subtask.channels if isinstance(channel, RemoteInputChannel)]
    exclusive = sum(channel.initial for channel in remote)
    taken = exclusive - sum(channel.exclusive for channel in remote)
    total, free = sum(gate.floating_total for gate in gates), sum(gate.floating for gate in gates)
    floating = max(0, total - free - sum(channel.floating for channel in remote))
    received = [part for gate in gates for part in gate.received]
    debloaters = _debloaters(subtask)
    return [
        (taken + floating) / max(1, exclusive + total),
        taken / max(1, exclusive),
        floating / max(1, total),
        len(received),
        sum(part.size for part in received),
        debloaters[0].announced if debloaters else nan,
        max((debloater.estimated_ms for debloater in debloaters), default=nan),
    ]


def _debloaters(subtask: Subtask) -> list[BufferDebloater]:
    """By gate."""
    each = subtask.debloaters if isinstance(subtask, OperatorSubtask) else []
    return [debloater for debloater, gates in each for _ in gates]


def _output(partitions: Sequence[ResultPartition]) -> list[float]:
    """Over all its outputs."""
    length = sum(len(subpartition.queue) for partition in partitions for subpartition in partition.subpartitions)
    used, size = sum(partition.pool.requested for partition in partitions), sum(partition.pool.size for partition in partitions)
    blocked = float(not all(partition.available for partition in partitions))
    return [used / size, length, sum(partition.size for partition in partitions), blocked]


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
