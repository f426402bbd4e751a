"""Every request, attempt and record is in exactly one place, in every scenario that can be written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpsim import metrics
from bpsim.engine import Simulation, run
from bpsim.kernel.ledger import LedgerError, place_records
from bpsim.result import Fate, Outcome, Work
from bpsim.scenario import Scenario
from tests.pipelines import exponential, poisson, station

SHORT = st.sampled_from([0.0, 0.001, 0.01, 0.05])
LAW = SHORT.map(lambda mean: exponential(mean) if mean else 0.0)
PLACES = st.sampled_from([1, 2, 5, 50, 10**6])


SERVING = ("api", "broker", "consumer", "flink", "writer")
KINDS = dict.fromkeys(("slowdown", "stall", "outage", "cold_cache"), SERVING) | {
    "crash": ("api", "broker", "consumer", "writer"), "partition": ("api", "broker", "consumer", "writer"),
    "slow_requests": ("api",), "loss": ("api",), "errors": ("api",),
    "lock": ("writer",), "disk_full": ("broker",), "rebalance": ("consumer",),
}  # fmt: skip
OPTIONS = {
    "slowdown": [{"factor": 0.5}, {"factor": 7.0}, {"factor": 4.0, "ramp_up": 0.1, "ramp_down": 0.1}],
    "cold_cache": [{"factor": 5.0}],
    "slow_requests": [{"factor": 0.5}, {"factor": 7.0}],
    "loss": [{"share": 0.3}, {"share": 1.0}],
    "errors": [{"share": 0.3}],
}


FAILING: list[dict[str, Any]] = [
    {}, {"inserters": 6},
    {"statement_timeout": 0.02, "retry": {"max_attempts": 2, "pause": 0.01, "exhausted": "drop"}},
    {"inserters": 9, "pool_timeout": 0.02, "retry": {"pause": 0.0, "exhausted": "crash", "restart_after": 0.1}},
    {"inserters": 5, "pool_timeout": 0.01, "statement_timeout": 0.01, "retry": {"exhausted": "drop"}},
]  # fmt: skip
"""What makes a writer's inserts fail."""


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any pipeline, any faults, two seconds."""
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731
    arrivals = pick(poisson(300), {"kind": "deterministic", "rate": 200}, {"kind": "closed", "users": 20, "think": 0.01})
    retry = pick(
        {"kind": "none"}, {"kind": "immediate"}, {"kind": "fixed", "delay": 0.01},
        {"kind": "exponential", "base": 0.01, "max_attempts": 5},
    )  # fmt: skip
    hedge = pick(None, None, {"after": 0.02}, {"after": 0.01, "max_attempts": 4})
    heap = pick(None, None, {"heap": 30_000, "overhead": pick(0, 50), "restart_after": pick(None, 0.2)})
    tree: dict[str, Any] = {
        "question": "?",
        "duration": 2.0,
        "client": {
            "arrivals": arrivals, "timeout": pick(None, 0.02, 0.2), "retry": {"kind": "none"} if hedge else retry,
            "hedge": hedge, "deadline": pick(None, 0.1), "network_delay": pick(None, 0.005, exponential(0.005)),
            "record_size": pick(1, 1000),
        },
        "api": {
            "workers": pick(1, 4, 100), "service": draw(LAW), "queue": {"records": draw(st.sampled_from([0, 3, 10**6]))},
            "on_full": pick("reject", "unavailable", "drop", "block"), "reply": pick("on_enqueue", "on_ack", "on_flush"),
            "handler": pick("sync", "sync", "async"), "connections": pick(None, None, 5), "backlog": pick(2048, 3),
            "order": pick("fifo", "lifo", "adaptive_lifo", "critical_first"), "expired": pick("serve", "skip"),
            "cancellation": pick("none", "propagated"), "reject_cost": draw(SHORT), "retry_after": pick(None, 0.02),
            "contention": pick(0.0, 0.001), "warm_up": pick(None, {"lasts": 0.3, "speed": 0.2}),
            **(heap or {}),
        },
        "producer": {
            "buffer": {"records": draw(PLACES)}, "linger": draw(SHORT), "batch": {"records": draw(PLACES)},
            "max_in_flight": pick(1, 5), "on_full": pick("block", "fail_fast"), "max_block": pick(0.0, 0.03, 60.0),
        },
        "broker": {
            "partitions": pick(1, 3), "throughput": pick(None, 100_000.0), "ack_latency": draw(LAW),
            "retention": {"records": 10**6 if draw(st.booleans()) else 60}, "retention_time": pick(None, 0.1),
            "overflow": pick("evict_oldest", "hold_producer"),
        },
        "consumer": {
            "max_poll_records": draw(PLACES), "fetch_latency": draw(LAW), "service": draw(LAW),
            "when_full": pick("pause", "block"), "commit_interval": pick(0.1, 5.0),
            **pick({}, {}, {"heap": 20_000, "restart_after": pick(None, 0.2)}),
        },
        "flink": {"parallelism": pick(1, 3), "service": draw(LAW), "network_buffers": {"records": draw(PLACES)}},
        "writer": {
            "connections": pick(1, 3), "batch_rows": draw(PLACES), "batch_interval": draw(SHORT),
            "per_insert": draw(LAW), "per_row": pick(0.0, 0.001, exponential(0.001)), "buffer": {"records": draw(PLACES)},
            "contention": pick(0.0, 0.1), "coherency": pick(0.0, 0.02), "hot_row": pick(0.0, 0.3, 1.0),
            **draw(st.sampled_from(FAILING)),
        },
    }  # fmt: skip
    if tree["broker"]["overflow"] == "hold_producer":
        tree["producer"]["batch"]["records"] = min(tree["producer"]["batch"]["records"], 50)
    for tier in ("writer", "consumer", "broker")[: draw(st.integers(0, 3))]:
        tree.pop(tier)
        if tier == "consumer":
            tree.pop("flink")
        if tier == "broker":
            tree.pop("producer")
            tree["api"].pop("reply")
    if "flink" in tree and draw(st.booleans()):
        tree.pop("flink")
    faults = []
    for _ in range(draw(st.integers(0, 3))):
        kind = pick(*KINDS)
        target = pick(*[tier for tier in KINDS[kind] if tier in tree] or ["api"])
        if target not in KINDS[kind]:
            continue
        fault = {"kind": kind, "target": target, "at": pick(0.0, 0.3, 0.5), "lasts": pick(0.2, 0.7, 9.0)}
        if kind in ("partition", "loss") and target == "api" and not tree["client"]["timeout"]:
            tree["client"]["timeout"] = 0.2
        again = {"times": 3, "every": 0.25} if fault["lasts"] == 0.2 and draw(st.booleans()) else {}
        faults.append(fault | again | draw(st.sampled_from(OPTIONS.get(kind, [{}]))))
    if arrivals["kind"] != "closed" and draw(st.booleans()):
        faults.append({"kind": "spike", "at": 0.5, "lasts": 0.5, "factor": 4.0})
    fit(tree, faults)
    return Scenario.model_validate(tree | {"faults": faults})


def fit(tree: dict[str, Any], faults: list[dict[str, Any]]) -> None:
    """Leave out what would be refused because it would do nothing."""
    client, api = tree["client"], tree["api"]
    if api["handler"] == "async":
        for name in ("workers", "queue", "order", "reject_cost", "contention"):
            api.pop(name)
    if api.get("order") == "critical_first":
        client["criticality"] = {"critical": 0.4, "sheddable": 0.6}
    if api["on_full"] in ("drop", "block"):
        api.pop("reject_cost", None)
    if not api.get("restart_after") and not any(fault["kind"] == "crash" and fault["target"] == "api" for fault in faults):
        api.pop("warm_up")
    if not client["timeout"] and not client["deadline"]:
        api.pop("expired")
        if not client["hedge"]:
            api.pop("cancellation")


@given(scenarios(), st.integers(0, 3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_books_balance(scenario: Scenario, seed: int) -> None:
    simulation = Simulation(scenario, seed)
    for moment in (0.4, 1.0, 2.0):
        simulation.advance(moment)
        result = simulation.result()
        metrics.check(result)
        attempts, records, hops = (result.tables[name] for name in ("attempts", "records", "hops"))
        assert (attempts["started_s"] <= attempts["served_s"]).sum() == (~np.isnan(attempts["served_s"])).sum()
        late = attempts["ended_s"] - attempts["sent_s"]
        if scenario.client.timeout is not None:
            assert np.nanmax(late, initial=0.0) <= scenario.client.timeout + scenario.api.reject_time + 1e-6
        for earlier, later in (("entered_s", "started_s"), ("started_s", "served_s"), ("served_s", "left_s")):
            known = ~np.isnan(hops[earlier]) & ~np.isnan(hops[later])
            assert (hops[earlier][known] <= hops[later][known]).all()
        ended = ~np.isnan(records["ended_s"])
        assert (ended == (records["fate"] >= Fate.DELIVERED)).all()


@given(scenarios())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_shares_of_time_sum_to_one(scenario: Scenario) -> None:
    result = run(scenario, 1)
    series = metrics.timeseries(result)
    for tier in scenario.tiers:
        shares = [series[f"{tier}.{share}_share"] for share in ("busy", "blocked", "idle")]
        np.testing.assert_allclose(sum(shares), 1.0, atol=1e-9)
        assert all((share >= -1e-9).all() and (share <= 1 + 1e-9).all() for share in shares)


def test_a_record_in_two_places_is_found() -> None:
    with pytest.raises(LedgerError, match="record 3 of 10 is in 2 places"):
        place_records(10, {Fate.IN_BROKER: [(0, 4)], Fate.DELIVERED: [(3, 10)]})
    with pytest.raises(LedgerError, match="record 4 of 10 is in 0 places"):
        place_records(10, {Fate.IN_BROKER: [(0, 4)], Fate.DELIVERED: [(5, 10)]})


def test_a_late_reply_is_no_success_but_its_work_was_done() -> None:
    result = run(station({"kind": "deterministic", "rate": 1}, 0.5, 20.0, timeout=0.3))
    attempts = result.tables["attempts"]
    assert set(attempts["outcome"][:-1]) == {Outcome.TIMED_OUT}
    assert (attempts["work"][:-1] == Work.WASTED).all()
    assert (~np.isnan(attempts["served_s"][:-1])).all()
    assert metrics.summary(result)["goodput_per_s"] == 0


def test_the_timeout_runs_from_sending_not_from_service() -> None:
    result = run(station({"kind": "deterministic", "rate": 2}, 1.0, 30.0, timeout=1.5))
    attempts = result.tables["attempts"]
    gone = attempts["outcome"] == Outcome.TIMED_OUT
    np.testing.assert_allclose((attempts["ended_s"] - attempts["sent_s"])[gone], 1.5)


def test_a_crash_takes_what_was_in_memory_and_says_who_had_been_told() -> None:
    tiers = {
        "producer": {"buffer": {"records": 10**6}, "max_in_flight": 1, "batch": {"records": 10}},
        "broker": {"ack_latency": 1.0},
    }
    result = run(station(poisson(1000), 0.001, 5.0, 10, heap=500_000, tiers=tiers))
    lines = metrics.ledger(result)["records"]
    assert lines["acked_then_lost"] == pytest.approx(490, abs=15)
    assert lines["lost_in_crash"] == 0
    marks = result.tables["marks"]
    assert list(marks["kind"]) == ["crash"]
    after = result.tables["attempts"]["sent_s"] > marks["time_s"][0]
    assert (result.tables["attempts"]["outcome"][after] == Outcome.REFUSED).all()


def test_a_slow_reader_never_slows_a_kafka_producer_but_a_holding_broker_does() -> None:
    def p99(overflow: str) -> float:
        tiers = {
            "producer": {"buffer": {"records": 200}},
            "broker": {"overflow": overflow, "retention": {"records": 1000}},
            "consumer": {"service": 0.1},
        }
        result = run(station(poisson(300), 0.001, 30.0, 50, timeout=5.0, tiers=tiers))
        metrics.check(result)
        evicted = metrics.ledger(result)["records"]["evicted"]
        assert (evicted > 7000) == (overflow == "evict_oldest")
        return metrics.summary(result)["latency_final_s_p99"]

    assert p99("evict_oldest") < 0.05
    assert p99("hold_producer") == 5.0
