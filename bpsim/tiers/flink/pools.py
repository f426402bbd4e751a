"""Who gets how many network buffers: the demands of gates and partitions, and the TaskManager's pool that meets them or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.values import FlinkError


@dataclass(frozen=True)
class GateBuffers:
    """Buffers before one input gate: `exclusive` for each remote channel, and a floating pool between two bounds."""

    exclusive: int
    floating_required: int
    floating_most: int


def input_gate(conf: FlinkConf, channels: int) -> GateBuffers:
    """What a gate of so many channels asks for (`InputGateSpecUtils`, 1.17 on; before, the plain options)."""
    per_channel, floating = conf.buffers_per_channel, conf.floating_buffers_per_gate
    if conf.version < (1, 17):
        return GateBuffers(per_channel, 1, floating)
    required = min(conf.required_buffers_per_gate, channels * per_channel + 1)
    exclusive = min(per_channel, (required - 1) // channels)
    most = channels * per_channel + floating - exclusive * channels
    return GateBuffers(exclusive, required - exclusive * channels, most)


def result_partition(conf: FlinkConf, subpartitions: int) -> tuple[int, int]:
    """(required, most) buffers of an output pool; overdraft comes on top."""
    return subpartitions + 1, subpartitions * conf.buffers_per_channel + conf.floating_buffers_per_gate


class Pool:
    """A share of the buffers of a TaskManager, between two bounds."""

    def __init__(self, whole: NetworkBufferPool, required: int, most: int) -> None:
        self.required = required
        self.most = most
        self._whole = whole

    @property
    def size(self) -> int:
        """Buffers it has; they change whenever others come and go."""
        return self._whole.sizes()[self]


class NetworkBufferPool:
    """All network buffers of a TaskManager. What is required is reserved; the rest is divided among the pools."""

    def __init__(self, total: int, segment_size: int) -> None:
        self.total = total
        self.segment_size = segment_size
        self.pools: list[Pool] = []
        self._reserved = 0
        self._sizes: dict[Pool, int] | None = None

    def reserve(self, count: int, times: int = 1) -> None:
        """Take exclusive buffers, so many at a time. Raises `FlinkError` when there are not so many left."""
        left = self.total - self._reserved
        if count * times > left:
            raise FlinkError(
                f"Insufficient number of network buffers: required {count}, but only {left % count if times > 1 else left} "
                f"available. The total number of network buffers is currently set to {self.total} of {self.segment_size} bytes "
                "each. You can increase this number by setting the configuration keys 'taskmanager.memory.network.fraction', "
                "'taskmanager.memory.network.min', and 'taskmanager.memory.network.max'.",
                "IOException",
            )
        self._reserved += count * times
        self._sizes = None

    def add(self, required: int, most: int) -> Pool:
        """A new pool. Raises `FlinkError` when what it requires is not there."""
        self.reserve(required)
        self.pools.append(Pool(self, required, most))
        return self.pools[-1]

    def sizes(self) -> dict[Pool, int]:
        """What every pool requires, and of the rest in proportion to what it could still use (cut off along the running sum, so
        that nothing remains; Flink goes through its pools by hash, so one buffer may lie elsewhere there)."""
        if self._sizes is None:
            rest = self.total - self._reserved
            room = [min(rest, pool.most - pool.required) for pool in self.pools]
            upto = list(accumulate(room, initial=0))
            given = [min(rest, upto[-1]) * part // upto[-1] if part else 0 for part in upto]
            shares = (after - before for before, after in pairwise(given))
            self._sizes = {pool: pool.required + share for pool, share in zip(self.pools, shares, strict=True)}
        return self._sizes

    @property
    def usage(self) -> float:
        """RequestedMemoryUsage: what the pools would use at most, over what there is."""
        return sum(pool.most for pool in self.pools) / self.total if self.total else 0.0

    @property
    def warning(self) -> str:
        """What Flink logs from 100 % on, or nothing."""
        if self.usage < 1:
            return ""
        share = int(100 * self.usage)
        return (
            f"Memory usage [{share}%] is too high to satisfy all of the requests. This can severely impact network throughput."
        )


@dataclass(frozen=True)
class TaskBuffers:
    """One subtask: its input gates as (channels, of which remote), its partitions as numbers of subpartitions."""

    gates: tuple[tuple[int, int], ...] = ()
    partitions: tuple[int, ...] = ()


@dataclass(frozen=True)
class Deployed:
    """The pools of one subtask."""

    floating: tuple[Pool, ...]
    outputs: tuple[Pool, ...]


def deploy(conf: FlinkConf, tasks: Iterable[TaskBuffers]) -> tuple[NetworkBufferPool, list[Deployed]]:
    """Set up the subtasks of one TaskManager in order: partitions, then gates. Raises `FlinkError`, "Insufficient number of
    network buffers", when what they require is more than there is."""
    pool = NetworkBufferPool(conf.buffers, conf.segment_size)
    return pool, [_set_up(conf, pool, task) for task in tasks]


def _set_up(conf: FlinkConf, pool: NetworkBufferPool, task: TaskBuffers) -> Deployed:
    outputs = tuple(pool.add(*result_partition(conf, count)) for count in task.partitions)
    floating = []
    for channels, remote in task.gates:
        wanted = input_gate(conf, channels)
        floating.append(pool.add(wanted.floating_required, wanted.floating_most))
        pool.reserve(wanted.exclusive, remote)
    return Deployed(tuple(floating), outputs)
