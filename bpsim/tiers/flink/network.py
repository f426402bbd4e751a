"""The network between two tasks, as a configuration has it: output pools, gates and channels, and the flushing of outputs."""

from __future__ import annotations

from collections.abc import Callable

from bpsim.kernel.clock import Clock
from bpsim.streams import Draws, to_grid
from bpsim.tiers.flink import pools
from bpsim.tiers.flink.buffers import LocalBufferPool, Place
from bpsim.tiers.flink.channels import LocalInputChannel, RemoteInputChannel
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.gate import InputGate
from bpsim.tiers.flink.partition import Packing, ResultPartition, Route

FRAMING = 5
"""Bytes around a serialised record: its length and the tag of a stream element (StreamElementSerializer.java)."""
OVERSLEPT = (50e-6, 150e-6)
"""How late a thread wakes up from a sleep: the timer slack of Linux (50 µs) and about as much for the scheduler, in seconds."""


def result_partition(
    conf: FlinkConf, size: int, channels: int, record_bytes: int, route: Route, settle: Callable[[], None]
) -> ResultPartition:
    """The output of one subtask, with a pool of `size` buffers, of records that take `record_bytes` each."""
    most = conf.max_buffers_per_channel
    pool = LocalBufferPool(size, conf.max_overdraft_buffers_per_gate, most, channels, conf.hard_channel_limit)
    packing = Packing(
        record_bytes=record_bytes,
        segment_bytes=conf.segment_size,
        flush_always=conf.buffer_timeout == 0,
        covers_record=conf.capacity_covers_record,
        enlarges_last=conf.enlarges_last_buffer and conf.debloating is not None,
    )
    partition = ResultPartition(pool, channels, packing, route, settle)
    if conf.debloating is not None:
        for subpartition in partition.subpartitions:
            subpartition.announced = conf.debloating.first_size
    return partition


def input_gate(conf: FlinkConf, floating: int, place: Place, senders: list[tuple[ResultPartition, int, bool]]) -> InputGate:
    """The input of the subtask at `place` from these (partition, number of its subpartition, whether in one TaskManager)."""
    exclusive = pools.input_gate(conf, len(senders)).exclusive
    gate = InputGate(floating, place)
    for partition, number, local in senders:
        subpartition = partition.subpartitions[number]
        if local:
            gate.channels.append(LocalInputChannel(gate, subpartition))
        else:
            gate.channels.append(RemoteInputChannel(gate, subpartition, exclusive))
    return gate


class OutputFlusher:
    """The thread of a task that lets its receivers have what was written every `execution.buffer-timeout`."""

    def __init__(
        self, clock: Clock, partition: ResultPartition, settle: Callable[[], None], timeout: float, late: Draws
    ) -> None:
        self._clock = clock
        self._partition = partition
        self._settle = settle
        self._timeout = to_grid(timeout)
        self._late = late
        self._count = 0
        self._over = False
        self._sleep()

    def stop(self) -> None:
        """The task is gone for good."""
        self._over = True

    def _sleep(self) -> None:
        self._clock.call_small(self._clock._now + self._timeout + self._late[self._count], self._flush, None)
        self._count += 1

    def _flush(self, _: object) -> None:
        if self._over:
            return
        self._settle()
        self._partition.flush()
        self._sleep()
