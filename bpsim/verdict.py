"""What became of a system: healthy, degraded, recovered, metastable, overloaded, crashed, or too early to say.

A collapse that outlasts its cause is called metastable only against counterfactuals with the same random numbers: without
the trigger the system must be well, and the time in which it would have drained must be over (Bronson et al., HotOS 2021;
Huang et al., OSDI 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, isnan, nan, sqrt
from typing import Literal

import numpy as np

from bpsim.counterfactual import Trigger, trigger_of, without_retries, without_trigger
from bpsim.drain import SIGMAS, Drain, drain_after
from bpsim.metrics import summary
from bpsim.metrics.health import STEP_S, Health, health
from bpsim.result import TIERS, Outcome, Result
from bpsim.scenario import Scenario
from bpsim.units import format_bytes, format_rate, format_seconds

State = Literal["healthy", "degraded", "recovered", "metastable", "overloaded", "crashed", "inconclusive"]
Rerun = Callable[[Scenario, str], Result | None]
"""Runs a changed scenario with the same seed; the words say which control it is. None: controls are not wanted."""
Numbers = Mapping[str, float]
"""`metrics.summary`."""
PROCESSES = {"api": "API process", "consumer": "consuming process", "writer": "database"}
HARMED = 0.99
"""Share of requests that must succeed for nobody to have noticed."""
SLOWER = 2.0
"""How much longer the slowest percent may wait before somebody notices."""


@dataclass(frozen=True)
class Verdict:
    """The `state`, why in `words` that are read after it, and the numbers behind it (`evidence`: seconds, rates, shares)."""

    state: State
    words: str
    evidence: dict[str, float] = field(default_factory=dict)
    sustained_by: str | None = None
    """What keeps a metastable system down."""

    @property
    def ends_well(self) -> bool:
        """Whether requests succeed in the end."""
        return self.state in ("healthy", "recovered", "degraded")


def judge(scenario: Scenario, result: Result, rerun: Rerun, numbers: Numbers | None = None) -> Verdict:
    """The verdict on `result`. Controls are run only when the run ends badly. The summary (`numbers`), if it is at hand, saves
    making it again."""
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
    return _collapsed(scenario, result, trigger, rerun)


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
            words = f"The {PROCESSES.get(tier, tier)} {when} and never came back; lost: {lost}."
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
    longer = _round_up(trigger.end_s + max(60.0, trigger.end_s - trigger.begin_s))
    if not well:
        words = f"Down, but the trouble ({trigger.what}) is not over: run longer than {format_seconds(longer)} to see the rest."
        return Verdict("inconclusive", words, evidence | {"run_longer_s": longer})
    if len(whole.bad) or _noticed(result, trigger):
        return Verdict("degraded", f"{_harm(result, trigger)} It lasts to the end.", evidence)
    return Verdict("healthy", f"Nobody noticed the {trigger.what}, which lasts to the end.", evidence)


def _noticed(result: Result, trigger: Trigger) -> bool:
    before, during = (_slowest(result, *span) for span in _spans(result, trigger))
    return during > SLOWER * before or _success(result, trigger.begin_s, result.ended_s)[0] < HARMED


def _harm(result: Result, trigger: Trigger) -> str:
    before, during = (_seconds(_slowest(result, *span)) for span in _spans(result, trigger))
    share = _success(result, trigger.begin_s, result.ended_s)[0]
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


def _collapsed(scenario: Scenario, result: Result, trigger: Trigger, rerun: Rerun) -> Verdict:
    drain = drain_after(scenario, result, trigger.end_s)
    evidence = {
        "trigger_end_s": trigger.end_s, "backlog": drain.backlog, "offered_per_s": drain.offered_per_s,
        "capacity_per_s": drain.capacity_per_s, "drain_bound_s": drain.bound_s,
    }  # fmt: skip
    since = health(result, trigger.begin_s)
    evidence["since_s"] = since.begins(int(since.bad[0]))
    if drain.spare <= 0:
        meet = f"{format_rate(drain.offered_per_s)} meet a capacity of {format_rate(drain.capacity_per_s)}"
        return Verdict("overloaded", f"Even after the {trigger.what}, {meet}.", evidence)
    calm = without_retries(scenario)
    quiet = rerun(calm, "without retries") if calm is not None else None
    storm = Drain(drain.backlog, drain.offered_per_s * scenario.client.retry.max_attempts, drain.capacity_per_s)
    if storm.spare > 0:  # even if every attempt failed, the tries would not sustain themselves: it drains, with them
        drain = storm
    elif quiet is not None:  # what is there to drain but for the retries, which are what might keep it from draining
        drain = drain_after(scenario, quiet, trigger.end_s)
        evidence |= {"backlog_without_retries": drain.backlog, "drain_bound_s": drain.bound_s}
    longer = _not_long_enough(result, trigger, drain)
    if longer is not None:
        words = (
            f"Still bad {format_seconds(result.ended_s - trigger.end_s)} after the {trigger.what}, when the run ends, but it "
            f"may get better: run longer than {format_seconds(longer)}."
        )
        return Verdict("inconclusive", words, evidence | {"run_longer_s": longer})
    control = rerun(without_trigger(scenario), "without the trigger")
    if control is None:
        words = f"Bad long after the {trigger.what}; the controls that would tell why were not run."
        return Verdict("inconclusive", words, evidence)
    if not health(control).ends_well():
        return Verdict("overloaded", f"From the start: without the {trigger.what} it ends just as badly.", evidence)
    by_retries = quiet is not None and health(quiet).ends_well() is True
    cause = "retries" if by_retries else "something other than retries"
    told = "without them it recovers" if by_retries else "without them it stays down" if calm else "there are none"
    goodput = format_rate(_goodput(result, trigger.end_s))
    words = (
        f"The {trigger.what} was over at {format_seconds(trigger.end_s)}, the backlog would have drained within "
        f"{format_seconds(drain.bound_s)} of that, without it all is well, and yet {goodput} of "
        f"{format_rate(drain.offered_per_s)} succeed to the end. Sustained by {cause} ({told})."
    )
    return Verdict("metastable", words, evidence, cause)


def _goodput(result: Result, begin: float) -> float:
    requests = result.tables["requests"]
    happy = (requests["outcome"] == Outcome.OK) & (requests["ended_s"] >= begin)
    return float(happy.sum()) / max(result.ended_s - begin, 1e-9)


def _not_long_enough(result: Result, trigger: Trigger, drain: Drain) -> float | None:
    """How long the run should be, in seconds, before a collapse may be called lasting; None when it was long enough: the
    backlog has had its time to drain, it is not getting smaller, and successes are not getting more."""
    ended = result.ended_s
    needed = trigger.end_s + drain.bound_s + 3 * STEP_S
    if needed > ended:
        return _round_up(needed)
    middle = (trigger.end_s + ended) / 2
    then, now = _inside(result, middle), _inside(result, ended)
    if now < then - SIGMAS * sqrt(then):
        return _round_up(ended + SIGMAS * now / (then - now) * (ended - middle))
    thirds = np.linspace(trigger.end_s, ended - STEP_S, 4)
    early, late = (_success(result, begin, end) for begin, end in ((thirds[0], thirds[1]), (thirds[2], thirds[3])))
    error = SIGMAS * sqrt(
        max(early[0] * (1 - early[0]), 0.01) / max(early[1], 1) + max(late[0] * (1 - late[0]), 0.01) / max(late[1], 1)
    )
    if late[0] > early[0] + error:
        return _round_up(trigger.end_s + 3 * (ended - trigger.end_s))
    return None


def _inside(result: Result, moment: float) -> float:
    """Attempts inside the API, or waiting for it to let them in, at `moment`."""
    attempts = result.tables["attempts"]
    return float(((attempts["admitted_s"] <= moment) & ~(attempts["freed_s"] <= moment)).sum())


def _success(result: Result, begin: float, end: float) -> tuple[float, int]:
    """Share of the requests born in [begin, end) that succeeded, and how many there were."""
    requests = result.tables["requests"]
    born = (requests["born_s"] >= begin) & (requests["born_s"] < end)
    count = int(born.sum())
    return (float((requests["outcome"][born] == Outcome.OK).mean()) if count else 0.0), count


def _round_up(seconds: float) -> float:
    """To ten seconds, or to minutes beyond ten of them."""
    step = 10.0 if seconds < 600 else 60.0
    return ceil(seconds / step) * step
