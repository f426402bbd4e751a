"""Two collapses without a drop of randomness, and the rule that decides them."""

from __future__ import annotations

import numpy as np
import pytest

from bpsim.engine import run
from bpsim.result import Outcome, Result
from tests.pipelines import station


def goodput(result: Result, since: float) -> float:
    """Share of the requests born after `since` that succeeded, of those with an outcome."""
    requests = result.tables["requests"]
    counted = (requests["born_s"] >= since) & (requests["outcome"] != Outcome.PENDING)
    return float((requests["outcome"][counted] == Outcome.OK).mean())


JUST_BEFORE_A_REQUEST = 30 + 0.75 / 7
"""Requests arrive every 1/7 s and take 0.1 s. The pause stops work in progress, as a collector does, so a request that
arrives right after it began waits pause + 0.1 s. Up to 0.4 s that stays within the timeout whenever the pause begins. A
pause of 0.5 s, the timeout itself, is on the edge: it recovers when the pause begins in the idle moment before a request
(here), and not otherwise."""


def gc_pause(pause: float, retries: int, at: float = JUST_BEFORE_A_REQUEST) -> Result:
    """7/s, 100 ms each, timeout 500 ms, retries after 50 ms (facts/overload.md, C4)."""
    return run(
        station(
            {"kind": "deterministic", "rate": 7},
            0.1,
            150.0,
            timeout=0.5,
            retry={"kind": "fixed", "delay": 0.05, "max_attempts": retries + 1},
            faults=[{"kind": "stall", "target": "api", "at": at, "lasts": pause}],
        )
    )


def test_a_pause_of_one_second_is_for_ever() -> None:
    result = gc_pause(1.0, retries=3)
    assert goodput(result, 33.0) == 0.0
    requests = result.tables["requests"]
    settled = (requests["born_s"] > 33) & (requests["outcome"] != Outcome.PENDING)
    assert (requests["attempts"][settled] == 4).all()


@pytest.mark.parametrize(("pause", "retries"), [(0.5, 3), (0.3, 3), (1.0, 0)])
def test_a_short_pause_or_no_retries_and_it_recovers(pause: float, retries: int) -> None:
    assert goodput(gc_pause(pause, retries), 45.0) == 1.0


@pytest.mark.parametrize(("pause", "retries"), [(0.7, 3), (0.9, 3), (1.0, 1), (1.0, 2)])
def test_the_other_published_pauses_collapse(pause: float, retries: int) -> None:
    assert goodput(gc_pause(pause, retries), 45.0) == 0.0


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_clear_cases_do_not_depend_on_when_the_pause_begins(phase: float) -> None:
    assert goodput(gc_pause(0.4, 3, 30 + phase / 7), 45.0) == 1.0
    assert goodput(gc_pause(1.0, 3, 30 + phase / 7), 45.0) == 0.0


def bound(places: int) -> Result:
    """One worker at 10/s, timeout 5 s, 5 retries; load 5, 15, 5 per second for 5, 10, 30 minutes (HotOS'25)."""
    points = [{"at": 0.0, "rate": 5}, {"at": 300.0, "rate": 15}, {"at": 900.0, "rate": 5}]
    return run(
        station(
            {"kind": "piecewise", "points": points, "spacing": "constant"},
            0.1,
            2700.0,
            queue=places,
            timeout=5.0,
            retry={"kind": "immediate", "max_attempts": 6},
        )
    )


def test_a_queue_longer_than_capacity_times_timeout_never_recovers() -> None:
    result = bound(150)
    assert goodput(result, 1200.0) < 0.01
    requests = result.tables["requests"]
    settled = (requests["born_s"] > 1200) & (requests["outcome"] != Outcome.PENDING)
    assert requests["attempts"][settled].mean() > 5.5


def test_a_queue_shorter_than_capacity_times_timeout_recovers() -> None:
    result = bound(35)
    assert goodput(result, 960.0) == 1.0
    born = result.tables["requests"]["born_s"]
    assert np.diff(born[(born > 301) & (born < 899)]).max() == pytest.approx(1 / 15, rel=1e-6)
