"""The offered load: when clients mean to send their requests, whatever becomes of earlier ones (open) or not (closed)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from bpsim.distributions import Distribution
from bpsim.faults import Fault, conditions, turning_points
from bpsim.spec import Spec
from bpsim.streams import Floats, on_grid
from bpsim.units import PerSecond, Seconds

Gaps = Literal["exponential", "constant"]


@dataclass(frozen=True)
class RateCurve:
    """A rate over time, linear between `times`: `rates[i]` right after `times[i]`, `ends[i]` just before the next."""

    times: Floats
    rates: Floats
    ends: Floats

    def when(self, counts: Floats) -> Floats:
        """The times at which the expected number of arrivals reaches each of `counts` (which ascend).

        Inverts the cumulative rate, so a point process of rate 1 becomes one with this rate (Çinlar 1975, §4.7), and
        the same random numbers give the same customers under every curve. Counts beyond the curve are left out.
        """
        widths = np.diff(self.times)
        totals = np.concatenate(([0.0], np.cumsum((self.rates + self.ends) / 2 * widths)))
        counts = counts[counts < totals[-1]]
        piece = np.searchsorted(totals, counts, side="right") - 1
        rate, slope = self.rates[piece], (self.ends - self.rates)[piece] / widths[piece]
        rest = counts - totals[piece]
        # The root of slope/2·x² + rate·x = rest, in the form that stays exact as slope → 0.
        offset = 2 * rest / (rate + np.sqrt(np.maximum(rate**2 + 2 * slope * rest, 0.0)))
        return self.times[piece] + offset

    @property
    def total(self) -> float:
        """Expected number of arrivals over the whole curve."""
        return float(np.sum((self.rates + self.ends) / 2 * np.diff(self.times)))


class Open(Spec):
    """Arrivals that do not care how earlier requests fare."""

    def rate_at(self, now: float) -> float:
        """Requests a second at `now`, faults apart."""
        raise NotImplementedError

    def corners(self) -> list[float]:
        """Moments at which the rate bends."""
        return []

    def gaps(self, rng: np.random.Generator, n: int) -> Floats:
        """`n` inter-arrival times of mean 1."""
        raise NotImplementedError

    def curve(self, faults: tuple[Fault, ...], duration: float) -> RateCurve:
        """The rate from 0 to `duration` with every spike folded in."""
        moments = {0.0, duration, *self.corners(), *turning_points(faults, "client")}
        times = sorted(moment for moment in moments if 0 <= moment <= duration)
        loads = [conditions(faults, "client", moment).load for moment in times[:-1]]
        rates = [self.rate_at(moment) * load for moment, load in zip(times, loads, strict=False)]
        ends = [self.rate_before(moment) * load for moment, load in zip(times[1:], loads, strict=True)]
        return RateCurve(np.asarray(times), np.asarray(rates), np.asarray(ends))

    def rate_before(self, now: float) -> float:
        """The rate just before `now`; differs from `rate_at` only where it jumps."""
        return self.rate_at(now)

    def times(self, rng: np.random.Generator, faults: tuple[Fault, ...], duration: float) -> Floats:
        """Every arrival time in [0, duration), in order."""
        curve = self.curve(faults, duration)
        counts = np.zeros(0)
        while not len(counts) or counts[-1] < curve.total:
            more = np.cumsum(self.gaps(rng, int(curve.total - (counts[-1] if len(counts) else 0)) + 1024))
            counts = np.concatenate((counts, more + (counts[-1] if len(counts) else 0.0)))
        times = on_grid(curve.when(counts))
        return times[times < duration]


class _Steady(Open):
    rate: PerSecond

    def rate_at(self, now: float) -> float:
        return self.rate


class Poisson(_Steady):
    """Independent users: exponential gaps."""

    kind: Literal["poisson"] = "poisson"

    def gaps(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.standard_exponential(n)


class Deterministic(_Steady):
    """A metronome: one request every 1/rate seconds, the first one after one gap."""

    kind: Literal["deterministic"] = "deterministic"

    def gaps(self, rng: np.random.Generator, n: int) -> Floats:
        return np.ones(n)


class Renewal(Open):
    """Independent gaps of any law (GI in Kendall's notation)."""

    kind: Literal["renewal"] = "renewal"
    gap: Distribution

    @model_validator(mode="after")
    def _a_gap_takes_time(self) -> Renewal:
        if self.gap.mean <= 0:
            raise ValueError("the mean gap between arrivals must be above 0 s")
        return self

    def rate_at(self, now: float) -> float:
        return 1 / self.gap.mean

    def gaps(self, rng: np.random.Generator, n: int) -> Floats:
        return self.gap.sample(rng, n) / self.gap.mean


class RatePoint(Spec):
    """From `at` on the rate is `rate`: at once (`step`) or reached in a straight line from the point before (`ramp`)."""

    at: Seconds
    rate: PerSecond
    by: Literal["step", "ramp"] = "step"


class Piecewise(Open):
    """A rate that steps and ramps through `points`; the first stands at 0 s and the last holds to the end."""

    kind: Literal["piecewise"] = "piecewise"
    points: tuple[RatePoint, ...] = Field(min_length=1, max_length=10_000)
    spacing: Gaps = "exponential"

    @model_validator(mode="after")
    def _points_ascend_from_zero(self) -> Piecewise:
        moments = [point.at for point in self.points]
        if moments[0] != 0:
            raise ValueError(f"the first point must stand at 0 s, not at {moments[0]} s")
        if any(late <= early for early, late in itertools.pairwise(moments)):
            raise ValueError(f"points must be in order of time, each later than the one before: {moments}")
        return self

    def corners(self) -> list[float]:
        return [point.at for point in self.points]

    def rate_at(self, now: float) -> float:
        return self._rate(now, "right")

    def rate_before(self, now: float) -> float:
        return self._rate(now, "left")

    def _rate(self, now: float, side: Literal["left", "right"]) -> float:
        moments = self.corners()
        here = max(int(np.searchsorted(moments, now, side=side)) - 1, 0)
        if here + 1 < len(self.points) and self.points[here + 1].by == "ramp":
            start, goal = self.points[here], self.points[here + 1]
            return start.rate + (goal.rate - start.rate) * (now - start.at) / (goal.at - start.at)
        return self.points[here].rate

    def gaps(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.standard_exponential(n) if self.spacing == "exponential" else np.ones(n)


class Closed(Spec):
    """`users` who each send, wait for the final outcome, think, and send again. Each begins with a think time."""

    kind: Literal["closed"] = "closed"
    users: int = Field(ge=1, le=1_000_000)
    think: Distribution


Arrivals = Annotated[Poisson | Deterministic | Renewal | Piecewise | Closed, Field(discriminator="kind")]
"""Every way to offer load."""
