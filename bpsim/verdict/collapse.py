"""A run that still went badly when its trouble was long over, and what its controls make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from bpsim.counterfactual import RETRIES, TRIGGER, Trigger, controls
from bpsim.metrics.health import STEP_S, health
from bpsim.result import Outcome, Result
from bpsim.scenario import Scenario
from bpsim.units import format_rate, format_seconds
from bpsim.verdict.drain import SIGMAS, Drain, drain_after
from bpsim.verdict.state import Verdict


@dataclass(frozen=True)
class Ending:
    """How a control ended, and what it had to drain when the trouble was over. `well` is None when no request was left to
    judge by."""

    well: bool | None
    drain: Drain


Ask = Callable[[str], Ending | None]
"""How the control of that name (one of `counterfactual.controls`) ends with the same seed; None: that is not known."""


def ending_of(control: Result, scenario: Scenario, trigger_end_s: float) -> Ending:
    """What `control` shows; drains are told by the rates of `scenario`, as it was without the change."""
    return Ending(health(control).ends_well(), drain_after(scenario, control, trigger_end_s))


@dataclass(frozen=True)
class Trend:
    """Where it was heading: attempts `inside` the API half-way between the trigger's end and the run's, and at its end; the
    success of requests born in the first and the last third of that time, as (share, how many)."""

    inside: tuple[float, float]
    success: tuple[tuple[float, int], tuple[float, int]]

    @classmethod
    def of(cls, result: Result, since_s: float) -> Trend:
        """Of `result`, from `since_s` on."""
        thirds = np.linspace(since_s, result.ended_s - STEP_S, 4)
        return cls(
            (_inside(result, (since_s + result.ended_s) / 2), _inside(result, result.ended_s)),
            (successes(result, thirds[0], thirds[1]), successes(result, thirds[2], thirds[3])),
        )

    @property
    def shrinks(self) -> bool:
        """Whether what is inside gets less."""
        then, now = self.inside
        return now < then - SIGMAS * sqrt(then)

    @property
    def improves(self) -> bool:
        """Whether successes get more."""
        early, late = self.success
        error = SIGMAS * sqrt(sum(max(share * (1 - share), 0.01) / max(count, 1) for share, count in self.success))
        return late[0] > early[0] + error


@dataclass(frozen=True)
class Collapse:
    """What such a run tells by itself; seconds, and rates per second. It is small and can be sent anywhere."""

    scenario: Scenario
    trigger: Trigger
    ended_s: float
    since_s: float
    goodput_per_s: float
    drain: Drain
    trend: Trend

    @classmethod
    def of(cls, scenario: Scenario, result: Result, trigger: Trigger) -> Collapse:
        """Of `result`, whose last windows are bad."""
        whole = health(result, trigger.begin_s)
        return cls(
            scenario, trigger, result.ended_s, whole.begins(int(whole.bad[0])), _goodput(result, trigger.end_s),
            drain_after(scenario, result, trigger.end_s), Trend.of(result, trigger.end_s),
        )  # fmt: skip

    def settle(self, ask: Ask) -> Verdict:
        """The verdict. `ask` is asked for the controls one by one, as far as they can tell anything."""
        drain, after = self.drain, self.trigger.what
        evidence = {
            "trigger_end_s": self.trigger.end_s, "backlog": drain.backlog, "offered_per_s": drain.offered_per_s,
            "capacity_per_s": drain.capacity_per_s, "drain_bound_s": drain.bound_s, "since_s": self.since_s,
        }  # fmt: skip
        if drain.spare <= 0:
            meet = f"{format_rate(drain.offered_per_s)} meet a capacity of {format_rate(drain.capacity_per_s)}"
            return Verdict("overloaded", f"Even after the {after}, {meet}.", evidence)
        retried = RETRIES in controls(self.scenario)
        quiet = ask(RETRIES) if retried else None
        storm = Drain(drain.backlog, drain.offered_per_s * self.scenario.client.retry.max_attempts, drain.capacity_per_s)
        if storm.spare > 0:  # even if every attempt failed, the tries would not sustain themselves: it drains, with them
            drain = storm
        elif quiet is not None:  # what is there to drain but for the retries, which are what might keep it from draining
            drain = quiet.drain
            evidence |= {"backlog_without_retries": drain.backlog, "drain_bound_s": drain.bound_s}
        longer = self._not_long_enough(drain)
        if longer is not None:
            words = (
                f"Still bad {format_seconds(self.ended_s - self.trigger.end_s)} after the {after}, when the run ends, but it "
                f"may get better: run longer than {format_seconds(longer)}."
            )
            return Verdict("inconclusive", words, evidence | {"run_longer_s": longer})
        control = ask(TRIGGER)
        if control is None:
            words = f"Bad long after the {after}; the controls that would tell why were not run."
            return Verdict("inconclusive", words, evidence)
        if not control.well:
            return Verdict("overloaded", f"From the start: without the {after} it ends just as badly.", evidence)
        return self._metastable(drain, quiet, retried, evidence)

    def _metastable(self, drain: Drain, quiet: Ending | None, retried: bool, evidence: dict[str, float]) -> Verdict:
        by_retries = quiet is not None and quiet.well is True
        cause = "retries" if by_retries else "something other than retries"
        told = "without them it recovers" if by_retries else "without them it stays down" if retried else "there are none"
        words = (
            f"The {self.trigger.what} was over at {format_seconds(self.trigger.end_s)}, the backlog would have drained within "
            f"{format_seconds(drain.bound_s)} of that, without it all is well, and yet {format_rate(self.goodput_per_s)} of "
            f"{format_rate(drain.offered_per_s)} succeed to the end. Sustained by {cause} ({told})."
        )
        return Verdict("metastable", words, evidence, cause)

    def _not_long_enough(self, drain: Drain) -> float | None:
        """How long the run should be, in seconds, before a collapse may be called lasting; None when it was long enough: the
        backlog has had its time to drain, it is not getting smaller, and successes are not getting more."""
        end, ended = self.trigger.end_s, self.ended_s
        needed = end + drain.bound_s + 3 * STEP_S
        if needed > ended:
            return round_up(needed)
        if self.trend.shrinks:
            then, now = self.trend.inside
            return round_up(ended + SIGMAS * now / (then - now) * (ended - end) / 2)
        if self.trend.improves:
            return round_up(end + 3 * (ended - end))
        return None


def _goodput(result: Result, begin: float) -> float:
    requests = result.tables["requests"]
    happy = (requests["outcome"] == Outcome.OK) & (requests["ended_s"] >= begin)
    return float(happy.sum()) / max(result.ended_s - begin, 1e-9)


def _inside(result: Result, moment: float) -> float:
    """Attempts inside the API, or waiting for it to let them in, at `moment`."""
    attempts = result.tables["attempts"]
    return float(((attempts["admitted_s"] <= moment) & ~(attempts["freed_s"] <= moment)).sum())


def successes(result: Result, begin: float, end: float) -> tuple[float, int]:
    """Share of the requests born in [begin, end) that succeeded, and how many there were."""
    requests = result.tables["requests"]
    born = (requests["born_s"] >= begin) & (requests["born_s"] < end)
    count = int(born.sum())
    return (float((requests["outcome"][born] == Outcome.OK).mean()) if count else 0.0), count


def round_up(seconds: float) -> float:
    """To ten seconds, or to minutes beyond ten of them."""
    step = 10.0 if seconds < 600 else 60.0
    return ceil(seconds / step) * step
