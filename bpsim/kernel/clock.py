"""Time: SimPy's environment, with a fast lane beside its calendar, and alarms that can be moved."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

import simpy
from simpy.events import NORMAL, URGENT, Event

__all__ = ["NORMAL", "URGENT", "Alarm", "Clock", "Event", "Lane"]


class Lane(Protocol):
    """A part of the model with a calendar of its own."""

    def run_until(self, calendar: list[Any]) -> None:
        """Do everything that is due before the first entry of SimPy's `calendar`, which may grow meanwhile."""


Small = tuple[float, int, Callable[[Any], None], Any]
"""A small event of the lane: when, a running number that settles ties, what to call, and with what."""


class Clock(simpy.Environment):
    """SimPy's environment. Before each of its events the lane does what is due earlier, so both run in one order of time.

    Speed: a request costs about three small events. As entries in the lane's own sorted sources they cost a third of
    what SimPy's events cost (see benchmarks/), and nothing is approximated: an event in the lane may schedule one in
    SimPy's calendar and the other way round.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lane: Lane | None = None
        self.small: list[Small] = []
        """Heap of the lane's small events (records in service, messages on the network, a client's other alarms)."""
        self.tie = count().__next__
        self.events = 0
        self.over = False
        """Whether the run has reached its end: nothing will be recorded any more."""

    def step(self) -> None:
        if self.lane is not None:
            self.lane.run_until(self._queue)
        self.events += 1
        super().step()

    @property
    def nothing_scheduled(self) -> bool:
        """Whether the calendar holds nothing but entries that were called off."""
        return not any(event.callbacks for _, _, _, event in self._queue)

    def call_small(self, time: float, action: Callable[[Any], None], job: Any) -> None:
        """Have `action(job)` called at `time`, in the lane."""
        heappush(self.small, (time, self.tie(), action, job))

    def small_jobs(self, action: Callable[[Any], None]) -> list[Any]:
        """The jobs that wait for `action`."""
        return [job for _, _, pending, job in self.small if pending == action]

    def call_at(self, time: float, action: Callable[[], None], priority: Any = NORMAL) -> Event:
        """Have `action` called at `time`; returns the SimPy event, whose `callbacks` may be emptied to call it off."""
        event = Event(self)
        event._ok = True
        event._value = None
        event.callbacks.append(lambda _: action())
        self.schedule(event, priority, time - self._now)
        return event


class Alarm:
    """One pending call of `action`, which may be set, moved and cancelled."""

    __slots__ = ("_action", "_clock", "_event", "at")

    def __init__(self, clock: Clock, action: Callable[[], None]) -> None:
        self._clock = clock
        self._action = action
        self._event: Event | None = None
        self.at: float | None = None
        """The time it is set for, or None."""

    def set(self, time: float) -> None:
        """Ring at `time` instead of at any earlier choice."""
        if time == self.at:
            return
        if self._event is not None:
            self._event.callbacks = []
        self.at = time
        event = self._event = Event(self._clock)
        event._ok = True
        event._value = None
        event.callbacks.append(self._ring)
        # what Environment.schedule does, without a call: half a microsecond an alarm, a hundredth of a run
        heappush(self._clock._queue, (time, NORMAL, next(self._clock._eid), event))

    def cancel(self) -> None:
        """Do not ring."""
        if self._event is not None:
            self._event.callbacks = []
            self._event = self.at = None

    def _ring(self, event: Event) -> None:
        self._event = self.at = None
        self._action()


class SmallLane:
    """A lane with nothing but the clock's small events: for parts of the model without a client and an API."""

    def __init__(self, clock: Clock) -> None:
        self.events = 0
        self._clock = clock

    def run_until(self, calendar: list[Any]) -> None:
        """Do everything that is due before SimPy's next event."""
        small, clock = self._clock.small, self._clock
        while small and small[0][0] < calendar[0][0]:
            clock._now, _, action, job = heappop(small)
            self.events += 1
            action(job)
