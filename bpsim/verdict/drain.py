"""How long a backlog takes to drain once the trouble is over."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np

from bpsim.arrivals import Closed
from bpsim.metrics.occupancy import Occupancy
from bpsim.result import TIERS, Result
from bpsim.scenario import Scenario
from bpsim.utilisation import capacities

SIGMAS = 3.0
"""A queue drains within so many standard deviations of its mean time."""


@dataclass(frozen=True)
class Drain:
    """How long a backlog takes to drain: `mean_s`, and `bound_s` with three standard deviations (facts A3: the variance is
    n(λ + μ)/(μ − λ)³). Infinite when the load is not below the capacity."""

    backlog: float
    offered_per_s: float
    capacity_per_s: float

    @property
    def spare(self) -> float:
        return self.capacity_per_s - self.offered_per_s

    @property
    def mean_s(self) -> float:
        return self.backlog / self.spare if self.spare > 0 else inf

    @property
    def bound_s(self) -> float:
        if self.spare <= 0:
            return inf
        if not self.backlog:
            return 0.0
        deviation = sqrt(self.backlog * (self.offered_per_s + self.capacity_per_s) / self.spare**3)
        return self.mean_s + SIGMAS * deviation


def drain_after(scenario: Scenario, result: Result, moment: float) -> Drain:
    """The slowest drain from `moment` on among the tiers that a reply waits for. First tries only are the load: retries are
    what might sustain a collapse. Closed clients offer what they get, so they leave capacity for the backlog."""
    tiers = ["api", "producer"]
    if scenario.broker is not None and scenario.broker.overflow == "hold_producer":
        tiers = list(TIERS[1:])
    born = result.tables["requests"]["born_s"]
    rate = float((born >= moment).sum()) / max(result.ended_s - moment, 1e-9)
    occupancy, able = Occupancy(result), capacities(scenario, result.ended_s)
    slowest = Drain(0.0, rate, inf)
    for tier in tiers:
        if tier not in able or tier not in occupancy.tiers:
            continue
        presence = occupancy.tiers[tier]
        begin, end = presence.inside
        there = (begin <= moment) & ~(end <= moment)
        backlog = float(np.broadcast_to(presence.weight, begin.shape)[there].sum())
        offered = 0.0 if isinstance(scenario.client.arrivals, Closed) else rate
        found = Drain(backlog, offered, able[tier])
        if found.bound_s > (slowest.bound_s if isfinite(slowest.capacity_per_s) else 0.0):
            slowest = found
    return slowest
