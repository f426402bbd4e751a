"""What might have started it: the faults of a scenario, and a load beyond what the pipeline can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Literal

from bpsim.arrivals import Piecewise
from bpsim.scenario import Scenario
from bpsim.utilisation import bottleneck, overloads


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
    for one in overloads(scenario):
        end = one.end_s if one.end_s < scenario.duration else inf
        narrowest = bottleneck(scenario)
        by_key = narrowest is not None and not isnan(narrowest.key_share) and one.rate_per_s > narrowest.capacity_per_s
        path = "client.keys" if by_key else _path(scenario, one.begin_s)
        yield Cause("client", "load", path, one.begin_s, end, one.rate_per_s)


def _path(scenario: Scenario, moment: float) -> str:
    """The part of the arrivals that makes the rate high from `moment` on: a point, or the end of the ramp that begins there."""
    arrivals = scenario.client.arrivals
    if not isinstance(arrivals, Piecewise):
        return "client.arrivals"
    here = arrivals.corners().index(moment)
    ramp = here + 1 < len(arrivals.points) and arrivals.points[here + 1].by == "ramp"
    return f"client.arrivals.points.{here + ramp}"
