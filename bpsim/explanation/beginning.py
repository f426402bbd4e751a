"""What started it."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isnan

import numpy as np

from bpsim.arrivals import Closed, Piecewise
from bpsim.explanation.case import Case, at, count, percent, span
from bpsim.explanation.causes import Cause
from bpsim.explanation.model import Finding
from bpsim.faults import Fault
from bpsim.metrics.spans import per_window
from bpsim.names import sentence, the
from bpsim.result import TIERS
from bpsim.scenario import Scenario
from bpsim.units import format_rate
from bpsim.utilisation import bottleneck, capacities

FAULTS = {
    "slowdown": "becomes {factor:,g} times slower",
    "ramp": "gets slower and slower, up to {factor:,g} times as slow",
    "slow_requests": "takes {factor:,g} times as long for each request that it begins",
    "cold_cache": "has a cold cache and is up to {factor:,g} times slower",
    "stall": "stands still",
    "outage": "is down",
    "crash": "dies",
    "partition": "is cut off from {before}",
    "loss": "loses {share} of the requests and replies",
    "errors": "answers {share} of its requests with a 500",
    "lock": "finds its table locked",
    "disk_full": "has a full disk",
    "leader_down": "is without its member {broker:g}",
    "slow_follower": "has followers that do not keep up",
    "rebalance": "rebalances and reads nothing",
    "spike": "sends {factor:,g} times as much",
}
"""What a fault does to its tier, in words."""

POLICIES = {
    "api.admission": (
        "turns requests away by its own rules",
        "turns requests away by its own rules, with workers to spare,",
    ),
    "producer.forgets_poll": (
        "never polls its producer, whose buffer fills with delivery reports",
        "never polls its producer: the delivery reports of records long acknowledged keep their places, and none is left",
    ),
}
"""What an API does to its clients without need, by the part of the scenario: in a headline, and before `from 20 s on`."""


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
    told = {"share": percent(getattr(fault, "share", 0.0)), "before": the(TIERS[TIERS.index(fault.target) - 1])}
    return FAULTS["ramp" if _rises(fault) else fault.kind].format_map(fault.model_dump() | told)


def _rises(fault: Fault) -> bool:
    return fault.kind == "slowdown" and fault.ramp_up > 0


def _of_fault(case: Case, cause: Cause) -> tuple[str, dict[str, float]]:
    fault = case.scenario.faults[int(cause.path.rpartition(".")[2])]
    words = f"{sentence(the(cause.tier))} {does(fault)} {span(cause.begin_s, cause.end_s)}"
    if fault.times > 1:
        words += f", {fault.times} times in all, every {at(fault.every or 0)}"
    able, offered = _least(case, cause, fault), _offered(case, cause)
    if 0 < able < inf and fault.kind in ("slowdown", "slow_requests", "cold_cache"):
        much = "more than" if able > offered else "less than"
        worst = " at worst" if fault.kind == "cold_cache" or _rises(fault) else ""
        words += f": it can do {format_rate(able)}{worst}, {much} the {format_rate(offered)} that clients send, retries apart"
        return f"{words}.", {"capacity_per_s": able, "offered_per_s": offered}
    came = offered * (min(cause.end_s, case.ended_s) - cause.begin_s)
    come = f"{count(came, 'request')} come{'s' if came == 1 else ''} meanwhile"
    return f"{words}; {come}.", {"came": came}


def _least(case: Case, cause: Cause, fault: Fault) -> float:
    """The least that the tier of a fault can do while it lasts, a second; inf: there is no limit."""
    moments = [moment for moment in fault.moments() if cause.begin_s <= moment < min(cause.end_s, case.ended_s)]
    return min((capacities(case.scenario, moment).get(cause.tier, inf) for moment in moments), default=inf)


def _offered(case: Case, cause: Cause) -> float:
    """Requests a second born while `cause` acted."""
    end = min(cause.end_s, case.ended_s)
    if end <= cause.begin_s:
        return 0.0
    born = per_window(case.result.tables["requests"]["born_s"], np.array([cause.begin_s, end]))
    return float(born[0] / (end - cause.begin_s))


def _of_load(case: Case, cause: Cause) -> tuple[str, dict[str, float]]:
    offered, when = _offered(case, cause), span(cause.begin_s, cause.end_s)
    values = {"offered_per_s": offered}
    if cause.kind == "policy":
        turned = case.summary["rejected"] + case.summary["unavailable"]
        words = f"The API {POLICIES[cause.path][1]} from {at(cause.begin_s)} on: {count(turned, 'request')} end so."
        return words, values | {"turned_away": turned}
    than, measured = _compared(case.scenario, cause)
    words = f"Clients send {sends(case.scenario, cause)} {when}"
    if not than:
        return f"{words}: {format_rate(offered)} requests come.", values
    return f"{words}, {than}, before any retry.", values | measured


def sends(scenario: Scenario, cause: Cause) -> str:
    """What clients send in words: `up to 320/s`, `100/s`, or `what they get done` of a load that has no rate of its own."""
    arrivals = scenario.client.arrivals
    if isnan(cause.load_per_s) or isinstance(arrivals, Closed):
        return "more than can be done at times"
    rising = cause.load_per_s > arrivals.rate_at(cause.begin_s)
    return f"up to {format_rate(cause.load_per_s)}" if rising else format_rate(cause.load_per_s)


def _compared(scenario: Scenario, cause: Cause) -> tuple[str, dict[str, float]]:
    """What a load is held against, in words, and the numbers; nothing for one without a rate."""
    narrowest, arrivals = bottleneck(scenario), scenario.client.arrivals
    if isnan(cause.load_per_s) or narrowest is None:
        return "", {}
    able, who = narrowest.capacity_per_s, the(narrowest.tier)
    values = {"capacity_per_s": able, "load_per_s": cause.load_per_s}
    if cause.load_per_s > able:
        if isnan(narrowest.key_share):
            return f"more than the {format_rate(able)} that {who} can do", values
        who = {"flink": "its subtask in Flink", "consumer": "the consumer of its partition"}[narrowest.tier]
        much = f"{percent(narrowest.key_share)} of it with one key, and {who} keeps up with {format_rate(able)} in all"
        return much, values | {"key_share": narrowest.key_share}
    assert isinstance(arrivals, Piecewise)
    final = arrivals.points[-1].rate
    times = f"{cause.load_per_s / final:.2g} times the {format_rate(final)} of the end" if final else "and in the end nothing"
    return f"{times}, and {percent(cause.load_per_s / able)} of the {format_rate(able)} that {who} can do", values


def blames(scenario: Scenario, cause: Cause) -> str:
    """What a root does, after its tier's name: the headline."""
    if cause.path.startswith("faults."):
        return does(scenario.faults[int(cause.path.split(".")[1])])
    if cause.kind == "policy":
        return POLICIES[cause.path][0]
    than, _ = _compared(scenario, cause)
    return f"sends {sends(scenario, cause)}" + (f", {than}" if than else "")
