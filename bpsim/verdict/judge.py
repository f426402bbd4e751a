"""Judging a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan, nan

import numpy as np

from bpsim.counterfactual import Trigger, controls, trigger_of
from bpsim.metrics import summary
from bpsim.metrics.health import Health, health
from bpsim.names import sentence, the
from bpsim.result import TIERS, Result
from bpsim.scenario import Scenario
from bpsim.units import format_bytes, format_rate, format_seconds
from bpsim.verdict.collapse import Collapse, Ending, ending_of, round_up, successes
from bpsim.verdict.state import Verdict

Rerun = Callable[[Scenario, str], Result | None]
"""Runs a changed scenario with the same seed; the words say which control it is. None: controls are not wanted."""
Numbers = Mapping[str, float]
"""`metrics.summary`."""
PROCESSES = {"api": "the API process", "consumer": "the consuming process", "writer": "the database"}
HARMED = 0.99
"""Share of requests that must succeed for nobody to have noticed."""
SLOWER = 2.0
"""How much longer the slowest percent may wait before somebody notices."""


def judge(scenario: Scenario, result: Result, rerun: Rerun, numbers: Numbers | None = None) -> Verdict:
    """The verdict on `result`. Controls are run only when the run ends badly. The summary (`numbers`), if it is at hand, saves
    making it again."""
    found = first_look(scenario, result, numbers)
    if isinstance(found, Verdict):
        return found

    def ask(name: str) -> Ending | None:
        control = rerun(controls(scenario)[name], name)
        return None if control is None else ending_of(control, scenario, found.trigger.end_s)

    return found.settle(ask)


def first_look(scenario: Scenario, result: Result, numbers: Numbers | None = None) -> Verdict | Collapse:
    """What `result` tells by itself."""
    numbers = numbers or summary(result)
    dead = _still_dead(result, numbers)
    if dead is not None:
        return dead
    whole = health(result)
    well = whole.ends_well()
    trigger = trigger_of(scenario)
    if well is None:
        return Verdict("inconclusive", "No request had an outcome, so there is nothing to judge by.")
    if trigger is None:
        return _without_trouble(numbers, whole, well)
    if trigger.end_s + whole.step_s > result.ended_s:
        return _trouble_to_the_end(result, whole, well, trigger)
    if well:
        return _after_trouble(result, trigger, numbers)
    return Collapse.of(scenario, result, trigger)


def _still_dead(result: Result, found: Numbers) -> Verdict | None:
    marks = result.tables["marks"]
    for code, tier in enumerate(TIERS):
        mine = (marks["tier"] == code) & np.isin(marks["kind"], ("crash", "restart"))
        if mine.any() and marks["kind"][mine][-1] == "crash":
            died, held = float(marks["time_s"][mine][-1]), float(marks["value"][mine][-1])
            lost = f"{found['crash_lost_requests']:,.0f} requests"
            if found["crash_lost_records"] > 0:
                acked = f"{found['acked_then_lost']:,.0f} already acknowledged"
                lost += f" and {found['crash_lost_records']:,.0f} records ({acked})"
            when = f"died at {format_seconds(died)} holding {format_bytes(held)}"
            words = f"{sentence(PROCESSES.get(tier, the(tier)))} {when} and never came back; lost: {lost}."
            return Verdict("crashed", words, {"crash_time_s": died, "held_bytes": held})
    return None


def _share(whole: Health) -> float:
    return float(len(whole.bad) / max(whole.judged.sum(), 1))


def _without_trouble(found: Numbers, whole: Health, well: bool) -> Verdict:
    evidence = {"success_share": found["success_share"], "bad_windows": _share(whole)}
    if not well:
        since = whole.begins(int(whole.bad[0]))
        words = (
            f"With nothing out of the ordinary, fewer than 90 % of requests succeed from {format_seconds(since)} on "
            f"({format_rate(found['offered_per_s'])} offered, {format_rate(found['goodput_per_s'])} answered in time)."
        )
        return Verdict("overloaded", words, evidence | {"since_s": since})
    if len(whole.bad) or found["success_share"] < HARMED:
        words = f"{found['success_share']:.1%} of the requests succeed; {_share(whole):.0%} of the 5 s windows are bad."
        return Verdict("degraded", words, evidence)
    return Verdict("healthy", f"{found['success_share']:.2%} of the requests succeed, in every window at least 90 %.", evidence)


def _trouble_to_the_end(result: Result, whole: Health, well: bool, trigger: Trigger) -> Verdict:
    evidence = {"trigger_end_s": trigger.end_s, "bad_windows": _share(whole)}
    longer = round_up(trigger.end_s + max(60.0, trigger.end_s - trigger.begin_s))
    if not well:
        words = f"Down, but the trouble ({trigger.what}) is not over: run longer than {format_seconds(longer)} to see the rest."
        return Verdict("inconclusive", words, evidence | {"run_longer_s": longer})
    if len(whole.bad) or _noticed(result, trigger):
        return Verdict("degraded", f"{_harm(result, trigger)} It lasts to the end.", evidence)
    return Verdict("healthy", f"Nobody noticed the {trigger.what}, which lasts to the end.", evidence)


def _noticed(result: Result, trigger: Trigger) -> bool:
    before, during = (_slowest(result, *span) for span in _spans(result, trigger))
    return during > SLOWER * before or successes(result, trigger.begin_s, result.ended_s)[0] < HARMED


def _harm(result: Result, trigger: Trigger) -> str:
    before, during = (_seconds(_slowest(result, *span)) for span in _spans(result, trigger))
    share = successes(result, trigger.begin_s, result.ended_s)[0]
    return (
        f"Users noticed the {trigger.what}: {share:.2%} of the requests from then on succeed, and of those that came "
        f"meanwhile the slowest percent took {during} or more instead of {before}."
    )


def _spans(result: Result, trigger: Trigger) -> tuple[tuple[float, float], tuple[float, float]]:
    return (0.0, trigger.begin_s), (trigger.begin_s, min(trigger.end_s, result.ended_s))


def _slowest(result: Result, begin: float, end: float) -> float:
    """p99 of the seconds to the final outcome of requests born in [begin, end); one still pending has taken until the end of
    the run at least. NaN without requests."""
    requests = result.tables["requests"]
    born = (requests["born_s"] >= begin) & (requests["born_s"] < end)
    ended = np.where(np.isnan(requests["ended_s"]), result.ended_s, requests["ended_s"])
    taken = (ended - requests["born_s"])[born]
    return float(np.quantile(taken, 0.99)) if len(taken) else nan


def _after_trouble(result: Result, trigger: Trigger, found: Numbers) -> Verdict:
    later = health(result, trigger.end_s)
    recovery = later.step_s * (int(later.bad[-1]) + 1) if len(later.bad) else 0.0
    meanwhile = health(result, trigger.begin_s)
    evidence = {"recovery_s": recovery, "success_share": found["success_share"], "crashes": found["crashes"]}
    deaths = f" (processes died {found['crashes']:.0f} times)" if found["crashes"] else ""
    if len(meanwhile.bad):
        first = format_seconds(meanwhile.begins(int(meanwhile.bad[0])))
        after = f"{format_seconds(recovery)} after" if recovery else "as soon as"
        over = "the trouble was over" if not recovery else "its end"
        words = f"Bad from {first} on ({trigger.what}){deaths}; recovered {after} {over}."
        return Verdict("recovered", words, evidence)
    if _noticed(result, trigger):
        return Verdict("degraded", _harm(result, trigger), evidence)
    return Verdict("healthy", f"Nobody noticed the {trigger.what}{deaths}: {found['success_share']:.2%} succeed.", evidence)


def _seconds(value: float) -> str:
    return "an unknown time" if isnan(value) else format_seconds(value)
