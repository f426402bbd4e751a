"""What clients and servers do about overload, in small systems with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpsim import metrics
from bpsim.engine import run
from bpsim.result import Outcome, Result, Work
from tests.pipelines import exponential, poisson, station

METRONOME = {"kind": "deterministic", "rate": 10}


def outcomes(result: Result) -> list[str]:
    return [Outcome(code).name.lower() for code in result.tables["attempts"]["outcome"]]


def overloaded(duration: float = 60.0, **options: Any) -> dict[str, float]:
    """One worker, 10/s exponential, offered 15/s, patience 5 s (facts A3)."""
    result = run(station(poisson(15), exponential(0.1), duration, timeout=5.0, **options), 1)
    metrics.check(result)
    return metrics.summary(result)


def test_last_come_first_served_keeps_serving_where_first_come_first_served_serves_nobody() -> None:
    lifo, fifo = overloaded(600.0, order="lifo"), overloaded(600.0, order="fifo")
    assert lifo["goodput_per_s"] == pytest.approx(9.9, abs=0.3)
    assert fifo["goodput_per_s"] < 0.5
    assert overloaded(600.0, order="adaptive_lifo")["goodput_per_s"] == pytest.approx(9.9, abs=0.3)


def test_adaptive_lifo_is_fifo_while_few_wait() -> None:
    def waits(order: str, **options: Any) -> np.ndarray[Any, Any]:
        result = run(station(poisson(8), exponential(0.1), 100.0, order=order, **options))
        return np.asarray(result.tables["attempts"]["ended_s"])

    assert np.array_equal(waits("adaptive_lifo", lifo_above=10**6), waits("fifo"), equal_nan=True)
    assert np.array_equal(waits("adaptive_lifo", lifo_above=0), waits("lifo"), equal_nan=True)


def test_skipping_who_has_left_keeps_the_workers_for_those_who_wait() -> None:
    skip = overloaded(600.0, expired="skip")
    assert skip["goodput_per_s"] > 4  # M/D/1-like: the head of the queue is always almost expired
    assert skip["wasted_share"] < 0.6
    assert skip["shed"] == pytest.approx(5 * 600, rel=0.2)


def test_full_queue_says_429_or_503_or_nothing() -> None:
    for on_full, expected in (("reject", "rejected"), ("unavailable", "unavailable"), ("drop", "timed_out")):
        result = run(station(METRONOME, 1.0, 20.0, queue=0, timeout=2.0, on_full=on_full, reject_time=0.001))
        assert set(outcomes(result)) == {"ok", expected, "pending"}
        assert (result.tables["attempts"]["work"] == Work.TURNED_AWAY).sum() == pytest.approx(180, abs=2)


def test_rejections_that_cost_a_worker_can_eat_the_whole_capacity() -> None:
    def goodput(cost: float) -> float:
        scenario = station(poisson(200), 0.01, 60.0, queue=5, reject_time=0.001, reject_cost=cost)
        result = run(scenario)
        metrics.check(result)
        return metrics.summary(result)["goodput_per_s"]

    assert goodput(0.0) == pytest.approx(100, rel=0.03)
    # g served and 200 − g rejected a second: 0.01 g + 0.004 (200 − g) = 1
    assert goodput(0.004) == pytest.approx(100 / 3, rel=0.1)
    assert goodput(0.01) < 10


def test_the_most_critical_are_served_and_the_least_are_shed() -> None:
    shares = {"critical_plus": 0.2, "critical": 0.2, "sheddable": 0.6}
    scenario = station(
        poisson(20), exponential(0.1), 300.0, queue=10, order="critical_first", criticality=shares, reject_time=0.001
    )
    found = metrics.summary(run(scenario))
    assert found["success_share_critical_plus"] > 0.99
    assert found["success_share_critical"] > 0.95
    assert found["success_share_sheddable"] == pytest.approx(2 / 12, abs=0.05)
    assert np.isnan(found["success_share_sheddable_plus"])


def test_cancelled_work_frees_the_worker() -> None:
    kept, propagated = overloaded(600.0, cancellation="none"), overloaded(600.0, cancellation="propagated")
    assert kept["goodput_per_s"] < 0.5
    assert kept["cancelled"] == 0
    assert propagated["goodput_per_s"] > 4
    assert propagated["wasted_share"] == 0
    assert propagated["cancelled"] + propagated["goodput_per_s"] * 600 == pytest.approx(15 * 600, rel=0.05)


def test_cancellation_does_not_help_when_service_takes_most_of_the_patience() -> None:
    result = run(station(METRONOME, 0.5, 60.0, workers=2, timeout=0.7, cancellation="propagated"))
    metrics.check(result)
    assert metrics.summary(result)["goodput_per_s"] < 0.1  # who is served has waited so long that no time is left


def test_a_deadline_ends_waiting_and_trying() -> None:
    retry = {"kind": "fixed", "delay": 0.3, "max_attempts": 10}
    result = run(station({"kind": "deterministic", "rate": 1}, 5.0, 30.0, workers=100, timeout=0.5, deadline=1.0, retry=retry))
    attempts = result.tables["attempts"]
    first = attempts["request"] == 0
    np.testing.assert_allclose(attempts["sent_s"][first] - 1.0, [0, 0.8])
    np.testing.assert_allclose(attempts["ended_s"][first] - 1.0, [0.5, 1.0])


def test_retry_after_is_honoured_by_those_who_honour_it() -> None:
    def gaps(honour: bool) -> np.ndarray[Any, Any]:
        retry = {"kind": "fixed", "delay": 0.1, "max_attempts": 4, "honour_retry_after": honour}
        arrivals = {"kind": "deterministic", "rate": 0.1}
        scenario = station(arrivals, 1.0, 25.0, timeout=30.0, retry=retry, reject_time=0.01, retry_after=2.0, queue=0,
                           admission={"kind": "token_bucket", "rate": 1e-6, "burst": 1})  # fmt: skip
        attempts = run(scenario).tables["attempts"]
        return np.diff(attempts["sent_s"][attempts["request"] == 1])

    np.testing.assert_allclose(gaps(True), 2.01)
    np.testing.assert_allclose(gaps(False), 0.11)


def test_a_hedge_is_sent_when_the_first_is_slow_and_the_first_reply_counts() -> None:
    law = {"kind": "bimodal", "fast": 0.01, "slow": 1.0, "p_slow": 0.1, "spread": "constant"}
    result = run(station(poisson(50), law, 100.0, workers=1000, hedge={"after": 0.05}))
    metrics.check(result)
    found = metrics.summary(result)
    # the second attempt is slow in 1 of 10 cases as well: 0.06 s for 9 %, 1 s for 1 %
    assert found["latency_success_s_p95"] == pytest.approx(0.06, abs=1e-6)
    assert found["amplification"] == pytest.approx(1.1, abs=0.02)
    superseded = outcomes(result).count("superseded")
    assert superseded == pytest.approx(0.1 * 5000, rel=0.2)


def test_messages_lost_on_the_way_there_are_no_work_and_on_the_way_back_are_waste() -> None:
    faults = [{"kind": "loss", "target": "api", "at": 0.0, "lasts": 500.0, "share": 0.2}]
    result = run(station(METRONOME, 0.01, 500.0, workers=100, timeout=1.0, faults=faults))
    metrics.check(result)
    work = result.tables["attempts"]["work"]
    assert (work == Work.VANISHED).mean() == pytest.approx(0.2, abs=0.02)
    assert (work == Work.WASTED).mean() == pytest.approx(0.16, abs=0.02)
    assert metrics.summary(result)["success_share"] == pytest.approx(0.64, abs=0.03)


def test_the_network_takes_its_time_both_ways() -> None:
    result = run(station(METRONOME, 0.01, 50.0, workers=100, network_delay=0.03))
    attempts = result.tables["attempts"]
    done = attempts["outcome"] == Outcome.OK
    np.testing.assert_allclose((attempts["ended_s"] - attempts["sent_s"])[done], 0.07)
    np.testing.assert_allclose((attempts["admitted_s"] - attempts["sent_s"])[done], 0.03)


def test_errors_are_failures_after_the_work() -> None:
    faults = [{"kind": "errors", "target": "api", "at": 0.0, "lasts": 400.0, "share": 0.25}]
    result = run(station(METRONOME, 0.01, 400.0, workers=10, faults=faults))
    assert outcomes(result).count("error") == pytest.approx(1000, rel=0.1)
    assert (result.tables["attempts"]["work"] == Work.FAILED).sum() == outcomes(result).count("error")


def test_requests_in_service_slow_those_that_begin() -> None:
    result = run(station({"kind": "deterministic", "rate": 40}, 1.0, 200.0, workers=1000, contention=0.01))
    assert metrics.summary(result)["latency_success_s_p50"] == pytest.approx(1 / (1 - 0.01 * 40), rel=0.02)


def test_at_one_instant_timeouts_come_first_then_arrivals_then_retries() -> None:
    """A request times out at the instant of the next arrival, then two do, and all are tried again at once."""
    arrivals = {"kind": "piecewise", "spacing": "constant", "points": [{"at": 0.0, "rate": 1.0}]}
    retry = {"kind": "immediate", "max_attempts": 3}
    attempts = run(station(arrivals, 100.0, 6.5, retry=retry, timeout=1.0)).tables["attempts"]
    assert (np.diff(attempts["sent_s"]) >= 0).all()
    sent = list(zip(attempts["request"].tolist(), attempts["number"].tolist(), strict=True))
    assert sent[:6] == [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1)]


def test_an_immediate_retry_is_the_next_attempt_of_its_request() -> None:
    arrivals = {"kind": "piecewise", "spacing": "constant", "points": [{"at": 0.0, "rate": 1.0}]}
    retry = {"kind": "immediate", "max_attempts": 3}
    attempts = run(station(arrivals, 100.0, 2.9, retry=retry, timeout=0.4)).tables["attempts"]
    first = attempts["request"] == 0
    assert attempts["number"][first].tolist() == [0, 1, 2]
    assert np.diff(attempts["sent_s"][first]) == pytest.approx(0.4)
    assert (attempts["ended_s"] - attempts["sent_s"])[first] == pytest.approx(0.4)
    assert set(attempts["outcome"][first]) == {Outcome.TIMED_OUT}
