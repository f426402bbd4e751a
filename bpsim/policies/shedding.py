"""Which requests are dropped when their turn comes, because the queue has been too long for too long."""

from __future__ import annotations

from math import inf, sqrt
from typing import Annotated, Literal

from pydantic import Field

from bpsim.spec import Spec
from bpsim.units import PositiveSeconds


class Shedder:
    """Drops nothing; the others change what they must. Calls come in order of time."""

    def drop(self, now: float, waited: float, empty: bool) -> bool:
        """Whether to drop a request taken out after `waited` seconds; `empty`: it was the last."""
        return False

    def emptied(self, now: float) -> None:
        """A worker found nobody waiting."""


class Codel(Spec):
    """CoDel (RFC 8289, section 5): once waits have stayed above `target` for an `interval`, one request is dropped, and others
    ever closer together, the next after interval / √count, until a wait is below the target."""

    kind: Literal["codel"] = "codel"
    target: PositiveSeconds = 0.005
    interval: PositiveSeconds = 0.1

    def build(self) -> Shedder:
        """A controller that drops nothing yet."""
        return _Codel(self)


class _Codel(Shedder):
    RECENT = 16
    """A new episode within so many intervals of the last begins with that one's count."""

    def __init__(self, spec: Codel) -> None:
        self._target, self._interval = spec.target, spec.interval
        self._above_since: float | None = None
        self._dropping = False
        self._next = 0.0
        self._count = self._count_before = 0

    def emptied(self, now: float) -> None:
        self._above_since = None
        self._dropping = False

    def drop(self, now: float, waited: float, empty: bool) -> bool:
        if not self._too_long(now, waited, empty):
            self._dropping = False
            return False
        if not self._dropping:
            self._dropping = True
            gained = self._count - self._count_before
            recent = now - self._next < self.RECENT * self._interval
            self._count = self._count_before = gained if gained > 1 and recent else 1
            self._next = now + self._interval / sqrt(self._count)
            return True
        if now < self._next:
            return False
        self._count += 1
        self._next += self._interval / sqrt(self._count)
        return True

    def _too_long(self, now: float, waited: float, empty: bool) -> bool:
        """Whether waits have been above the target for an interval."""
        if waited < self._target or empty:
            self._above_since = None
            return False
        if self._above_since is None:
            self._above_since = now
        return now - self._above_since >= self._interval


class RequestCodel(Spec):
    """Facebook's CoDel for requests (Maurer, "Fail at Scale", ACM Queue 2839461): nobody may wait longer than `long`, and
    once the queue has not been empty for that time nobody longer than `short`."""

    kind: Literal["request_codel"] = "request_codel"
    short: PositiveSeconds = Field(default=0.005, description="M")
    long: PositiveSeconds = Field(default=0.1, description="N")

    def build(self) -> Shedder:
        """An empty queue."""
        return _RequestCodel(self)


class _RequestCodel(Shedder):
    def __init__(self, spec: RequestCodel) -> None:
        self._short, self._long = spec.short, spec.long
        self._empty_at = 0.0

    def emptied(self, now: float) -> None:
        self._empty_at = now

    def drop(self, now: float, waited: float, empty: bool) -> bool:
        bound = self._short if now - self._empty_at > self._long else self._long
        if empty:
            self._empty_at = now
        return waited > bound


class FollyCodel(Spec):
    """folly's Codel (folly/executors/Codel.cpp): when the shortest wait of an `interval` was above `target`, the server counts
    as overloaded during the next one, and who has waited longer than twice the target is dropped."""

    kind: Literal["folly_codel"] = "folly_codel"
    target: PositiveSeconds = 0.005
    interval: PositiveSeconds = 0.1

    def build(self) -> Shedder:
        """Not overloaded."""
        return _FollyCodel(self)


class _FollyCodel(Shedder):
    def __init__(self, spec: FollyCodel) -> None:
        self._target, self._interval = spec.target, spec.interval
        self._shortest, self._until = inf, 0.0
        self._overloaded = False

    def drop(self, now: float, waited: float, empty: bool) -> bool:
        if now >= self._until:
            self._overloaded = self._target < self._shortest < inf
            self._shortest, self._until = waited, now + self._interval
        self._shortest = min(self._shortest, waited)
        return self._overloaded and waited > 2 * self._target


Shedding = Annotated[Codel | RequestCodel | FollyCodel, Field(discriminator="kind")]
"""Every way to shed."""
