"""The verdict on runs whose fate is known, and what is never called metastable."""

from __future__ import annotations

from typing import Any

import pytest

from bpsim.counterfactual import trigger_of, without_retries, without_trigger
from bpsim.engine import run
from bpsim.scenario import Scenario
from bpsim.verdict import Verdict, judge
from bpsim.verdict.drain import Drain
from tests.pipelines import exponential, poisson, station

NAIVE = {"kind": "immediate", "max_attempts": 4}
SLOW = {"kind": "slowdown", "target": "api", "at": 60.0, "lasts": 20.0, "factor": 3.0}


def verdict(scenario: Scenario, seed: int = 1, controls: bool = True) -> Verdict:
    reruns: list[str] = []

    def rerun(changed: Scenario, words: str) -> Any:
        reruns.append(words)
        return run(changed, seed) if controls else None

    found = judge(scenario, run(scenario, seed), rerun)
    assert "nan" not in found.words
    assert not found.words.lower().startswith(found.state), "it is read after the state"
    assert all(value == value for value in found.evidence.values())
    assert bool(reruns) <= (found.state in ("metastable", "overloaded", "inconclusive")), (
        "controls only for those who end badly"
    )
    return found


def service(rate: float = 80.0, duration: float = 300.0, **options: Any) -> Scenario:
    """10 workers that do 100/s, a client that waits for a second."""
    options = {"timeout": 1.0, "faults": [SLOW], "reject_time": 0.001} | options
    return station(poisson(rate), exponential(0.1), duration, 10, **options)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_collapse_that_outlasts_its_cause_because_of_retries_is_metastable(seed: int) -> None:
    found = verdict(service(retry=NAIVE), seed)
    assert found.state == "metastable"
    assert found.sustained_by == "retries"
    assert "slowdown of the API was over at 80 s" in found.words


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_same_without_retries_recovers_and_says_when(seed: int) -> None:
    found = verdict(service(), seed)
    assert found.state == "recovered"
    # 20 s · (80 − 33/s) = 933 wait, 833 beyond a second's worth, which take 42 s at 20/s
    assert 20 <= found.evidence["recovery_s"] <= 90


def test_the_deterministic_pause_is_metastable_and_without_retries_it_is_not() -> None:
    def pause(retry: dict[str, Any]) -> Verdict:
        stall = {"kind": "stall", "target": "api", "at": 30 + 0.75 / 7, "lasts": 1.0}
        arrivals = {"kind": "deterministic", "rate": 7}
        return verdict(station(arrivals, 0.1, 150.0, timeout=0.5, retry=retry, faults=[stall]))

    assert pause({"kind": "fixed", "delay": 0.05, "max_attempts": 4}).sustained_by == "retries"
    assert pause({"kind": "none"}).state == "recovered"


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_slow_drain_is_never_metastable(seed: int) -> None:
    """97/s into 100/s: the backlog of about 1300 takes 7 minutes; the run ends after 4, then after 20."""
    short = verdict(service(97.0, duration=300.0), seed)
    assert short.state == "inconclusive"
    assert short.evidence["run_longer_s"] > 300
    long = verdict(service(97.0, duration=2000.0), seed)
    assert long.state in ("recovered", "inconclusive"), "97 % load may go bad again by itself"


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_slow_drain_with_one_retry_is_never_metastable(seed: int) -> None:
    """With their retries 48/s are 96/s: less than capacity, so the storm ends, slowly."""
    found = verdict(
        service(48.0, duration=200.0, retry={"kind": "immediate", "max_attempts": 2}, faults=[SLOW | {"factor": 8.0}]), seed
    )
    assert found.state in ("inconclusive", "recovered")


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("retry", [{"kind": "none"}, NAIVE])
def test_plain_overload_is_never_metastable(seed: int, retry: dict[str, Any]) -> None:
    with_fault = verdict(service(110.0, retry=retry), seed)
    assert with_fault.state == "overloaded"
    alone = verdict(service(110.0, retry=retry, faults=[]), seed)
    assert alone.state == "overloaded"
    assert "nothing out of the ordinary" in alone.words


def test_a_load_that_is_bad_already_before_the_fault_is_overload() -> None:
    """92 % load, little patience and four tries: the storm needs no trigger."""
    found = verdict(service(92.0, duration=600.0, retry=NAIVE, queue=100, timeout=0.3), 1)
    assert found.state == "overloaded"
    assert "From the start" in found.words


def test_an_ordinary_day_is_healthy_and_a_little_trouble_degrades() -> None:
    assert verdict(service(50.0, faults=[])).state == "healthy"
    assert verdict(service(50.0, faults=[SLOW | {"factor": 1.2}])).state == "healthy"
    slower = verdict(service(50.0, faults=[SLOW], timeout=30.0))
    assert slower.state == "degraded"
    failing = {"kind": "errors", "target": "api", "at": 60.0, "lasts": 200.0, "share": 0.05}
    assert verdict(service(50.0, faults=[failing])).state == "degraded"


def test_users_who_wait_for_ever_notice_a_freeze() -> None:
    freeze = {"kind": "stall", "target": "api", "at": 20.0, "lasts": 30.0}
    found = verdict(station({"kind": "deterministic", "rate": 10}, 0.001, 50.05, 1000, faults=[freeze]))
    assert found.state == "degraded"
    assert "took 29" in found.words


def test_trouble_that_lasts_to_the_end_is_too_early_to_judge() -> None:
    found = verdict(service(faults=[SLOW | {"lasts": 1000.0}]))
    assert found.state == "inconclusive"
    assert "not over" in found.words


def test_a_run_too_short_says_how_long_it_should_be() -> None:
    short = verdict(service(duration=110.0, retry=NAIVE))
    assert short.state == "inconclusive"
    assert 110 < short.evidence["run_longer_s"] < 300
    assert verdict(service(duration=short.evidence["run_longer_s"] + 60, retry=NAIVE)).state == "metastable"


def test_without_controls_there_is_no_metastability() -> None:
    found = verdict(service(retry=NAIVE), controls=False)
    assert found.state == "inconclusive"


def test_a_process_that_stays_down_has_crashed_and_one_that_comes_back_has_recovered() -> None:
    crashed = verdict(station(poisson(200), exponential(0.1), 60.0, 10, heap=1_000_000))
    assert crashed.state == "crashed"
    assert "API process died at" in crashed.words
    crash = {"kind": "crash", "target": "api", "at": 60.0, "lasts": 10.0}
    back = verdict(service(faults=[crash]))
    assert back.state == "recovered"
    assert "died 1 times" in back.words


def test_a_load_peak_is_a_trigger_and_its_control_never_exceeds_the_final_load() -> None:
    points = [
        {"at": 0.0, "rate": 60},
        {"at": 60.0, "rate": 160},
        {"at": 70.0, "rate": 160},
        {"at": 75.0, "rate": 60, "by": "ramp"},
    ]
    scenario = station({"kind": "piecewise", "points": points}, exponential(0.1), 300.0, 10, timeout=1.0, retry=NAIVE)
    trigger = trigger_of(scenario)
    assert trigger is not None
    assert (trigger.begin_s, trigger.end_s) == (60.0, 75.0)
    assert [point.rate for point in without_trigger(scenario).client.arrivals.points] == [60.0] * 4  # type: ignore[union-attr]
    assert verdict(scenario).state == "metastable"


def test_controls_change_nothing_else() -> None:
    scenario = service(retry=NAIVE)
    calm = without_retries(scenario)
    assert calm is not None
    assert calm.client.retry.kind == "none"
    assert calm.faults == scenario.faults
    assert without_trigger(scenario).client == scenario.client
    assert without_retries(service()) is None


def test_a_backlog_drains_within_its_mean_and_three_standard_deviations() -> None:
    drain = Drain(453, 90, 100)
    assert drain.mean_s == pytest.approx(45.3)
    assert drain.bound_s == pytest.approx(45.3 + 3 * 9.28, abs=0.1)  # facts A3: sd 9.3 s
    assert Drain(1, 100, 100).bound_s == float("inf")


def test_nothing_to_judge_is_said() -> None:
    assert verdict(station(poisson(0.001), 0.1, 5.0, faults=[])).state == "inconclusive"
