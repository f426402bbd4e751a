"""Work in progress. A tier decides what begins; here it ends, exactly, whatever the speed does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

from bpsim.kernel.clock import Alarm, Clock
from bpsim.streams import to_grid


class Servers:
    """Jobs in service at one common speed. A job of `work` seconds ends after `work` seconds at speed 1; when the speed
    changes what is left of it is rescaled, and at speed 0 it stands still.

    `ongoing` is a heap of (end, job), `frozen` the (work left, job) of jobs that stand still.
    """

    __slots__ = ("frozen", "ongoing", "speed")

    def __init__(self) -> None:
        self.ongoing: list[tuple[float, Any]] = []
        self.frozen: list[tuple[float, Any]] = []
        self.speed = 1.0

    def begin(self, now: float, work: float, job: Any) -> None:
        """Start `job` now."""
        if self.speed == 1.0:
            heappush(self.ongoing, (now + work, job))
        elif self.speed > 0:
            heappush(self.ongoing, (now + to_grid(work / self.speed), job))
        else:
            self.frozen.append((work, job))

    def set_speed(self, now: float, speed: float) -> None:
        """From now on work gets done at `speed`."""
        left = [((end - now) * self.speed, job) for end, job in self.ongoing] if self.speed else self.frozen
        self.speed = speed
        self.ongoing[:] = []
        self.frozen = []
        for work, job in left:
            self.begin(now, work, job)

    def jobs(self) -> list[Any]:
        """Every job in service."""
        return [job for _, job in self.ongoing] + [job for _, job in self.frozen]

    def cancel(self, job: Any) -> None:
        """Stop working on `job`."""
        self.ongoing[:] = [(end, other) for end, other in self.ongoing if other != job]
        heapify(self.ongoing)
        self.frozen = [(left, other) for left, other in self.frozen if other != job]

    def clear(self) -> None:
        """The process died: nothing is in service any more."""
        self.ongoing[:] = []
        self.frozen = []


class LaneServers:
    """The same for what comes by the thousand and is never cancelled: ends are small events in the clock's lane (a third of
    the cost)."""

    __slots__ = ("_frozen", "_on_end", "_small", "_tie", "speed")

    def __init__(self, clock: Clock, on_end: Callable[[Any], None]) -> None:
        self._small = clock.small
        self._tie = clock.tie
        self._on_end = on_end
        self._frozen: list[tuple[float, Any]] = []
        self.speed = 1.0

    def begin(self, now: float, work: float, job: Any) -> None:
        """Start `job` now; `on_end(job)` is called when it ends."""
        if self.speed == 1.0:
            heappush(self._small, (now + work, self._tie(), self._on_end, job))
        elif self.speed > 0:
            heappush(self._small, (now + to_grid(work / self.speed), self._tie(), self._on_end, job))
        else:
            self._frozen.append((work, job))

    def set_speed(self, now: float, speed: float) -> None:
        """From now on work gets done at `speed`."""
        mine = sorted(event for event in self._small if event[2] == self._on_end)
        left = [((end - now) * self.speed, job) for end, _, _, job in mine] if self.speed else self._frozen
        self._small[:] = [event for event in self._small if event[2] != self._on_end]
        heapify(self._small)
        self.speed = speed
        self._frozen = []
        for work, job in left:
            self.begin(now, work, job)

    def jobs(self) -> list[Any]:
        """Every job in service."""
        return [job for _, _, on_end, job in self._small if on_end == self._on_end] + [job for _, job in self._frozen]

    def clear(self) -> None:
        """The process died: nothing is in service any more."""
        self._small[:] = [event for event in self._small if event[2] != self._on_end]
        heapify(self._small)
        self._frozen = []


class TimedServers(Servers):
    """Servers that ring: `on_end(job)` is called at the moment a job ends."""

    __slots__ = ("_alarm", "_clock", "_on_end")

    def __init__(self, clock: Clock, on_end: Callable[[Any], None]) -> None:
        super().__init__()
        self._clock = clock
        self._on_end = on_end
        self._alarm = Alarm(clock, self._ring)

    def begin(self, now: float, work: float, job: Any) -> None:
        if self.speed != 1.0:
            super().begin(now, work, job)
            self._arm()
            return
        heappush(self.ongoing, (now + work, job))
        if self._alarm.at != (first := self.ongoing[0][0]):
            self._alarm.set(first)

    def set_speed(self, now: float, speed: float) -> None:
        super().set_speed(now, speed)
        self._arm()

    def clear(self) -> None:
        super().clear()
        self._arm()

    def _arm(self) -> None:
        if self.ongoing:
            self._alarm.set(self.ongoing[0][0])
        else:
            self._alarm.cancel()

    def _ring(self) -> None:
        now = self._clock.now
        ongoing = self.ongoing
        while ongoing and ongoing[0][0] <= now:
            self._on_end(heappop(ongoing)[1])
        self._arm()
