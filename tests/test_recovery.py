"""The summary of results made by hand: recovery, phases and the order in which pressure arrives."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

import numpy as np
import pytest

from bpsim.metrics import recovery_time, summary
from bpsim.result import Outcome, Result
from tests.made_results import NEVER, Asked, Hop, Mark, Try, fault, made, once, served, turned_away


def failing(begin: float, end: float, run: float = 60.0) -> Result:
    """A request every 0.5 s; those born in [begin, end) time out. The fault is from 10 s to 20 s."""
    born = np.arange(0, run - 1, 0.5)
    asked = [once(b, 1, Outcome.TIMED_OUT) if begin <= b < end else once(b, 0.25) for b in born]
    return made(asked, marks=fault(10, 20, "api"), end=run)


@pytest.mark.parametrize(("until", "recovery"), [(20, 0), (20.5, 0), (23, 5), (25, 5), (26, 10), (44, 25), (60, nan)])
def test_recovery_takes_until_the_last_bad_five_seconds_after_the_fault(until: float, recovery: float) -> None:
    np.testing.assert_equal(recovery_time(failing(10, until)), recovery)


def test_silence_after_a_fault_is_no_recovery() -> None:
    assert isnan(recovery_time(made([once(1, 0.25)], marks=fault(10, 20), end=60)))


def test_clients_who_wait_for_ever_have_not_recovered() -> None:
    asked = [once(k, 0.25) for k in range(10)] + [Asked(k, (Try(k, outcome=Outcome.PENDING),)) for k in range(10, 60)]
    assert isnan(recovery_time(made(asked, marks=fault(10, 20), end=60)))


def test_requests_that_came_just_before_the_end_are_not_held_against_it() -> None:
    asked = [once(k, 0.25) for k in range(57)] + [Asked(k, (Try(k, outcome=Outcome.PENDING),)) for k in range(57, 60)]
    assert recovery_time(made(asked, marks=fault(10, 20), end=60)) == 0


def test_without_a_fault_there_is_no_recovery_and_there_are_no_phases() -> None:
    found = summary(made([once(0, 1)]))
    assert all(isnan(found[name]) for name in ("recovery_time_s", "before_goodput_per_s", "writer_onset_s"))


def test_phases_are_before_during_and_after_the_faults() -> None:
    asked = [once(k + 0.5, 0.25) for k in range(4)]
    asked += [Asked(4, (served(4, 4, 6, Outcome.TIMED_OUT), turned_away(5, 5.5))), once(6, 2)]
    found = summary(made(asked, marks=fault(4, 6)))
    expected = {"offered_per_s": [1, 0.5, 0.25], "goodput_per_s": [1, 0, 0.25], "amplification": [1, 2, 1]}
    expected["latency_final_s_p99"] = [0.25, 1.5, 2]
    for name, values in expected.items():
        assert [found[f"{phase}_{name}"] for phase in ("before", "during", "after")] == values, name


def test_pressure_begins_where_the_fault_is_and_travels_upstream() -> None:
    full = {"records": 10}
    hops = [Hop("writer", 0, 10, 5, NEVER), Hop("flink", 10, 1, 4, 6.5, 7, NEVER)]
    asked = [once(k / 10, 0.1) for k in range(80)] + [once(8 + k / 10, 0.5) for k in range(10)]
    marks = [*fault(5, 9), Mark(8, "consumer", "pause_begins")]
    tiers: dict[str, Any] = {
        "api": {"workers": 10},
        "flink": {"parallelism": 1},
        "writer": {"connections": 1, "buffer": full},
        "consumer": {},
    }
    found = summary(made(asked, hops=hops, marks=marks, **tiers))
    onsets = [found[f"{tier}_onset_s"] for tier in ("writer", "flink", "consumer", "client", "api")]
    assert onsets[:3] == pytest.approx([5, 6.4, 8], abs=0.21)
    assert onsets[3] == pytest.approx(8.2), "the first has waited twice as long as usual"
    assert onsets[4] == inf
