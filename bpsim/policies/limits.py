"""Concurrency limits: how many requests may be inside, learnt from how long they take. Rules and defaults are those of
Netflix's concurrency-limits; a limit sees samples and has no clock."""

from __future__ import annotations

from math import ceil, log10
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bpsim.spec import Spec
from bpsim.units import PositiveSeconds


class Limiter:
    """A limit that stays where it is; the others move `limit`."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def update(self, rtt: float, in_flight: int, dropped: bool) -> None:
        """A request ended after `rtt` seconds, with `in_flight` inside, well or dropped."""


class FixedLimit(Spec):
    """Always `limit`."""

    kind: Literal["fixed"] = "fixed"
    limit: int = Field(ge=1, le=10**9, description="requests inside")

    def build(self) -> Limiter:
        """At the limit."""
        return Limiter(self.limit)


class _Learning(Spec):
    initial: int = Field(default=20, ge=1, le=10**6)
    least: int = Field(default=20, ge=1, le=10**6, description="minLimit")
    most: int = Field(default=200, ge=1, le=10**6, description="maxLimit")

    @model_validator(mode="after")
    def _the_limits_are_in_order(self) -> _Learning:
        if not self.least <= self.initial <= self.most:
            raise ValueError(f"initial {self.initial} must lie between least {self.least} and most {self.most}")
        return self


class Aimd(_Learning):
    """Additive increase, multiplicative decrease (AIMDLimit): × `backoff` on a drop or a round trip beyond `timeout`, + 1 while
    at least half of the limit is used."""

    kind: Literal["aimd"] = "aimd"
    backoff: float = Field(default=0.9, gt=0, lt=1)
    timeout: PositiveSeconds = 5.0

    def build(self) -> Limiter:
        """At its initial value."""
        return _Aimd(self)


class _Aimd(Limiter):
    def __init__(self, spec: Aimd) -> None:
        super().__init__(spec.initial)
        self._spec = spec

    def update(self, rtt: float, in_flight: int, dropped: bool) -> None:
        limit = int(self.limit)
        if dropped or rtt > self._spec.timeout:
            limit = int(limit * self._spec.backoff)
        elif in_flight * 2 >= limit:
            limit += 1
        self.limit = min(self._spec.most, max(self._spec.least, limit))


class Vegas(Spec):
    """TCP Vegas (VegasLimit): the queue is limit · (1 − shortest / latest round trip); the limit grows while it is short and
    shrinks while it is long. The shortest round trip is measured afresh every `probe_multiplier` · limit samples."""

    kind: Literal["vegas"] = "vegas"
    initial: int = Field(default=20, ge=1, le=10**6)
    most: int = Field(default=1000, ge=1, le=10**6, description="maxConcurrency")
    probe_multiplier: int = Field(default=30, ge=1, le=10**6)

    def build(self) -> Limiter:
        """At its initial value."""
        return _Vegas(self)


class _Vegas(Limiter):
    PROBE_JITTER = 0.75
    """The mean of Netflix's U(0.5, 1), which keeps many instances from probing together; here there is one."""

    def __init__(self, spec: Vegas) -> None:
        super().__init__(spec.initial)
        self._spec = spec
        self._shortest = 0.0
        self._samples = 0

    def update(self, rtt: float, in_flight: int, dropped: bool) -> None:
        if rtt <= 0:
            return
        self._samples += 1
        if self._samples >= self.PROBE_JITTER * self._spec.probe_multiplier * self.limit:
            self._samples, self._shortest = 0, rtt
        elif not self._shortest or rtt < self._shortest:
            self._shortest = rtt
        else:
            self.limit = max(1.0, min(float(self._spec.most), self._next(rtt, in_flight, dropped)))

    def _next(self, rtt: float, in_flight: int, dropped: bool) -> float:
        limit = self.limit
        step = max(1.0, log10(limit))
        if dropped:
            return limit - step
        if in_flight * 2 < limit:
            return limit
        queue = ceil(limit * (1 - self._shortest / rtt))
        if queue <= step:
            return limit + 6 * step
        if queue < 3 * step:
            return limit + step
        return limit - step if queue > 6 * step else limit


class Gradient2(_Learning):
    """Gradient2Limit: the limit is multiplied by long-term / latest round trip (within 0.5 … 1, `tolerance` allowed for) and
    gets room for a `queue`, smoothed. Limits under half used do not change."""

    kind: Literal["gradient2"] = "gradient2"
    tolerance: float = Field(default=1.5, ge=1, le=100, description="rttTolerance")
    queue: int = Field(default=4, ge=0, le=10**6, description="queueSize: requests that may wait")
    smoothing: float = Field(default=0.2, gt=0, le=1)
    long_window: int = Field(default=600, ge=1, le=10**6, description="samples of the long-term average")

    def build(self) -> Limiter:
        """At its initial value."""
        return _Gradient2(self)


class _Gradient2(Limiter):
    WARM_UP = 10
    """The first samples are averaged evenly."""

    def __init__(self, spec: Gradient2) -> None:
        super().__init__(spec.initial)
        self._spec = spec
        self._long = 0.0
        self._samples = 0

    def update(self, rtt: float, in_flight: int, dropped: bool) -> None:
        spec = self._spec
        if rtt <= 0:
            return
        self._samples += 1
        if self._samples <= self.WARM_UP:
            self._long += (rtt - self._long) / self._samples
        else:
            self._long += (rtt - self._long) * 2 / (spec.long_window + 1)
        if self._long > 2 * rtt:
            self._long *= 0.95
        if in_flight < self.limit / 2:
            return
        gradient = max(0.5, min(1.0, spec.tolerance * self._long / rtt))
        wanted = self.limit * gradient + spec.queue
        smoothed = self.limit * (1 - spec.smoothing) + wanted * spec.smoothing
        self.limit = max(float(spec.least), min(float(spec.most), smoothed))


Limit = Annotated[FixedLimit | Aimd | Vegas | Gradient2, Field(discriminator="kind")]
"""Every concurrency limit."""
