"""The log of one partition: batches with offsets, and the position of the group that reads it."""

from __future__ import annotations

from array import array
from collections import deque

from bpsim.kernel.buffer import Range


class PartitionLog:
    """Batches are appended at the end and deleted from the start; a reader has a position between the two. What it has read
    and must read again comes first. Every operation costs as much as the batches it touches."""

    __slots__ = (
        "_again",
        "_at",
        "_ends",
        "_entered",
        "_firsts",
        "_offsets",
        "_read_in_a_row",
        "again",
        "end",
        "position",
        "start",
    )

    def __init__(self) -> None:
        self._firsts = array("q")
        self._ends = array("q")
        self._entered = array("d")
        self._offsets = array("q")
        """Offset of the first record of each batch."""
        self.start = 0
        """Offset of the first record that is still there."""
        self.position = 0
        """Offset of the next record that has never been read."""
        self.end = 0
        """Offset after the last record."""
        self.again = 0
        """Records before the position that are to be read again."""
        self._at = 0
        """The batch that `position` is in."""
        self._again: deque[Range] = deque()
        self._read_in_a_row = 0
        """Records just before the position that were read, none in between having been deleted unread."""

    def append(self, first: int, end: int, now: float) -> None:
        """Records `first` … `end` − 1, readable from now on."""
        self._firsts.append(first)
        self._ends.append(end)
        self._entered.append(now)
        self._offsets.append(self.end)
        self.end += end - first

    @property
    def unread(self) -> int:
        """Records to be read."""
        return self.end - self.position + self.again

    @property
    def oldest(self) -> float:
        """When the next record to be read was appended (or was to be read again)."""
        return self._again[0][2] if self._again else self._entered[self._at]

    @property
    def batch_left(self) -> int:
        """Records of the batch that the next one to be read is in, from that on."""
        if self._again:
            return self._again[0][1] - self._again[0][0]
        return self._offsets[self._at] + self._ends[self._at] - self._firsts[self._at] - self.position

    def read(self, count: int) -> list[Range]:
        """Up to `count` of the next records."""
        found = []
        if self._again:
            found = self._take_again(count)
            count -= sum(end - first for first, end, _ in found)
        while count > 0 and self.position < self.end:
            at = self._at
            first = self._firsts[at] + self.position - self._offsets[at]
            end = min(self._ends[at], first + count)
            found.append((first, end, self._entered[at]))
            self.position += end - first
            self._read_in_a_row += end - first
            count -= end - first
            if end == self._ends[at]:
                self._at = at + 1
        return found

    def _take_again(self, count: int) -> list[Range]:
        found = []
        while count > 0 and self._again:
            first, end, since = self._again.popleft()
            if end - first > count:
                self._again.appendleft((first + count, end, since))
                end = first + count
            found.append((first, end, since))
            count -= end - first
            self.again -= end - first
        return found

    def discard(self, count: int) -> list[Range]:
        """Delete the next `count` records unread."""
        gone = self.read(count)
        self._read_in_a_row = 0
        return gone

    def put_back(self, ranges: list[tuple[int, int]], now: float) -> None:
        """The last records that were read, in their order, are to be read again."""
        for first, end in reversed(ranges):
            self._again.appendleft((first, end, now))
            self.again += end - first

    def delete_to(self, offset: int) -> list[Range]:
        """Forget everything before `offset`; returns what was still to be read."""
        self.start = max(self.start, offset)
        still_there = max(0, min(self._read_in_a_row, self.position - self.start))
        gone = self._take_again(max(0, self.again - still_there))
        return gone + self.discard(self.start - self.position) if self.start > self.position else gone

    def skip_to_end(self) -> list[Range]:
        """What a reader passes over that goes on at the end."""
        return self.discard(self.unread)

    def ranges(self) -> list[Range]:
        """Records to be read."""
        at, position, in_a_row, again = self._at, self.position, self._read_in_a_row, list(self._again)
        found = self.read(self.unread)
        self._at, self.position, self._read_in_a_row = at, position, in_a_row
        self._again.extend(again)
        self.again = sum(end - first for first, end, _ in again)
        return found
