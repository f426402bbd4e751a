"""What a run is held against: the same random numbers without the trigger, or without retries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpsim.arrivals import Piecewise
from bpsim.names import the
from bpsim.scenario import Scenario

RETRIES, TRIGGER = "without retries", "without the trigger"
"""What each control is called."""


@dataclass(frozen=True)
class Trigger:
    """From when to when something was out of the ordinary, and what."""

    begin_s: float
    end_s: float
    what: str


def trigger_of(scenario: Scenario) -> Trigger | None:
    """The faults, or a load above what it is in the end; None when there is neither."""
    arrivals = scenario.client.arrivals
    spans = [(fault.at, fault.until, f"{fault.kind} of {the(fault.target)}") for fault in scenario.faults]
    if isinstance(arrivals, Piecewise) and len(arrivals.points) > 1:
        final = arrivals.points[-1].rate
        high = [k for k, point in enumerate(arrivals.points) if point.rate > final * (1 + 1e-9)]
        if high:
            first = arrivals.points[high[0]]
            begin = arrivals.points[high[0] - 1].at if first.by == "ramp" else first.at
            peak = max(point.rate for point in arrivals.points)
            spans.append((begin, arrivals.points[high[-1] + 1].at, f"load of up to {peak:g}/s"))
    if not spans:
        return None
    begin, end = min(span[0] for span in spans), max(span[1] for span in spans)
    return Trigger(begin, end, " and ".join(dict.fromkeys(span[2] for span in spans)))


def without_trigger(scenario: Scenario) -> Scenario:
    """The control: no faults, and a load that never exceeds its final rate."""
    change: dict[str, Any] = {"faults": ()}
    arrivals = scenario.client.arrivals
    if isinstance(arrivals, Piecewise):
        final = arrivals.points[-1].rate
        points = [point.model_dump() | {"rate": min(point.rate, final)} for point in arrivals.points]
        change["client"] = {"arrivals": {"kind": "piecewise", "points": points}}
    if scenario.api.restart_after is None:
        change["api"] = {"warm_up": None}
    return scenario.but(change)


def without_retries(scenario: Scenario) -> Scenario | None:
    """The control: every failure is final; None when there are no retries anyway."""
    client = scenario.client
    if client.retry.kind == "none" and client.hedge is None:
        return None
    change: dict[str, Any] = {"retry": {"kind": "none"}, "hedge": None}
    if client.breaker is None and client.throttle is None:
        change["instances"] = 1
    return scenario.but(client=change)


def controls(scenario: Scenario) -> dict[str, Scenario]:
    """Every control there is of `scenario`, in the order in which they are asked for."""
    calm = without_retries(scenario)
    return ({} if calm is None else {RETRIES: calm}) | {TRIGGER: without_trigger(scenario)}
