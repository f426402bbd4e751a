"""What users noticed: which of it is the trouble of a run, and which is a moment apart from it.

Whatever names an onset or an end of harm (story, figures, bookmarks, `client_onset_s`) asks `harm`, so that all name the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, inf, isnan, nan, sqrt

import numpy as np

from bpsim.metrics.health import GOOD
from bpsim.metrics.pressure import Stretch
from bpsim.metrics.spans import Floats, per_window, quantiles, stretches
from bpsim.result import Column, Outcome, Result

NOTICED, AT_LEAST, SLOWER = 0.01, 3, 2.0
"""Users notice when over 1 % of the requests (3 at least) of a second fail, or take twice as long as p99 did before."""
FAR = 0.1
"""Harm of less than a tenth of the worst is far smaller than it."""
NEAR_S = 1.0
"""Two things so close together are taken to be one: pressure is seen in windows, and lasting only after a second."""
STEP_S, GAP = 1.0, 5
"""Width of a window, and how many good ones in a row end a stretch."""
FIRST_S = 1.0
"""Where the trouble begins with the run, what this time shows is what was usual."""
SIGMAS = 3.0
Window = tuple[float, float]


@dataclass(frozen=True)
class Harm:
    """Stretches in which users noticed, in order of time: those that make up the `trouble` to be explained, and those `apart`
    from it, far smaller and far from anything out of the ordinary: what chance does on an ordinary day."""

    trouble: list[Stretch]
    apart: list[Stretch]


def harm(result: Result) -> Harm:
    """What users of `result` noticed."""
    windows = disturbances(result)
    return Harm(*told_apart(_harmed(result, windows), windows))


def disturbances(result: Result) -> list[Window]:
    """When something was out of the ordinary: each fault, and each stretch of a load that is too high; (begin, end) in seconds,
    in order of beginning; inf: to the end of the run."""
    marks = result.tables["marks"]
    open_: dict[float, list[float]] = {}
    found = [(begin, end) for begin, end in result.overloads if begin < result.ended_s]
    for time, kind, number in zip(marks["time_s"], marks["kind"], marks["value"], strict=True):
        if kind == "fault_begins":
            open_.setdefault(number, []).append(float(time))
        elif kind == "fault_ends" and open_.get(number):
            found.append((open_[number].pop(), float(time)))
    return sorted(found + [(begin, inf) for begins in open_.values() for begin in begins])


def told_apart(found: Sequence[Stretch], windows: Sequence[Window]) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches of harm that make up the trouble, and those apart from it.

    Apart is what begins while nothing is out of the ordinary and is less than a hundredth of the worst, or less than a tenth
    with nine requests of ten well meanwhile. What was there before anything was out of the ordinary cannot be a consequence
    of it: that is apart when all of it is less than a tenth of what came then, or less than the worst with nine of ten well.
    """
    first = min((begin for begin, _ in windows), default=0.0)
    alone = [one for one in found if not any(begin - NEAR_S <= one.begin_s <= end + NEAR_S for begin, end in windows)]
    early = [one for one in alone if one.begin_s < first]
    all_early, worst = sum(one.peak for one in early), max((one.peak for one in found), default=0.0)
    far = all_early < FAR * (sum(one.peak for one in found) - all_early)

    def is_apart(one: Stretch) -> bool:
        mild = one.share < 1 - GOOD and one.peak < (worst if one in early else FAR * worst)
        return one in alone and (one.peak < NOTICED * worst or mild or (far and one in early))

    kept = [one for one in found if not is_apart(one)]
    return (kept, [one for one in found if one not in kept]) if kept else (list(found), [])


@dataclass(frozen=True)
class _Felt:
    """Requests by the moment in which their users knew: with the outcome, or before it as soon as one takes too long."""

    when: Floats
    ended: Floats
    bad: Column

    @classmethod
    def of(cls, result: Result, since_s: float, usual_s: float) -> _Felt:
        """`usual_s`: what hardly any request takes longer than; from `since_s` on, twice as long is too long."""
        requests = result.tables["requests"]
        ended, late = requests["ended_s"], np.maximum(requests["born_s"] + SLOWER * usual_s, since_s)
        slow = np.where(np.isnan(ended), result.ended_s, ended) > late
        known = slow | (requests["outcome"] != Outcome.PENDING)
        bad = slow | (requests["outcome"] != Outcome.OK)
        return cls(np.where(slow, late, ended)[known], ended[known], bad[known])

    def stretch(self, begin_s: float, end_s: float, is_over: bool) -> Stretch:
        """Those who knew in [begin_s, end_s), up to the outcome of the last of them if it `is_over`."""
        here = (self.when >= begin_s) & (self.when < end_s)
        mine = here & self.bad
        until = float(self.ended[mine].max()) if is_over else inf  # NaN: they wait to this day
        many = float(mine.sum())
        return Stretch(
            "client", "harmed", float(self.when[mine].min()), inf if isnan(until) else until, many, many / here.sum()
        )


def _harmed(result: Result, windows: Sequence[Window]) -> list[Stretch]:
    """Every stretch of windows in which users noticed, those before the first disturbance by themselves. Good windows of less
    than `GAP` in a row do not end one, nor do those at the end of the run if there were as many in the midst of it."""
    since = windows[0][0] if windows else 0.0
    felt = _Felt.of(result, since, _usual(result, since) if windows else nan)
    split, after = ceil(since / STEP_S), floor((result.ended_s - since) / STEP_S) + 1
    edges: Floats = since + STEP_S * np.arange(-split, after + 1, dtype=np.float64)
    total, worse = per_window(felt.when, edges), per_window(felt.when[felt.bad], edges)
    mask = (worse > NOTICED * total) & (worse >= AT_LEAST)
    parts = [*stretches(mask[:split], GAP), *((split + first, split + end) for first, end in stretches(mask[split:], GAP))]
    found: list[Stretch] = []
    for first, end in parts:
        quiet = max((b - a for a, b in stretches(~mask[first:end])), default=0)
        is_over = result.ended_s - edges[end] > quiet * STEP_S and bool((felt.when >= edges[end]).any())
        one = felt.stretch(edges[first], edges[end], is_over)
        if found and _goes_on(found[-1], one):
            one = _together(found.pop(), one)
        found.append(one)
    return found


def _usual(result: Result, since_s: float) -> float:
    """p99 of the seconds that requests took which ended before `since_s`, or at the very beginning; NaN without any."""
    requests = result.tables["requests"]
    early = requests["ended_s"] < max(since_s, FIRST_S)
    return float(quantiles((requests["ended_s"] - requests["born_s"])[early], (0.99,))[0])


def _goes_on(one: Stretch, other: Stretch) -> bool:
    """Whether `other`, which begins shortly after `one` ends, is more of the same: it is not noticeably worse."""
    chance = SIGMAS * sqrt(one.share * (1 - one.share) * (one.share / one.peak + other.share / other.peak))
    return other.begin_s - one.end_s < GAP * STEP_S and other.share - one.share <= max(NOTICED, chance)


def _together(one: Stretch, other: Stretch) -> Stretch:
    peak, total = one.peak + other.peak, one.peak / one.share + other.peak / other.share
    return replace(one, end_s=max(one.end_s, other.end_s), peak=peak, share=peak / total)
