"""What the broker keeps: the logs of all partitions, what is deleted from them, and what nobody had read."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import inf, nan

from bpsim.kernel.buffer import Range, nothing
from bpsim.kernel.clock import Alarm, Clock
from bpsim.streams import to_grid
from bpsim.tiers.broker.log import PartitionLog
from bpsim.tiers.broker.segments import Segments
from bpsim.tiers.broker.spec import BrokerSpec


class Store:
    """`held` counts the records that nobody has read. `on_item(partition)` is called when there is something to read; who
    finds too little room sets `wanted`, and `on_room` is called when records have gone."""

    def __init__(
        self,
        clock: Clock,
        spec: BrokerSpec,
        record_bytes: int,
        row: Callable[[tuple[float, ...]], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.partitions = [PartitionLog() for _ in range(spec.partitions)]
        self.held = 0
        self.on_item: Callable[[int], None] = lambda partition: None
        self.on_room: Callable[[], None] = nothing
        self.wanted = False
        self.evicted = array("d")
        """Flat (first, end, time) triples of what was deleted unread."""
        self.skipped = array("d")
        """And of what a reader passed over (auto.offset.reset)."""
        self.reset_to_end = False
        """Whether a reader that finds its records deleted goes on at the end of the log, and not at its beginning."""
        self._row = row
        self._mark = mark
        self._bytes_each = record_bytes
        self.bound = spec.retention.in_records(record_bytes)
        self._deletes = spec.overflow == "evict_oldest"
        self._age = None if spec.retention_time is None else to_grid(spec.retention_time)
        self._segments: list[Segments] | None = None
        if spec.segment is not None:
            keep = None if spec.retention == type(spec.retention)() else self.bound * record_bytes
            lifetime = spec.segment_time
            self._segments = [Segments(spec.segment, lifetime, keep, self._age) for _ in self.partitions]
            self._check_every = to_grid(spec.retention_check)
        self._alarm = Alarm(clock, self._expire if self._segments is None else self._check)
        if self._segments is not None:
            self._alarm.set(to_grid(spec.first_check))

    def append(self, partition: int, first: int, end: int, now: float) -> None:
        """A batch is there to be read."""
        log = self.partitions[partition]
        log.append(first, end, now)
        self.held += end - first
        if self._segments is not None:
            self._segments[partition].append(log.end, (end - first) * self._bytes_each, now)
        elif self._deletes:
            if self.held > self.bound:
                self._evict(self.held - self.bound)
            if self._age is not None and self._alarm.at is None:
                self._alarm.set(now + self._age)
        self.on_item(partition)

    def stored_bytes(self, partitions: range) -> int:
        """Disk that these partitions take."""
        return sum(self._segments[partition].size for partition in partitions) if self._segments is not None else 0

    def read(self, partition: int, count: int) -> list[Range]:
        """Up to `count` of the oldest unread records of a partition."""
        now = self.clock._now
        ranges = self.partitions[partition].read(count)
        for first, end, entered in ranges:
            self.held -= end - first
            self._row((first, end - first, entered, now, now, now))
        self._made_room()
        return ranges

    def put_back(self, partition: int, ranges: list[tuple[int, int]]) -> None:
        """A reader died and starts again: it reads the last records of a partition once more, those that are still there."""
        log, now = self.partitions[partition], self.clock._now
        self.held += sum(end - first for first, end in ranges)
        log.put_back(ranges, now)
        if self._segments is not None:
            self._lose(log.delete_to(log.start), now, self.evicted)
        elif self._deletes and self.held > self.bound:
            self._evict(self.held - self.bound)

    def _lose(self, ranges: list[Range], now: float, where: array[float]) -> None:
        """Records that nobody has read leave the log."""
        for first, end, entered in ranges:
            self.held -= end - first
            where.extend((first, end, now))
            self._row((first, end - first, entered, nan, nan, now))

    def _oldest(self) -> tuple[float, PartitionLog | None]:
        found: tuple[float, PartitionLog | None] = (inf, None)
        for log in self.partitions:
            if log.unread and log.oldest < found[0]:
                found = (log.oldest, log)
        return found

    def _evict(self, count: int) -> None:
        """Delete the oldest unread records, whatever partition they are in."""
        now = self.clock._now
        while count > 0 and (log := self._oldest()[1]) is not None:
            ranges = log.discard(min(count, log.batch_left))
            count -= sum(end - first for first, end, _ in ranges)
            self._lose(ranges, now, self.evicted)
        self._made_room()

    def _expire(self) -> None:
        """Unread records older than `retention_time` go."""
        assert self._age is not None
        now = self.clock._now
        while self.held and (found := self._oldest())[0] + self._age <= now:
            log = found[1]
            assert log is not None
            self._evict(log.batch_left)
        if self.held:
            self._alarm.set(self._oldest()[0] + self._age)

    def _check(self) -> None:
        """Delete segments; a reader whose next record is gone goes on where `auto.offset.reset` says."""
        assert self._segments is not None
        now = self.clock._now
        for log, segments in zip(self.partitions, self._segments, strict=True):
            start = segments.delete(now)
            if start is None:
                continue
            if gone := log.delete_to(start):
                self._lose(gone, now, self.evicted)
                self._mark("offset_reset", float(sum(end - first for first, end, _ in gone)))
                if self.reset_to_end:
                    self._lose(log.skip_to_end(), now, self.skipped)
        self._alarm.set(now + self._check_every)
        self._made_room()

    def _made_room(self) -> None:
        if self.wanted:
            self.wanted = False
            self.on_room()

    def unread(self) -> list[Range]:
        """Records nobody has read."""
        return [found for log in self.partitions if log.unread for found in log.ranges()]
