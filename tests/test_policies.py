"""Policies alone: no clock, no chance, one line each."""

from __future__ import annotations

from math import log10
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from bpsim.policies.admission import Admission
from bpsim.policies.breaker import Breaker
from bpsim.policies.budget import RetryBudget
from bpsim.policies.limits import Limit
from bpsim.policies.rolling import Rolling
from bpsim.policies.shedding import Shedding
from bpsim.policies.throttle import Cubic, Throttle


def made(family: Any, kind: str, **options: Any) -> Any:
    """A policy, ready to decide."""
    return TypeAdapter(family).validate_python({"kind": kind} | options).build()


def test_a_rolling_sum_forgets_slot_by_slot() -> None:
    sums = Rolling(10.0, 10, 2)
    for second in range(20):
        sums.add(second + 0.5, 0)
        sums.add(second + 0.5, 1, 2.0)
    assert sums.totals == [10.0, 20.0]
    assert sums.advance(25.2) == [4.0, 8.0]
    assert sums.advance(99.0) == [0.0, 0.0]
    sums.add(99.0, 0)
    assert sums.totals == [1.0, 0.0]


def test_the_aws_quota_pays_100_retries_and_gets_their_cost_back_when_they_succeed() -> None:
    quota = made(RetryBudget, "aws")
    assert [quota.withdraw(0, False, 0) for _ in range(101)] == [True] * 100 + [False]
    quota.on_success(0, 1, False)
    assert quota.left == 5
    quota.on_success(0, 1, True)
    assert quota.left == 15
    quota.on_success(0, 0, False)
    assert quota.left == 16
    for _ in range(600):
        quota.on_success(0, 0, False)
    assert quota.left == 500
    assert sum(quota.withdraw(0, True, 0) for _ in range(99)) == 50


def test_finagle_pays_one_retry_for_five_requests_and_forgets_after_ten_seconds() -> None:
    budget = made(RetryBudget, "finagle", min_per_s=0.0)
    for _ in range(4):
        budget.on_send(0.0)
    assert not budget.withdraw(0.0, False, 0)
    budget.on_send(0.0)
    assert budget.withdraw(0.0, False, 0)
    assert not budget.withdraw(0.0, False, 0)
    for _ in range(5):
        budget.on_send(1.0)
    assert not budget.withdraw(12.0, False, 0)
    assert sum(made(RetryBudget, "finagle").withdraw(0.0, False, 0) for _ in range(1)) == 1


def test_grpc_stops_after_five_failures_and_needs_ten_successes_for_a_token() -> None:
    throttle = made(RetryBudget, "grpc")
    said = []
    for _ in range(6):
        throttle.on_failure(0)
        said.append(throttle.withdraw(0, False, 0))
    assert said == [True] * 4 + [False] * 2
    for _ in range(10):
        throttle.on_success(0, 0, False)
    assert throttle.left == 5000
    assert not throttle.withdraw(0, False, 0)
    throttle.on_success(0, 0, False)
    assert throttle.withdraw(0, False, 0)


def test_envoy_lets_a_fifth_of_the_active_requests_be_retries_and_three_in_any_case() -> None:
    budget = made(RetryBudget, "envoy")
    assert [budget.withdraw(0, False, 4) for _ in range(4)] == [True, True, True, False]
    assert budget.withdraw(0, False, 20)
    assert not budget.withdraw(0, False, 24)
    budget.on_retry_end()
    assert budget.withdraw(0, False, 20)


def test_a_bucket_pays_one_retry_for_ten_requests() -> None:
    bucket = made(RetryBudget, "bucket")
    assert [bucket.withdraw(0, False, 0) for _ in range(5)] == [True] * 4 + [False]
    for _ in range(9):
        bucket.on_send(0)
    assert [bucket.withdraw(0, False, 0) for _ in range(2)] == [True, False]


def test_a_failure_ratio_stops_retries_when_more_than_a_tenth_has_failed() -> None:
    ratio = made(RetryBudget, "failure_ratio")
    ratio.on_failure(0)
    assert not ratio.withdraw(0, False, 0)
    for _ in range(9):
        ratio.on_success(0, 0, False)
    assert ratio.withdraw(0, False, 0)


def test_a_breaker_opens_at_half_of_a_hundred_calls_and_closes_after_ten_good_ones() -> None:
    breaker = made(Breaker, "resilience4j")
    for call in range(99):
        breaker.record(0.0, call % 2 == 1, 0.1)
    assert breaker.state == "closed"
    breaker.record(1.0, True, 0.1)
    assert breaker.state == "open"
    assert not breaker.allow(60.9)
    assert [breaker.allow(61.0) for _ in range(11)] == [True] * 10 + [False]
    for _ in range(9):
        breaker.record(61.5, False, 0.1)
    assert breaker.state == "half_open"
    breaker.record(61.5, False, 0.1)
    assert breaker.state == "closed"
    assert breaker.allow(61.5)


def test_a_breaker_that_fails_its_trial_waits_again() -> None:
    breaker = made(Breaker, "resilience4j", window_size=4, minimum_calls=4, half_open_calls=2, wait_in_open=10)
    for _ in range(4):
        breaker.record(0.0, True, 0.1)
    assert breaker.allow(10.0)
    breaker.record(10.5, False, 0.1)
    breaker.record(11.0, True, 0.1)
    assert breaker.state == "open"
    assert not breaker.allow(20.9)
    assert breaker.allow(21.0)


def test_slow_calls_open_a_breaker_too_and_old_ones_leave_the_window() -> None:
    breaker = made(Breaker, "resilience4j", window_size=10, minimum_calls=10, slow_call_duration=1.0, slow_call_rate=0.6)
    for call in range(20):
        breaker.record(0.0, False, 2.0 if call % 2 else 0.5)
    assert breaker.state == "closed"
    for _ in range(2):
        breaker.record(0.0, False, 2.0)
    assert breaker.state == "open"


def test_hystrix_looks_at_ten_seconds() -> None:
    breaker = made(Breaker, "hystrix")
    for _ in range(19):
        breaker.record(0.0, True, 0.1)
    breaker.record(15.0, True, 0.1)
    assert breaker.state == "closed"
    for _ in range(19):
        breaker.record(16.0, True, 0.1)
    assert breaker.state == "open"
    assert [breaker.allow(21.0), breaker.allow(21.0)] == [True, False]


def test_a_breaker_that_could_never_open_is_refused() -> None:
    with pytest.raises(ValidationError, match="never fit"):
        made(Breaker, "resilience4j", window_size=50)


def test_the_sre_throttle_lets_through_k_times_what_is_accepted() -> None:
    throttle, rng = made(Throttle, "sre"), np.random.default_rng(1)
    sent = accepted = 0
    free = 0.0
    for step in range(300_000):  # 50/s for 60 s, then 1000/s; the server takes 100/s
        now = step / 1000
        if now < 60 and step % 20:
            continue
        free = min(10.0, free + (0.1 if now >= 60 else 2.0))
        if throttle.allow(now, rng.random()):
            taken = free >= 1
            free -= taken
            throttle.on_end(now, taken, not taken)
            sent += now > 180
            accepted += taken and now > 180
    assert accepted == pytest.approx(120 * 100, rel=0.01)
    assert sent == pytest.approx(2 * accepted, rel=0.03)


def test_cubic_comes_back_to_its_rate_at_the_inflection() -> None:
    cubic = Cubic()
    assert cubic.throttled(8.0, 5.0) == pytest.approx(5.6)
    assert Cubic(beta=0.6).throttled(10.0, 0.0) == pytest.approx(6.0)
    assert cubic.rate(5.0) == pytest.approx(5.6)
    assert cubic.rate(5.0 + cubic.inflection(8.0)) == pytest.approx(8.0)
    assert cubic.rate(5.0 + 2 * cubic.inflection(8.0)) == pytest.approx(10.4)


def test_the_aws_limiter_waits_only_after_it_was_throttled() -> None:
    limiter = made(Throttle, "aws_adaptive")
    for step in range(100):
        assert limiter.delay(step / 10) == 0.0
        limiter.on_end(step / 10, True, False)
    limiter.on_end(10.0, False, True)
    rate = limiter._rate
    assert rate == pytest.approx(7.0, rel=0.1)
    assert limiter.delay(10.0) == pytest.approx(1 / rate)
    assert limiter.delay(10.0 + 1.01 / rate) == 0.0


def test_aimd_shrinks_by_a_tenth_and_grows_by_one_while_it_is_used() -> None:
    limit = made(Limit, "aimd")
    limit.update(0.1, 10, False)
    assert limit.limit == 21
    limit.update(0.1, 9, False)
    assert limit.limit == 21
    for _ in range(79):
        limit.update(0.1, 200, False)
    assert limit.limit == 100
    limit.update(0.1, 50, True)
    assert limit.limit == 90
    limit.update(5.1, 50, False)
    assert limit.limit == 81
    for _ in range(100):
        limit.update(0.1, 50, True)
    assert limit.limit == 20


def test_vegas_follows_its_queue() -> None:
    def after(rtt: float, in_flight: int = 100, dropped: bool = False) -> float:
        limit = made(Limit, "vegas", initial=100)
        limit.update(0.1, 100, False)
        limit.update(rtt, in_flight, dropped)
        return float(limit.limit)

    step = log10(100)
    assert after(0.1 / 0.99) == 100 + 6 * step  # a queue of 1
    assert after(0.1 / 0.955) == 100 + step  # 5
    assert after(0.1 / 0.91) == 100  # 9
    assert after(0.1 / 0.80) == 100 - step  # 20
    assert after(0.2, dropped=True) == 100 - step
    assert after(0.1 / 0.99, in_flight=49) == 100


def test_vegas_measures_the_shortest_round_trip_afresh() -> None:
    limit = made(Limit, "vegas", initial=10, probe_multiplier=1)
    limit.update(0.1, 0, False)
    for _ in range(20):
        limit.update(0.5, 0, False)
    assert limit._shortest == 0.5


def test_gradient2_shrinks_when_latency_rises_and_has_room_for_its_queue_otherwise() -> None:
    limit = made(Limit, "gradient2", initial=100)
    limit.update(0.1, 100, False)
    assert limit.limit == pytest.approx(100 + 0.2 * 4)
    for _ in range(9):
        limit.update(0.1, 100, False)
    before = limit.limit
    limit.update(1.0, 200, False)
    long = 0.1 + 0.9 * 2 / 601
    assert limit.limit == pytest.approx(0.8 * before + 0.2 * (before * 0.5 + 4))
    assert 1.5 * long / 1.0 < 0.5
    unused = made(Limit, "gradient2", initial=100)
    unused.update(0.1, 49, False)
    assert unused.limit == 100


def test_a_limit_must_start_within_its_bounds() -> None:
    with pytest.raises(ValidationError, match="between least 20 and most 200"):
        made(Limit, "aimd", initial=10)


def test_a_token_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = made(Admission, "token_bucket", rate=10, burst=3)
    assert [bucket.admit(0.0, 0, 0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.admit(0.09, 0, 0.0)
    assert bucket.admit(0.1, 0, 0.0)
    assert sum(bucket.admit(100 + step / 1000, 0, 0.0) for step in range(1000)) == pytest.approx(13, abs=1)


def test_a_concurrency_limit_counts_who_is_inside() -> None:
    door = made(Admission, "concurrency", limit={"kind": "fixed", "limit": 5})
    assert [door.admit(0.0, inside, 0.0) for inside in (4, 5)] == [True, False]
    learning = made(Admission, "concurrency", limit={"kind": "aimd"})
    learning.update(0.0, 0.1, 0.0, 20, False)
    assert learning.limiter.limit == 20
    assert not learning.admit(0.0, 20, 0.0)


def test_a_windowed_limit_learns_from_averages() -> None:
    door = made(Admission, "concurrency", window=1.0, limit={"kind": "aimd", "timeout": 0.5})
    for step in range(11):
        door.update(step / 10, 0.9 if step % 2 else 0.05, 0.0, 20, True)
    assert door.limiter.limit == 21, "one sample of 0.44 s, not five beyond the timeout"
    for step in range(9):
        door.update(3 + step / 10, 0.9, 0.0, 20, True)
    assert door.limiter.limit == 21, "nine samples are too few"
    door.update(4.0, 0.9, 0.0, 20, True)
    assert door.limiter.limit == 20


def test_envoy_rejects_by_its_formula() -> None:
    door = made(Admission, "envoy", threshold=0.5)
    for request in range(100):
        door.update(1.0, 0.1, 0.0, 1, request % 4 == 0)
    assert door.probability(1.0) == pytest.approx((100 - 25 / 0.5) / 101)
    assert [door.admit(1.0, 0, u) for u in (0.49, 0.50)] == [False, True]
    assert made(Admission, "envoy", threshold=0.5, rps_threshold=10).probability(1.0) == 0.0
    assert door.probability(40.0) == 0.0
    for _ in range(1000):
        door.update(50.0, 0.1, 0.0, 1, False)
    assert door.probability(50.0) == 0.8


def test_a_pid_controller_rejects_more_while_the_queue_is_too_long_and_stops_when_it_is_not() -> None:
    door = made(Admission, "pid", target=0.1)
    shares = []
    for step in range(1, 40):
        door.update(step * 0.5, 0.3, 0.3, 1, True)
        shares.append(door.share)
    assert shares[0] == pytest.approx(0.1 * 2 + 0.2 * 2 * 0.5)
    assert shares == sorted(shares)
    assert shares[-1] == 0.95
    for step in range(40, 80):
        door.update(step * 0.5, 0.0, 0.0, 1, True)
    assert door.share == 0.0


def test_codel_drops_closer_and_closer_until_a_wait_is_short() -> None:
    codel = made(Shedding, "codel")
    drops = [step / 1000 for step in range(600) if codel.drop(step / 1000, 0.02, False)]
    assert drops[0] == 0.1
    np.testing.assert_allclose(np.diff(drops)[:5], [0.1, 0.0707, 0.0577, 0.05, 0.0447], atol=0.0011)
    assert not codel.drop(0.6, 0.004, False)
    assert not codel.drop(0.65, 0.02, False)
    assert codel.drop(0.751, 0.02, False), "a new episode after another interval"
    assert codel._count > 1, "which remembers the last one"


def test_codel_never_drops_the_last_one_nor_within_an_interval() -> None:
    codel = made(Shedding, "codel")
    assert not any(codel.drop(step / 1000, 0.02, True) for step in range(300))
    assert not any(codel.drop(1 + step / 1000, 0.02, False) for step in range(100))
    codel.emptied(1.1)
    assert not codel.drop(1.15, 0.02, False)


def test_request_codel_is_patient_after_an_empty_queue() -> None:
    codel = made(Shedding, "request_codel")
    codel.emptied(10.0)
    assert [codel.drop(10.05, waited, False) for waited in (0.09, 0.11)] == [False, True]
    assert [codel.drop(10.2, waited, False) for waited in (0.004, 0.006)] == [False, True]
    codel.drop(10.3, 0.0, True)
    assert not codel.drop(10.35, 0.09, False)


def test_folly_looks_at_the_shortest_wait_of_an_interval() -> None:
    codel = made(Shedding, "folly_codel")
    assert not any(codel.drop(step / 100, 0.02, False) for step in range(10))
    assert [codel.drop(0.1, waited, False) for waited in (0.02, 0.009)] == [True, False]
    assert not codel.drop(0.15, 0.001, False)
    assert not codel.drop(0.2, 0.02, False), "one short wait is enough"
