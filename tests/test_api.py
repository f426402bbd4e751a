"""The API as uvicorn and Starlette run it: threads, one event loop, connections, and what a call that blocks does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bpsim import metrics
from bpsim.engine import run
from bpsim.policies.admission import LagAdmission
from bpsim.result import Outcome, Result, Work
from bpsim.scenario import Scenario
from bpsim.utilisation import predicted
from tests.pipelines import poisson, station

ONE_IN_FLIGHT = {"batch": {"records": 100}, "linger": 0.0, "max_in_flight": 1}


def test_slow_requests_are_slow_to_their_end_and_others_are_not_touched() -> None:
    """One every second, half a second each; four times as long when it begins between 1.2 s and 3.2 s."""
    slow = {"kind": "slow_requests", "at": 1.2, "lasts": 2.0, "factor": 4.0}
    result = run(station({"kind": "deterministic", "rate": 1}, 0.5, 7.5, workers=10, faults=[slow]))
    attempts = result.tables["attempts"]
    took = (attempts["ended_s"] - attempts["started_s"])[:6]
    assert list(took) == pytest.approx([0.5, 2.0, 2.0, 0.5, 0.5, 0.5], abs=1e-6)
    assert [round(load.capacity_per_s) for load in predicted(with_fault(slow))] == [20, 5, 20]


def with_fault(fault: dict[str, Any]) -> Scenario:
    return station(poisson(1), 0.5, 7.5, workers=10, faults=[fault])


def burst(requests: int, over: float = 1e-3) -> dict[str, Any]:
    """So many requests at about the same time, and then nobody."""
    rate = (requests + 0.5) / over
    return {"kind": "piecewise", "points": [{"at": 0, "rate": rate}, {"at": over, "rate": 1e-6}], "spacing": "constant"}


def replies(result: Result) -> list[float]:
    """When each request that succeeded got its reply, in order."""
    requests = result.tables["requests"]
    return sorted(requests["ended_s"][requests["outcome"] == Outcome.OK])


def counts(result: Result) -> dict[str, int]:
    metrics.check(result)
    return {name: count for name, count in metrics.ledger(result)["attempts"].items() if count}


def behind(ack: float, buffer: int = 10**6, producer: dict[str, Any] | None = None, **broker: Any) -> dict[str, Any]:
    """A producer and a broker whose acks take `ack` seconds."""
    made = ONE_IN_FLIGHT | {"buffer": {"records": buffer}} | (producer or {})
    return {"producer": made, "broker": {"ack_latency": ack} | broker}


def test_def_endpoints_run_forty_at_a_time() -> None:
    """Measured (facts §5.1, L): 100 calls of 0.5 s at once take 1.64 s, three waves."""
    result = run(station(burst(100), 0.5, 5.0, workers=None, handler="sync"))
    waves = np.round(replies(result), 2)
    assert [int((waves == wave).sum()) for wave in np.unique(waves)] == [40, 40, 20]
    assert waves.max() == pytest.approx(1.5, abs=0.01)


def test_work_goes_on_for_clients_who_have_left() -> None:
    """Measured (facts §5.1, M): 80 calls of 1 s whose clients wait 0.5 s: none succeeds, all are executed, and the next
    request waits until they are done (there 1.34 s)."""
    result = run(station(burst(81), 1.0, 6.0, workers=None, timeout=0.5))
    assert counts(result) == {"timed_out": 81}
    assert (result.tables["attempts"]["work"] == Work.WASTED).sum() == 81
    assert result.tables["attempts"]["started_s"][80] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(("limit", "accepted"), [(10, range(25, 28)), (1, range(1)), (11, range(28, 31))])
def test_a_connection_limit_serves_one_less(limit: int, accepted: range) -> None:
    """Measured (facts §5.1, N): limit 10, 50/s, 0.3 s each: 25 of 40 served, 15 answered 503. Where a request comes at the
    very moment another ends, either may be first, so the count may differ by those ties."""
    arrivals = {"kind": "deterministic", "rate": 50}
    result = run(station(arrivals, 0.301, 0.81, workers=10**6, connections=limit, reject_time=0.002))
    found = counts(result)
    served = sum(found.values()) - found.get("unavailable", 0)
    assert sum(found.values()) == 40
    assert served in accepted


def test_a_client_that_has_left_frees_its_connection_but_not_its_task() -> None:
    """Limit 4, tasks that never end, everybody leaves after 1 s: three come in, and when they have left a fourth task may
    begin; then there are four tasks, and nobody comes in any more."""
    result = run(station({"kind": "deterministic", "rate": 1 / 1.5}, 100.0, 30.0, workers=10**6, connections=4, timeout=1.0))
    work = result.tables["attempts"]["work"]
    assert (work == Work.INSIDE).sum() == 4
    assert counts(result)["unavailable"] == len(work) - 4


def test_connections_being_told_503_count_while_they_are_open() -> None:
    quick = run(station(burst(20), 1.0, 3.0, workers=100, connections=10, reject_time=1e-6))
    slow = run(station(poisson(40), 0.1, 60.0, workers=100, connections=10, reject_time=0.5))
    short = run(station(poisson(40), 0.1, 60.0, workers=100, connections=10, reject_time=0.0))
    assert counts(quick) == {"ok": 9, "unavailable": 11}
    assert counts(slow)["unavailable"] > 2 * counts(short)["unavailable"]


def test_a_process_that_stands_still_tells_nobody_anything() -> None:
    """Its queue has no room, and yet nobody hears 429 before it runs again."""
    stall = {"kind": "stall", "target": "api", "at": 1.0, "lasts": 2.0}
    result = run(station({"kind": "deterministic", "rate": 10}, 0.01, 5.0, queue=0, faults=[stall]))
    attempts = result.tables["attempts"]
    waited = (attempts["sent_s"] > 0.95) & (attempts["sent_s"] < 2.95)
    assert (attempts["ended_s"][waited] >= 3.0).all()
    assert set(attempts["outcome"][waited]) == {Outcome.OK, Outcome.REJECTED}


def test_a_backlog_without_room_answers_nothing() -> None:
    stall = {"kind": "stall", "target": "api", "at": 1.0, "lasts": 2.0}
    result = run(station({"kind": "deterministic", "rate": 10}, 0.01, 8.0, faults=[stall], backlog=5, timeout=4.0))
    assert counts(result) == {"ok": 64, "timed_out": 15, "pending": 1} or counts(result)["timed_out"] in (14, 15)
    assert (result.tables["attempts"]["work"] == Work.VANISHED).sum() in (14, 15)


@pytest.mark.parametrize(("cancellation", "work"), [("none", Work.WASTED), ("propagated", Work.LEFT)])
def test_who_left_the_backlog_is_handled_all_the_same(cancellation: str, work: Work) -> None:
    stall = {"kind": "stall", "target": "api", "at": 1.0, "lasts": 2.0}
    result = run(station({"kind": "deterministic", "rate": 10}, 0.01, 5.0, faults=[stall], timeout=0.5,
                         cancellation=cancellation))  # fmt: skip
    attempts = result.tables["attempts"]
    left = (attempts["sent_s"] > 1.05) & (attempts["sent_s"] < 2.45)
    assert set(attempts["work"][left]) == {work}
    metrics.check(result)


def test_a_flush_in_an_async_handler_serves_one_at_a_time() -> None:
    """Measured (facts §5.1): 5 calls that block 0.3 s in `async def` take 1.54 s. On threads the first flush has
    one record and the next all the others."""
    loop = run(station(burst(5), 0.0, 5.0, workers=None, handler="async", reply="on_flush", tiers=behind(0.3)))
    threads = run(station(burst(5), 0.0, 5.0, workers=None, handler="sync", reply="on_flush", tiers=behind(0.3)))
    waiting = run(station(burst(5), 0.0, 5.0, workers=None, handler="async", reply="on_ack", tiers=behind(0.3)))
    assert replies(loop) == pytest.approx([0.3, 0.6, 0.9, 1.2, 1.5], abs=0.002)
    assert replies(threads)[-1] == pytest.approx(0.6, abs=0.002)
    assert replies(waiting)[-1] == pytest.approx(0.6, abs=0.002)


def test_a_flush_waits_for_the_records_of_everybody_before() -> None:
    """One request in flight: the ack of the record before comes first, and the flush waits for both."""
    tiers = behind(0.1, producer={"max_in_flight": 1, "linger": 5.0, "batch": {"records": 100}})
    result = run(station({"kind": "deterministic", "rate": 100}, 0.0, 1.0, workers=50, reply="on_flush", tiers=tiers))
    attempts = result.tables["attempts"]
    first, second = (attempts["ended_s"] - attempts["sent_s"])[:2]
    assert first == pytest.approx(0.1, abs=0.001)
    assert second == pytest.approx(0.19, abs=0.001)


def test_a_flush_does_not_linger() -> None:
    tiers = behind(0.01, producer={"linger": 5.0, "batch": {"records": 100}})
    flushing = run(station(burst(1), 0.0, 8.0, reply="on_flush", tiers=tiers))
    waiting = run(station(burst(1), 0.0, 8.0, reply="on_ack", tiers=tiers))
    assert replies(flushing) == pytest.approx([0.01], abs=1e-3)
    assert replies(waiting) == pytest.approx([5.01], abs=1e-3)


def full(**api: Any) -> Result:
    """The broker is away from 1 s to 11 s, the producer has room for 5 records, and its callers block for up to 2 s."""
    tiers = behind(0.001, buffer=5, producer={"max_block": 2.0})
    away = {"kind": "outage", "target": "broker", "at": 1.0, "lasts": 10.0}
    return run(station({"kind": "deterministic", "rate": 10}, 0.01, 20.0, timeout=30.0, tiers=tiers, faults=[away], **api))


def test_a_producer_that_blocks_stops_the_whole_event_loop() -> None:
    """On threads each of those who find no room waits its own 2 s; on an event loop they wait one after the other, and the
    next connection is not even accepted."""
    threads, loop = full(workers=None, handler="sync"), full(workers=None, handler="async")
    failed = counts(threads)["produce_failed"], counts(loop)["produce_failed"]
    assert failed[0] > 60
    assert failed[1] in (4, 5)
    admitted = loop.tables["attempts"]["admitted_s"]
    stopped = (loop.tables["attempts"]["sent_s"] > 2.0) & (loop.tables["attempts"]["sent_s"] < 10.9)
    assert (admitted[stopped] > loop.tables["attempts"]["sent_s"][stopped]).all()
    assert metrics.summary(loop)["produce_failed"] == failed[1]


def test_a_stopped_event_loop_turns_nobody_away_and_replies_to_nobody() -> None:
    bucket = {"kind": "token_bucket", "rate": 5.0, "burst": 5}
    threads = full(workers=None, handler="sync", admission=bucket)
    loop = full(workers=None, handler="async", admission=bucket)
    for result, answered in ((threads, True), (loop, False)):
        attempts = result.tables["attempts"]
        early = (attempts["outcome"] == Outcome.REJECTED) & (attempts["ended_s"] > 2.5) & (attempts["ended_s"] < 3.0)
        assert bool(early.any()) is answered


def test_an_admission_policy_that_knows_the_lag_keeps_it_bounded() -> None:
    """The consumer does 100/s of 150/s. Kafka lets the lag grow; turning away a share that grows from 0 at 100 records to
    everybody at 500 settles where a third is turned away, at a lag of about 233."""
    tiers = behind(0.001) | {"consumer": {"service": 0.01, "max_poll_records": 10, "fetch_latency": 0.0}}
    lag = {"kind": "lag", "above": 100, "all_above": 500, "every": 0.5}

    def backlog(**api: Any) -> float:
        result = run(station(poisson(150), 0.001, 60.0, workers=100, tiers=tiers, **api))
        metrics.check(result)
        return float((result.tables["records"]["fate"] == 1).sum())

    assert backlog() == pytest.approx(50 * 60, rel=0.15)
    assert backlog(admission=lag) == pytest.approx(233, abs=60)
    assert backlog(admission=lag, signal_delay=15.0) != pytest.approx(233, abs=60)


@pytest.mark.parametrize(("lag", "share"), [(0, 0.0), (100, 0.0), (200, 0.5), (300, 1.0), (9000, 1.0)])
def test_lag_admission_turns_away_a_share_in_a_straight_line(lag: int, share: float) -> None:
    policy = LagAdmission(above=100, all_above=300).build()
    policy.observe(lag)
    admitted = sum(policy.admit(0.0, 0, u) for u in np.linspace(0, 1, 1000, endpoint=False))
    assert admitted == pytest.approx(1000 * (1 - share), abs=1)


@pytest.mark.parametrize(
    ("api", "complaint"),
    [
        ({"handler": "async", "workers": 4}, "leave out workers"),
        ({"handler": "async", "order": "lifo"}, "nobody waits for a worker"),
        ({"handler": "async", "reject_cost": 0.1}, "time of a worker"),
        ({"admission": {"kind": "lag", "above": 5, "all_above": 5}}, "must be more than above"),
        ({"admission": {"kind": "lag", "above": 5, "all_above": 50}}, "nobody lags"),
        ({"reply": "on_flush"}, "no ack would ever come"),
    ],
)
def test_combinations_that_would_do_nothing_are_refused(api: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        station(poisson(1), 0.1, 1.0, **({"workers": None} | api))
