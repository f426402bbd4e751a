"""What started it."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isnan

import numpy as np

from bpsim.arrivals import Closed
from bpsim.explanation.case import Case, at, percent, sentence, span
from bpsim.explanation.causes import Cause
from bpsim.explanation.model import Finding
from bpsim.faults import Fault
from bpsim.metrics.spans import per_window
from bpsim.names import the
from bpsim.scenario import Scenario
from bpsim.units import format_rate
from bpsim.utilisation import capacities

FAULTS = {
    "slowdown": "becomes {factor:g} times slower",
    "cold_cache": "has a cold cache and is up to {factor:g} times slower",
    "stall": "stands still",
    "outage": "is down",
    "crash": "dies",
    "partition": "is cut off from the tier before it",
    "loss": "loses {share} of the requests and replies",
    "errors": "answers {share} of its requests with a 500",
    "lock": "finds its table locked",
    "disk_full": "has a full disk",
    "slow_follower": "has followers that do not keep up",
    "rebalance": "rebalances and reads nothing",
    "spike": "sends {factor:g} times as much",
}
"""What a fault does to its tier, in words."""


def beginning(case: Case) -> Iterator[Finding]:
    """A finding for each root."""
    for root in case.roots:
        cause = root.cause
        words, values = _of_fault(case, cause) if cause.path.startswith("faults.") else _of_load(case, cause)
        yield case.finding("cause", cause.tier, cause.begin_s, cause.end_s, cause.path, words, since_s=root.since_s, **values)


def harmless(case: Case) -> Iterator[Finding]:
    """The faults that nobody noticed: no tier came under pressure from them."""
    guilty = {root.cause.path for root in case.roots}
    seen: set[str] = set()
    for cause in case.signs.causes:
        if cause.path in guilty | seen or not cause.path.startswith("faults."):
            continue
        seen.add(cause.path)
        busy = case.summary[f"{cause.tier}_busy_share"]
        words, values = _of_fault(case, cause)
        words += f" No tier comes under pressure from it ({the(cause.tier)} works {percent(busy)} of the time)."
        yield case.finding("cause", cause.tier, cause.begin_s, cause.end_s, cause.path, words, busy_share=busy, **values)


def does(fault: Fault) -> str:
    """What a fault does, after its tier's name."""
    words, share = FAULTS.get(fault.kind, f"has a fault ({fault.kind})"), percent(getattr(fault, "share", 0.0))
    return words.format_map(fault.model_dump() | {"share": share})


def _of_fault(case: Case, cause: Cause) -> tuple[str, dict[str, float]]:
    fault = case.scenario.faults[int(cause.path.rpartition(".")[2])]
    words = f"{sentence(the(cause.tier))} {does(fault)} {span(cause.begin_s, cause.end_s)}"
    if fault.times > 1:
        words += f", {fault.times} times in all, every {at(fault.every or 0)}"
    able = capacities(case.scenario, (cause.begin_s + min(cause.end_s, case.ended_s)) / 2).get(cause.tier, inf)
    offered = _offered(case, cause)
    if 0 < able < inf and fault.kind in ("slowdown", "cold_cache"):
        much = "more than" if able > offered else "less than"
        words += f": it can do {format_rate(able)}, {much} the {format_rate(offered)} that clients send, retries apart"
        return f"{words}.", {"capacity_per_s": able, "offered_per_s": offered}
    came = offered * (min(cause.end_s, case.ended_s) - cause.begin_s)
    return f"{words}; {came:,.0f} requests come meanwhile.", {"came": came}


def _offered(case: Case, cause: Cause) -> float:
    """Requests a second born while `cause` acted."""
    end = min(cause.end_s, case.ended_s)
    if end <= cause.begin_s:
        return 0.0
    born = per_window(case.result.tables["requests"]["born_s"], np.array([cause.begin_s, end]))
    return float(born[0] / (end - cause.begin_s))


def _of_load(case: Case, cause: Cause) -> tuple[str, dict[str, float]]:
    offered = _offered(case, cause)
    values = {"offered_per_s": offered}
    if cause.kind == "policy":
        turned = case.summary["rejected"] + case.summary["unavailable"]
        words = f"The API turns requests away by its own rules from {at(cause.begin_s)} on, with workers to spare"
        return f"{words}: {turned:,.0f} requests end so.", values | {"turned_away": turned}
    able = capacities(case.scenario)
    tier = min(able, key=lambda name: able[name], default="client")
    words = f"Clients send {sends(case.scenario, cause)} {span(cause.begin_s, cause.end_s)}"
    if isnan(cause.load_per_s) or tier == "client":
        return f"{words}: {format_rate(offered)} requests come.", values
    much = "more than" if cause.load_per_s > able[tier] else f"{percent(cause.load_per_s / able[tier])} of"
    words += f", {much} the {format_rate(able[tier])} that {the(tier)} can do, before any retry."
    return words, values | {"capacity_per_s": able[tier], "load_per_s": cause.load_per_s}


def sends(scenario: Scenario, cause: Cause) -> str:
    """What clients send in words: `up to 320/s`, `100/s`, or `what they get done` of a load that has no rate of its own."""
    arrivals = scenario.client.arrivals
    if isnan(cause.load_per_s) or isinstance(arrivals, Closed):
        return "more than can be done at times"
    rising = cause.load_per_s > arrivals.rate_at(cause.begin_s)
    return f"up to {format_rate(cause.load_per_s)}" if rising else format_rate(cause.load_per_s)
