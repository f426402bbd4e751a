"""How much fits between two operators, and how long it takes to work it off."""

from __future__ import annotations

from dataclasses import dataclass

from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.pools import TaskBuffers, input_gate, result_partition


@dataclass(frozen=True)
class InFlight:
    """The buffers before one subtask of an all-to-all exchange between operators of one parallelism, and what they hold.

    Local channels have none of their own: the subtask reads the sender's queue. The share of the senders' output pools
    that belongs to one receiver is counted with it (FLIP-183)."""

    exclusive: int
    floating: int
    output: int
    segment_size: int
    smallest: int
    """Bytes below which debloating does not shrink a buffer."""

    @property
    def buffers(self) -> int:
        """All of them."""
        return self.exclusive + self.floating + self.output

    @property
    def bytes(self) -> int:
        """What they hold when all are full: the most that can be in flight before the subtask."""
        return self.buffers * self.segment_size

    def latency(self, bytes_per_second: float) -> float:
        """Seconds from the sender to the subtask, when all are full and it works off so much."""
        return self.bytes / bytes_per_second

    def debloated_size(self, bytes_per_second: float, target: float) -> int:
        """Bytes of a buffer at which all of them hold `target` seconds of work, as far as sizes go."""
        return int(min(self.segment_size, max(self.smallest, bytes_per_second * target / self.buffers)))


def in_flight(conf: FlinkConf, parallelism: int, remote: int | None = None) -> InFlight:
    """Before one subtask with so many remote channels (those of shared slots), when pools have what they may have at most."""
    gate = input_gate(conf, parallelism)
    remote = remote_channels(conf, parallelism) if remote is None else remote
    output = result_partition(conf, parallelism)[1] / parallelism
    queued = int(parallelism * min(output, conf.max_buffers_per_channel))
    return InFlight(
        gate.exclusive * remote, gate.floating_most if remote else 0, queued, conf.segment_size, conf.smallest_segment
    )


def managers(conf: FlinkConf, parallelism: int) -> int:
    """TaskManagers that a job of one slot sharing group needs."""
    return -(-parallelism // conf.task_slots)


def remote_channels(conf: FlinkConf, parallelism: int) -> int:
    """Channels of a gate whose sender is in another TaskManager, where it has most."""
    return parallelism - (parallelism % conf.task_slots or min(conf.task_slots, parallelism))


def buffer_wait(conf: FlinkConf, bytes_per_second: float, parallelism: int) -> float:
    """Mean seconds that a record waits, without back pressure, for its buffer to leave: until it is full or flushed."""
    fill = conf.segment_size / (bytes_per_second / parallelism)
    return min(fill, conf.buffer_timeout if conf.buffer_timeout is not None else fill) / 2


def busiest_manager(conf: FlinkConf, parallelism: int, exchanges: int) -> list[TaskBuffers]:
    """The subtasks of a full TaskManager of a chain of `exchanges` all-to-all exchanges."""
    here = min(conf.task_slots, parallelism)
    gate, partition = (parallelism, parallelism - here), parallelism
    first, middle, last = TaskBuffers((), (partition,)), TaskBuffers((gate,), (partition,)), TaskBuffers((gate,), ())
    return [task for task in (first, *[middle] * (exchanges - 1), last) for _ in range(here)]
