"""What might have started it: the faults of a scenario, and a load beyond what the pipeline can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isnan, nan
from typing import Literal

from bpsim.arrivals import Closed, Piecewise
from bpsim.scenario import Scenario
from bpsim.utilisation import capacities


@dataclass(frozen=True)
class Cause:
    """Something out of the ordinary in `tier`, and the path of the scenario that says so."""

    tier: str
    kind: Literal["fault", "load", "policy"]
    path: str
    begin_s: float
    end_s: float
    """inf: it lasts to the end of the run."""
    load_per_s: float = nan
    """Of a load: the highest rate meanwhile."""


def causes(scenario: Scenario) -> list[Cause]:
    """Every candidate, in order of beginning."""
    return sorted([*_faults(scenario), *_loads(scenario)], key=lambda cause: (cause.begin_s, cause.path))


def _faults(scenario: Scenario) -> Iterator[Cause]:
    for number, fault in enumerate(scenario.faults):
        kind: Literal["fault", "load"] = "load" if fault.target == "client" else "fault"
        for begin, end in fault.windows:
            yield Cause(fault.target, kind, f"faults.{number}", begin, end if end < scenario.duration else inf)


def _loads(scenario: Scenario) -> Iterator[Cause]:
    """The stretches in which more arrives, first tries alone, than the narrowest tier can do at full speed, or more than
    arrives in the end. Users who wait for their replies (closed arrivals) never bring more than is done."""
    arrivals, able = scenario.client.arrivals, capacities(scenario)
    if not able or isinstance(arrivals, Closed):
        return
    much = min(able.values())
    if isinstance(arrivals, Piecewise):
        much = min(much, arrivals.points[-1].rate * (1 + 1e-9))
    corners = sorted({0.0, *(moment for moment in arrivals.corners() if moment < scenario.duration)})
    began, peak = nan, 0.0
    for begin, end in pairwise([*corners, scenario.duration]):
        high = max(arrivals.rate_at(begin), arrivals.rate_before(end))
        if high > much:
            began, peak = (begin, high) if isnan(began) else (began, max(peak, high))
        elif not isnan(began):
            yield Cause("client", "load", _path(scenario, began), began, begin, peak)
            began = nan
    if not isnan(began):
        yield Cause("client", "load", _path(scenario, began), began, inf, peak)


def _path(scenario: Scenario, moment: float) -> str:
    """The part of the arrivals that makes the rate high from `moment` on: a point, or the end of the ramp that begins there."""
    arrivals = scenario.client.arrivals
    if not isinstance(arrivals, Piecewise):
        return "client.arrivals"
    here = arrivals.corners().index(moment)
    ramp = here + 1 < len(arrivals.points) and arrivals.points[here + 1].by == "ramp"
    return f"client.arrivals.points.{here + ramp}"
