"""Sums over the last so many seconds, kept in slots."""

from __future__ import annotations


class Rolling:
    """`width` sums of what was added during the last `span` seconds; what is older goes a slot (`span / slots`) at a time."""

    __slots__ = ("_index", "_slot_s", "_slots", "totals")

    def __init__(self, span: float, slots: int, width: int) -> None:
        self._slot_s = span / slots
        self._slots = [[0.0] * width for _ in range(slots)]
        self._index = 0
        self.totals = [0.0] * width
        """The sums as of the last `add` or `advance`."""

    def advance(self, now: float) -> list[float]:
        """Forget what is too old; returns the sums."""
        index = int(now / self._slot_s)
        if index > self._index:
            count = len(self._slots)
            for old in range(max(self._index + 1, index - count + 1), index + 1):
                slot = self._slots[old % count]
                for column, amount in enumerate(slot):
                    if amount:
                        self.totals[column] -= amount
                        slot[column] = 0.0
            self._index = index
        return self.totals

    def add(self, now: float, column: int, amount: float = 1.0) -> None:
        """Add to one of the sums."""
        self.advance(now)
        self._slots[self._index % len(self._slots)][column] += amount
        self.totals[column] += amount
