"""Where a subtask's time goes, under Flink's names: idle, busy, softly and hard back pressured. They fill every second."""

from __future__ import annotations

from enum import IntEnum


class Spent(IntEnum):
    """What a subtask does; everything that blocks user code is busy (a JDBC flush, a sleep)."""

    IDLE = 0
    """No input."""
    BUSY = 1
    SOFT = 2
    """Output not available, between two records: barriers and timers are still handled."""
    HARD = 3
    """No buffer to be had in the middle of a record: nothing else runs."""


class TimeSpent:
    """Seconds by what they were spent on."""

    __slots__ = ("_since", "now_in", "seconds")

    def __init__(self, now: float = 0.0) -> None:
        self.now_in = Spent.IDLE
        self.seconds = [0.0, 0.0, 0.0, 0.0]
        self._since = now

    def go(self, state: Spent, now: float) -> None:
        """From now on the subtask is in `state`."""
        self.seconds[self.now_in] += now - self._since
        self._since = now
        self.now_in = state

    def upto(self, now: float) -> list[float]:
        """Seconds by state until now."""
        self.go(self.now_in, now)
        return list(self.seconds)


def level(ratio: float) -> str:
    """What the web interface shows for the share of time back pressured (JobVertexBackPressureHandler.java)."""
    return "OK" if ratio <= 0.1 else "LOW" if ratio <= 0.5 else "HIGH"
