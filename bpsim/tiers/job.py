"""The consuming process: consumer, Flink and the rows on their way to the database live and die together. What it had not
committed it reads again, so what had been written since the last commit is written twice (at-least-once)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import floor
from typing import Protocol

import numpy as np

from bpsim.kernel.buffer import Range, Sink
from bpsim.kernel.clock import URGENT, Clock, Event
from bpsim.kernel.ledger import cover_of
from bpsim.result import Column
from bpsim.streams import to_grid
from bpsim.tiers.broker import Broker
from bpsim.tiers.consumer import Consumer, ConsumerSpec
from bpsim.tiers.flink import FlinkJob


class Part(Protocol):
    """A tier of the process."""

    def abandon(self, now: float) -> None:
        """Forget everything that is inside."""


class Job:
    """Watches what is read and delivered, for the memory and for what a crash costs."""

    def __init__(
        self,
        clock: Clock,
        spec: ConsumerSpec,
        record_bytes: int,
        broker: Broker,
        parts: Sequence[Part],
        sink: Sink,
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.replayed: list[tuple[int, int]] = []
        """Records that were put back for reading again."""
        self._spec = spec
        self._bytes_each = record_bytes + spec.overhead
        self._broker = broker
        self._parts = parts
        self._sink = sink
        self._mark = mark
        self._reads: list[tuple[int, int, int]] = []
        """(first, end, partition) of everything read since the process began, in this order."""
        self._delivered_before = 0
        self._read = 0
        self._dying = False
        self._starts: Event | None = None
        """The start that is due."""
        self._flink: FlinkJob | None = None

    def follow(self, flink: FlinkJob) -> None:
        """A Flink job fails as a whole, and with checkpoints it is they that say what is read again."""
        self._flink = flink
        flink.on_failure, flink.on_rescale = self._fail, self._stop

    def _fail(self, delay: float | None) -> None:
        self._mark("crash", float(self.held_bytes))
        self._stop(delay)

    def _stop(self, delay: float | None) -> None:
        self._forget_everything()
        self._set_alive(False)
        if delay is not None:
            self._starts = self.clock.call_at(self.clock.now + to_grid(delay), self.restart)

    def _set_alive(self, alive: bool) -> None:
        self._consumer.set_alive(alive)

    @property
    def _consumer(self) -> Consumer:
        consumer = self._parts[0]
        assert isinstance(consumer, Consumer)
        return consumer

    def note_read(self, partition: int, ranges: list[Range]) -> None:
        """Records come into the process; at the limit of its heap it dies before anything else happens."""
        for first, end, _ in ranges:
            self._reads.append((first, end, partition))
            self._read += end - first
        if self._spec.heap is not None and self.held_bytes > self._spec.heap:
            self.die(self._spec.restart_after)

    @property
    def held(self) -> int:
        """Records inside the process."""
        return self._read - (self._sink.count - self._delivered_before)

    @property
    def held_bytes(self) -> int:
        """Memory they take."""
        return self.held * self._bytes_each

    def die(self, restart_after: float | None) -> None:
        """The process ends at this instant, and is started again after a while, if ever."""
        if not self._dying:
            self._dying = True
            self.clock.call_at(self.clock.now, partial(self._fail, restart_after), URGENT)

    def crash(self) -> None:
        """Everything inside is forgotten, and the broker gives out again what was not committed."""
        self._mark("crash", float(self.held_bytes))
        self._forget_everything()

    def _forget_everything(self) -> None:
        now = self.clock.now
        if self._starts is not None:
            self._starts.callbacks = []
            self._starts = None
        inside = self._not_in_a_checkpoint()
        for part in self._parts:
            part.abandon(now)
        for partition, ranges in self._again(now, inside):
            self.replayed += ranges
            self._broker.log.put_back(partition, ranges)
        if self._flink is not None:
            self.replayed += [(record, record + 1) for record in self._flink.in_flight]
        self._reads = []
        self._consumer.look_again()
        self._read = 0
        self._delivered_before = self._sink.count
        self._dying = False

    def lose(self, partitions: Iterable[int]) -> None:
        """Partitions are taken from a member that goes on with what it has read: what was not committed is read again."""
        for partition, ranges in list(self._again(self.clock.now, None)):
            if partition in partitions:
                self.replayed += ranges
                self._broker.log.put_back(partition, ranges)
                self._forget(partition, sum(end - first for first, end in ranges))

    def give_back(self, partition: int, ranges: list[tuple[int, int]]) -> None:
        """The last records read of a partition leave the process unhandled, and are to be read anew."""
        count = sum(end - first for first, end in ranges)
        self._broker.log.put_back(partition, ranges)
        self._forget(partition, count)
        self._read -= count

    def _forget(self, partition: int, count: int) -> None:
        """The last `count` records read of a partition are to be read anew."""
        for index in range(len(self._reads) - 1, -1, -1):
            first, end, where = self._reads[index]
            if where == partition and count:
                gone = min(count, end - first)
                self._reads[index] = (first, end - gone, where)
                count -= gone
        self._reads = [read for read in self._reads if read[0] < read[1]]

    def restart(self) -> None:
        """The process is there again."""
        self._starts = None
        self._mark("restart", 0.0)
        self._set_alive(True)
        if self._flink is not None:
            self._flink.restart()

    def _again(self, now: float, inside: list[tuple[int, int]] | None) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """By partition, what is read again, as ranges in the order of reading: what was `inside` at the last checkpoint, or
        everything from the first record on that had not been delivered at the last commit."""
        if not self._reads:
            return
        order = np.concatenate([np.arange(first, end) for first, end, _ in self._reads])
        partitions = np.repeat([partition for _, _, partition in self._reads], [end - first for first, end, _ in self._reads])
        kept = self._committed(order, now) if inside is None else _cover(order, np.asarray(inside).reshape(-1, 2)) == 0
        for partition in np.unique(partitions).tolist():
            mine = partitions == partition
            if inside is None:
                kept[mine] = np.logical_and.accumulate(kept[mine])
            if not kept[mine].all():
                yield partition, _ranges(order[mine & ~kept])

    def _committed(self, order: Column, now: float) -> Column:
        """Which of the records in `order` had been delivered at the last commit; commits fall on multiples of the interval."""
        commit = floor(now / self._spec.commit_interval) * self._spec.commit_interval
        done = (np.frombuffer(log, dtype=np.float64).reshape(-1, 3) for log in (self._sink.delivered, self._sink.dropped))
        log = np.concatenate(list(done))
        return _cover(order, log[log[:, 2] <= commit, :2]) > 0

    def _not_in_a_checkpoint(self) -> list[tuple[int, int]] | None:
        """What a Flink job reads again from its last completed checkpoint; None when it makes none."""
        taken = self._flink.uncommitted if self._flink is not None else None
        if taken is None or self._flink is None:
            return None
        fetched = [(int(row[0]), int(row[0] + row[1])) for row in self._consumer.unfinished()]
        return taken + fetched + [(first, end) for first, end, _ in self._flink.inbox.ranges]


def _cover(records: Column, ranges: Column) -> Column:
    """How often each of `records` is in `ranges`."""
    count = max(int(records.max()) + 1, int(ranges[:, 1].max(initial=0)))
    return cover_of(count, ranges)[records]


def _ranges(records: Column) -> list[tuple[int, int]]:
    """Records in some order as ranges of neighbours."""
    breaks = np.flatnonzero(np.diff(records) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(records, breaks)]
