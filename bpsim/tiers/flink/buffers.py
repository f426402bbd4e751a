"""Network buffers on the sending side: segments, the pool that lends them, and the queue of one subpartition."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from bpsim.kernel.buffer import nothing


class Barrier:
    """A checkpoint barrier on its way."""

    __slots__ = ("blocks", "checkpoint", "overtakes")

    def __init__(self, checkpoint: int, blocks: bool, overtakes: bool = False) -> None:
        self.checkpoint = checkpoint
        self.blocks = blocks
        """It stops its channel at the sender until every channel's has come (aligned, exactly once)."""
        self.overtakes = overtakes
        """It goes in front of all data (unaligned)."""


class Segment:
    """A memory segment that is filled with serialised records. Only what was not yet sent is in `records` and `size`."""

    __slots__ = ("capacity", "finished", "mid_record", "records", "size", "written")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.records: list[int] = []
        """Records whose last byte lies in here."""
        self.size = 0
        self.written = 0
        self.finished = False
        self.mid_record = False
        """Whether the last byte written is not the last one of its record."""


class Slice:
    """Bytes of a segment as one receiver buffer holds them, however few they are."""

    __slots__ = ("ends_in_record", "floating", "records", "segment", "size")

    def __init__(self, segment: Segment) -> None:
        self.records = segment.records
        self.size = segment.size
        self.ends_in_record = segment.mid_record
        self.segment: Segment | None = segment if segment.finished else None
        """The segment, when this is the last of it."""
        self.floating = False
        segment.records = []
        segment.size = 0


Place = tuple[int, int]
"""A subtask: the number of its task, and its own."""


class InFlight:
    """Data that is a part of a checkpoint, by the subtask that is to work on it when the job is restored."""

    __slots__ = ("records", "size")

    def __init__(self) -> None:
        self.records: dict[Place, list[int]] = {}
        self.size = 0

    def add(self, place: Place, records: list[int], size: int) -> None:
        """These records for that subtask, which take so many bytes."""
        self.records[place] = self.records.get(place, []) + records
        self.size += size

    def merge(self, other: InFlight) -> None:
        """What is in the other, too."""
        for place, records in other.records.items():
            self.add(place, records, 0)
        self.size += other.size


class LocalBufferPool:
    """The segments of one task's output: `size` of them, and `overdraft` more within a record that has begun.

    It is available while a segment is free and no subpartition holds `most` of them; up to 1.15 (`hard_limit`) such a
    subpartition gets none, even in the middle of a record (LocalBufferPool.java).
    """

    __slots__ = ("_full", "_hard_limit", "_held", "most", "on_recycle", "overdraft", "requested", "size")

    def __init__(self, size: int, overdraft: int, most: int, subpartitions: int, hard_limit: bool = False) -> None:
        self.size = size
        self._hard_limit = hard_limit
        self.overdraft = overdraft
        self.most = most
        self.requested = 0
        self.on_recycle: Callable[[], None] = nothing
        self._held = [0] * subpartitions
        self._full = 0

    @property
    def available(self) -> bool:
        """Whether the task may begin another record."""
        return self.requested < self.size and (self._hard_limit or not self._full)

    def request(self, subpartition: int) -> bool:
        """Lend a segment, if need be as overdraft."""
        if self.requested >= self.size + self.overdraft or (self._hard_limit and self._held[subpartition] >= self.most):
            return False
        self.requested += 1
        held = self._held[subpartition] = self._held[subpartition] + 1
        if held == self.most:
            self._full += 1
        return True

    def recycle(self, subpartition: int) -> None:
        """Take a segment back."""
        self.requested -= 1
        held = self._held[subpartition] = self._held[subpartition] - 1
        if held == self.most - 1:
            self._full -= 1
        self.on_recycle()

    def clear(self) -> None:
        """Take everything back."""
        self.requested = self._full = 0
        self._held = [0] * len(self._held)


class Reader(Protocol):
    """The channel at the other end of a subpartition."""

    @property
    def place(self) -> Place:
        """Whose it is."""

    def on_data(self) -> None:
        """There may be something to take."""


class Subpartition:
    """FIFO of segments and barriers for one channel (PipelinedSubpartition.java). The last segment may still be filled;
    it can be read once finished, or what is in it after a flush."""

    __slots__ = ("_pool", "announced", "barriers", "blocked", "flushed", "index", "open", "queue", "reader", "settle")

    def __init__(self, pool: LocalBufferPool, index: int, settle: Callable[[], None]) -> None:
        self._pool = pool
        self.index = index
        self.settle = settle
        """Brings the open segment up to now; called before it is read."""
        self.queue: deque[Segment | Barrier] = deque()
        self.open: Segment | None = None
        self.barriers = 0
        self.blocked = False
        self.flushed = False
        self.announced: int | None = None
        """Size of a buffer as the receiver's debloater wants it."""
        self.reader: Reader

    def add(self, segment: Segment) -> None:
        """Begin a segment; the one before it is finished."""
        self.queue.append(segment)
        self.open = segment
        if not self.flushed:
            self.reader.on_data()

    def finish(self) -> None:
        """Close the open segment: nothing more fits, or a barrier follows."""
        if self.open is not None:
            self.open.finished = True
            self.open = None

    def add_barrier(self, barrier: Barrier) -> None:
        """Queue a barrier behind the data, or in front of it."""
        self.finish()
        self.barriers += 1
        if barrier.overtakes:
            self.queue.appendleft(barrier)
        else:
            self.queue.append(barrier)
        self.reader.on_data()

    def overtake(self, checkpoint: int) -> InFlight:
        """Move a checkpoint's barrier that waits here in front of the data; returns what it overtakes."""
        for position, element in enumerate(self.queue):
            if isinstance(element, Barrier) and element.checkpoint == checkpoint:
                before = self.in_flight(position)
                del self.queue[position]
                self.queue.appendleft(Barrier(checkpoint, False, True))
                self.reader.on_data()
                return before
        return InFlight()

    def in_flight(self, end: int) -> InFlight:
        """The data in front of position `end` of the queue."""
        found = InFlight()
        for element in islice(self.queue, end):
            if isinstance(element, Segment):
                found.add(self.reader.place, element.records, element.size)
        return found

    def flush(self) -> None:
        """Let the reader have what the open segment holds."""
        if self.flushed or not self.queue:
            return
        head = self.queue[0]
        self.flushed = len(self.queue) > 1 or (isinstance(head, Segment) and head.size > 0)
        if self.flushed:
            self.reader.on_data()

    def resume(self) -> None:
        """The barrier has been aligned: go on."""
        self.blocked = False
        self.reader.on_data()

    @property
    def backlog(self) -> int:
        """Data buffers that wait, as announced with every buffer sent; the one being filled does not count."""
        queue = self.queue
        if self.blocked or not queue:
            return 0
        count = len(queue) - self.barriers
        return count if self.flushed or isinstance(queue[-1], Barrier) else max(0, count - 1)

    @property
    def readable(self) -> bool:
        """Whether `take` would find something."""
        if self.blocked or not self.queue:
            return False
        head = self.queue[0]
        return isinstance(head, Barrier) or head.finished or self.flushed

    @property
    def barrier_first(self) -> bool:
        """Whether the next element is a barrier, which needs no credit."""
        return bool(self.queue) and isinstance(self.queue[0], Barrier)

    @property
    def overtaken(self) -> bool:
        """Whether a barrier waits in front of all data."""
        head = self.queue[0] if self.queue else None
        return isinstance(head, Barrier) and head.overtakes and not self.blocked

    def take(self) -> Slice | Barrier | None:
        """The next element; None when there is nothing to read."""
        queue = self.queue
        while queue and not self.blocked:
            head = queue[0]
            if isinstance(head, Barrier):
                queue.popleft()
                self.barriers -= 1
                self.blocked = head.blocks
                self.flushed &= bool(queue)
                return head
            if not head.finished:
                if not self.flushed:
                    return None
                self.settle()
            if len(queue) == 1:
                self.flushed = False
            if head.finished:
                queue.popleft()
            if head.size:
                return Slice(head)
            if not head.finished:
                return None
            self._pool.recycle(self.index)
        return None

    def recycle(self) -> None:
        """Whatever was the last of a segment has been sent or, on a local channel, read."""
        self._pool.recycle(self.index)

    def clear(self) -> None:
        """Forget everything."""
        self.queue.clear()
        self.open = None
        self.barriers = 0
        self.blocked = self.flushed = False

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return sum(element.size for element in self.queue if isinstance(element, Segment))
