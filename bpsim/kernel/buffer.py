"""A bounded FIFO buffer of records. A producer that finds no room must wait: that waiting, and nothing else, is
backpressure."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable

import numpy as np

from bpsim.streams import Floats

Range = tuple[int, int, float]
"""Records `first` up to but not including `end`, and the time they entered."""


def nothing() -> None:
    """What happens when nobody listens."""


class Buffer:
    """FIFO ranges of records, at most `capacity` records (bytes are turned into records by `Bound.in_records`).

    Ranges keep the cost of a batch independent of its size. `on_item` is called after every put. Who finds too little
    room sets `wanted`; who has taken calls `made_room`, once its own state is in order, and `on_room` is called.
    """

    __slots__ = ("capacity", "held", "limit", "on_item", "on_room", "ranges", "wanted")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.limit = capacity
        """Records it may hold now: none more while closed."""
        self.held = 0
        self.ranges: deque[Range] = deque()
        self.on_item: Callable[[], None] = nothing
        self.on_room: Callable[[], None] = nothing
        self.wanted = False

    @property
    def room(self) -> int:
        """Records that fit now; none while closed."""
        return self.limit - self.held if self.limit > self.held else 0

    def put(self, first: int, end: int, now: float) -> None:
        """Add records that fit. Raises `AssertionError` when they do not: the caller has to look at `room`."""
        count = end - first
        assert self.held + count <= self.capacity, f"{count} records into {self.held}/{self.capacity}"
        self.ranges.append((first, end, now))
        self.held += count
        self.on_item()

    def take(self, count: int) -> list[Range]:
        """Remove up to `count` records from the front, splitting the last range when it holds more."""
        taken = []
        ranges = self.ranges
        while count > 0 and ranges:
            first, end, entered = ranges.popleft()
            if end - first > count:
                ranges.appendleft((first + count, end, entered))
                end = first + count
            taken.append((first, end, entered))
            count -= end - first
            self.held -= end - first
        return taken

    def take_one(self) -> tuple[int, float]:
        """Remove the first record; returns it and the time it entered."""
        first, end, entered = self.ranges.popleft()
        if end - first > 1:
            self.ranges.appendleft((first + 1, end, entered))
        self.held -= 1
        return first, entered

    def put_back(self, ranges: list[tuple[int, int]], now: float) -> None:
        """Put records in front of all others, in this order, whether there is room or not."""
        for first, end in reversed(ranges):
            self.ranges.appendleft((first, end, now))
            self.held += end - first

    def clear(self) -> list[Range]:
        """Forget everything inside; returns it. Nobody is told: those who waited for room have died, too."""
        ranges = list(self.ranges)
        self.ranges.clear()
        self.held = 0
        self.wanted = False
        return ranges

    def made_room(self) -> None:
        """Tell whoever waits that there may be room now."""
        if self.wanted:
            self.wanted = False
            self.on_room()

    def set_open(self, is_open: bool) -> None:
        """While closed (an outage) nothing fits; opening tells whoever waits."""
        self.limit = self.capacity if is_open else 0
        if is_open:
            self.made_room()

    @property
    def oldest(self) -> float:
        """When the first record entered. Raises `IndexError` when empty."""
        return self.ranges[0][2]


class Sink(Buffer):
    """The end of the pipeline: room for everything, and what is put has left."""

    __slots__ = ("count", "delivered", "dropped")

    def __init__(self) -> None:
        super().__init__(1 << 62)
        self.delivered = array("d")
        """Flat (first, end, time) triples."""
        self.dropped = array("d")
        """The same of records that the last tier gave up on."""
        self.count = 0
        """Records that have come, dropped ones included."""

    def put(self, first: int, end: int, now: float) -> None:
        self.delivered.extend((first, end, now))
        self.count += end - first

    def put_all(self, ranges: list[Range], now: float) -> None:
        """Several ranges at once."""
        flat: list[float] = []
        for first, end, _ in ranges:
            flat += (first, end, now)
            self.count += end - first
        self.delivered.extend(flat)

    def put_each(self, records: Floats, times: Floats) -> None:
        """Records that came one by one."""
        self.delivered.frombytes(np.column_stack((records, records + 1, times)).tobytes())
        self.count += len(records)

    def drop(self, first: int, end: int, now: float) -> None:
        """Records that will never come: they are done with, and lost."""
        self.dropped.extend((first, end, now))
        self.count += end - first
