"""What a task writes into: records are routed to subpartitions and packed into buffers, across buffers if need be."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bpsim.tiers.flink.buffers import Barrier, InFlight, LocalBufferPool, Segment, Subpartition

Route = Callable[[list[int], int], list[Sequence[int]]]
"""(records, records routed so far) -> by subpartition the positions of its records."""


def rebalance(subpartitions: int) -> Route:
    """Each record goes to the next subpartition in turn."""

    def route(records: list[int], before: int) -> list[Sequence[int]]:
        return [range((channel - before) % subpartitions, len(records), subpartitions) for channel in range(subpartitions)]

    return route


def by_key(subpartitions: int, subtasks_of: Callable[[list[int]], list[int]]) -> Route:
    """Each record goes where its key lives."""

    def route(records: list[int], before: int) -> list[Sequence[int]]:
        positions: list[list[int]] = [[] for _ in range(subpartitions)]
        for position, subtask in enumerate(subtasks_of(records)):
            positions[subtask].append(position)
        return list(positions)

    return route


@dataclass(frozen=True)
class Packing:
    """How records are put into buffers. Bytes."""

    record_bytes: int
    segment_bytes: int
    flush_always: bool = False
    """execution.buffer-timeout 0: nothing waits for a buffer to fill."""
    covers_record: bool = True
    """A debloated buffer is at least as large as the record that opens it (1.15 on)."""
    enlarges_last: bool = False
    """A debloated buffer grows when no other is to be had (FLINK-33077, 1.19 on)."""


class ResultPartition:
    """The output of one subtask towards one operator (BufferWritingResultPartition.java).

    Between two records that fill a buffer or open one nothing can be seen from outside, so the task needs an event for
    those only; `next_turn` says which record is the next of them.
    """

    def __init__(
        self,
        pool: LocalBufferPool,
        channels: int,
        packing: Packing,
        route: Route,
        settle: Callable[[], None],
    ) -> None:
        self.pool = pool
        self.subpartitions = [Subpartition(pool, index, settle) for index in range(channels)]
        self.buffers_out = 0
        self.records_out = 0
        self._packing = packing
        self._record_bytes = packing.record_bytes
        self._route = route
        self._records: list[int] = []
        self._positions: list[Sequence[int]] = []
        self._cursor = [0] * channels
        self._pending: tuple[Subpartition, int, int] | None = None

    @property
    def bytes_out(self) -> int:
        """Bytes of the records written so far."""
        return self.records_out * self._record_bytes

    @property
    def available(self) -> bool:
        """Whether the task may begin another record; else it is softly back pressured."""
        return self.pool.available

    def begin(self, records: list[int]) -> None:
        """These are the next records."""
        self._records = records
        self._positions = self._route(records, self.records_out)
        self._cursor = [0] * len(self._cursor)

    def next_turn(self) -> int:
        """Position of the first record that fills a buffer or opens one; the number of records when none does."""
        first, each = len(self._records), self._record_bytes
        for subpartition, positions, cursor in zip(self.subpartitions, self._positions, self._cursor, strict=True):
            segment = subpartition.open
            if segment is not None and not self._packing.flush_always:
                cursor += -((segment.written - segment.capacity) // each) - 1
            if cursor < len(positions) and positions[cursor] < first:
                first = positions[cursor]
        return first

    def write_upto(self, end: int) -> None:
        """Write the records before position `end`, none of which fills a buffer or opens one."""
        records = self._records
        for index, positions in enumerate(self._positions):
            cursor = self._cursor[index]
            stop = bisect_left(positions, end, cursor)
            if stop == cursor:
                continue
            segment = self.subpartitions[index].open
            assert segment is not None
            if isinstance(positions, range):
                segment.records += records[positions[cursor] : positions[stop - 1] + 1 : positions.step]
            else:
                segment.records += [records[position] for position in positions[cursor:stop]]
            count = stop - cursor
            size = count * self._record_bytes
            segment.size += size
            segment.written += size
            segment.mid_record = False
            self._cursor[index] = stop
            self.records_out += count

    def write_turn(self, position: int) -> bool:
        """Write the record at `position`, which fills a buffer or opens one. False: no buffer can be had, so the task stands
        still in the middle of the record (hard back pressure) until `go_on` says True."""
        index = next(
            index
            for index, (positions, cursor) in enumerate(zip(self._positions, self._cursor, strict=True))
            if cursor < len(positions) and positions[cursor] == position
        )
        self._cursor[index] += 1
        self._pending = (self.subpartitions[index], self._records[position], self._record_bytes)
        return self.go_on()

    def go_on(self) -> bool:
        """Write what is left of the record at hand.

        When no other buffer is to be had a debloated one grows, by a byte more than the record needs (FLINK-33077).
        """
        assert self._pending is not None
        subpartition, record, left = self._pending
        packing = self._packing
        while True:
            segment = subpartition.open
            if segment is None:
                segment = self._open(subpartition, left)
                if segment is None:
                    self._pending = (subpartition, record, left)
                    return False
            if packing.enlarges_last and left >= segment.capacity - segment.written and not self.pool.available:
                segment.capacity = max(segment.capacity, min(packing.segment_bytes, segment.written + left + 1))
            part = min(left, segment.capacity - segment.written)
            segment.size += part
            segment.written += part
            left -= part
            segment.mid_record = left > 0
            if left == 0:
                segment.records.append(record)
            if segment.written == segment.capacity:
                subpartition.finish()
            if left == 0:
                break
        self._pending = None
        self.records_out += 1
        if self._packing.flush_always:
            subpartition.flush()
        return True

    def _open(self, subpartition: Subpartition, left: int) -> Segment | None:
        if not self.pool.request(subpartition.index):
            return None
        packing, capacity = self._packing, self._packing.segment_bytes
        if subpartition.announced is not None:
            wanted = max(subpartition.announced, left) if packing.covers_record else subpartition.announced
            capacity = min(capacity, wanted)
        segment = Segment(capacity)
        self.buffers_out += 1
        subpartition.add(segment)
        return segment

    @property
    def unsent(self) -> list[int]:
        """The record in the middle of which the task stands still, and those that wait to be sent."""
        waiting = [] if self._pending is None else [self._pending[1]]
        for subpartition in self.subpartitions:
            for element in subpartition.queue:
                waiting += element.records if isinstance(element, Segment) else []
        return waiting

    def broadcast(self, barrier: Barrier) -> InFlight:
        """Send a barrier on every channel; returns what it overtakes."""
        overtaken = InFlight()
        for subpartition in self.subpartitions:
            if barrier.overtakes:
                overtaken.merge(subpartition.in_flight(len(subpartition.queue)))
            subpartition.add_barrier(barrier)
        return overtaken

    def overtake(self, checkpoint: int) -> InFlight:
        """Let a checkpoint's barriers overtake the data that waits before them; returns it."""
        overtaken = InFlight()
        for subpartition in self.subpartitions:
            overtaken.merge(subpartition.overtake(checkpoint))
        return overtaken

    @property
    def size(self) -> int:
        """Bytes that wait to be sent."""
        return sum(subpartition.size for subpartition in self.subpartitions)

    def flush(self) -> None:
        """Let every reader have what is written."""
        for subpartition in self.subpartitions:
            subpartition.flush()

    def clear(self) -> None:
        """Forget everything."""
        self.pool.clear()
        self._pending = None
        self._records, self._positions = [], [()] * len(self._cursor)
        for subpartition in self.subpartitions:
            subpartition.clear()
