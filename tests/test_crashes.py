"""Processes that die: what is lost, what is done twice, and that nothing of it is left when all is over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpsim import metrics
from bpsim.engine import Simulation, run
from bpsim.faults import Fault
from bpsim.result import Outcome, Result, Work
from bpsim.scenario import Scenario
from bpsim.tiers.api.contents import held_bytes, inside, outside
from tests.pipelines import exponential, poisson, station


def pipeline(
    faults: list[dict[str, Any]], duration: float = 20.0, rate: float = 200, until: float = 1e9, **tiers: Any
) -> Scenario:
    """All seven tiers at moderate load; arrivals end at `until`."""
    points = [{"at": 0.0, "rate": rate}, {"at": until, "rate": 1e-9}] if until < duration else [{"at": 0.0, "rate": rate}]
    tree: dict[str, Any] = {
        "question": "?",
        "duration": duration,
        "client": {"arrivals": {"kind": "piecewise", "points": points}, "timeout": 1.0},
        "api": {"workers": 8, "service": exponential(0.02), "reject_time": 0.001},
        "producer": {"linger": 0.002, "batch": {"records": 20}},
        "broker": {"partitions": 2, "throughput": 2_000_000.0, "ack_latency": exponential(0.003)},
        "consumer": {"max_poll_records": 50, "commit_interval": 1.0},
        "flink": {"parallelism": 2, "service": exponential(0.004), "network_buffers": {"records": 100}},
        "writer": {"connections": 2, "batch_rows": 20, "batch_interval": 0.01, "per_insert": 0.01, "buffer": {"records": 100}},
        "faults": faults,
    }
    for tier, options in tiers.items():
        tree[tier] |= options
    return Scenario.model_validate(tree)


def marks(result: Result, kind: str) -> list[float]:
    table = result.tables["marks"]
    return [float(moment) for moment in table["time_s"][table["kind"] == kind]]


def test_a_crashed_api_loses_what_is_inside_resets_its_clients_and_refuses_until_it_is_back() -> None:
    faults = [{"kind": "crash", "target": "api", "at": 5.0, "lasts": 3.0}]
    result = run(pipeline(faults, rate=390))
    metrics.check(result)
    attempts = result.tables["attempts"]
    assert marks(result, "crash") == [5.0]
    assert marks(result, "restart") == [8.0]
    lost = attempts["work"] == Work.LOST
    assert 0 < lost.sum() < 200
    assert set(attempts["outcome"][lost]) <= {Outcome.RESET, Outcome.TIMED_OUT}
    down = (attempts["sent_s"] > 5) & (attempts["sent_s"] < 8)
    assert (attempts["outcome"][down] == Outcome.REFUSED).all()
    assert (attempts["outcome"][attempts["sent_s"] > 8.5] != Outcome.REFUSED).all()


def test_an_api_out_of_memory_comes_back_cold_and_may_die_again_and_again() -> None:
    options = {"heap": 400_000, "overhead": 1000, "restart_after": 2.0, "warm_up": {"lasts": 5.0, "speed": 0.1}}
    result = run(pipeline([], duration=60.0, rate=500, api=options))
    metrics.check(result)
    died, back = marks(result, "crash"), marks(result, "restart")
    assert len(died) > 3
    np.testing.assert_allclose(np.subtract(back, died[: len(back)]), 2.0)
    held = result.tables["marks"]["value"][result.tables["marks"]["kind"] == "crash"]
    assert (held > 400_000).all()
    assert (held <= 402_000).all()
    lived = np.subtract(died[1:], back[: len(died) - 1])
    assert (lived < died[0]).all(), "cold, it fills faster than the first time"


def test_a_crashed_consumer_reads_again_what_it_had_not_committed() -> None:
    result = run(pipeline([{"kind": "crash", "target": "consumer", "at": 5.7, "lasts": 1.0}], until=15.0))
    metrics.check(result)
    records = result.tables["records"]
    again = records["redelivered"] > 0
    assert (records["redelivered"] <= 1).all()
    # 200/s; the last commit was at 5.0 s and covers all but what was then on its way
    assert again.sum() == pytest.approx(0.7 * 200, rel=0.35)
    assert 4.5 < records["ended_s"][again].min() < records["ended_s"][again].max() <= 5.7
    assert metrics.summary(result)["redelivered"] == again.sum()
    assert metrics.ledger(result)["records"]["evicted"] == 0
    assert (records["ended_s"] > 0).all(), "every record is delivered in the end: at least once"


def test_committing_at_once_leaves_almost_nothing_to_repeat() -> None:
    crash = [{"kind": "crash", "target": "consumer", "at": 5.7, "lasts": 1.0}]
    seldom, often = (
        metrics.summary(run(pipeline(crash, until=15.0, consumer={"commit_interval": interval})))["redelivered"]
        for interval in (5.0, 0.01)
    )
    assert often < 20 < seldom


def test_a_consumer_with_too_large_buffers_dies_replays_and_dies_again() -> None:
    big = {"network_buffers": {"records": 10**6}}
    options = {"heap": 1_000_000, "restart_after": 1.0}
    slow = [{"kind": "stall", "target": "writer", "at": 2.0, "lasts": 60.0}]
    result = run(pipeline(slow, duration=40.0, flink=big, consumer=options, writer={"buffer": {"records": 10**6}}))
    metrics.check(result)
    assert len(marks(result, "crash")) > 3
    bounded = run(pipeline(slow, duration=40.0, consumer=options))
    assert marks(bounded, "crash") == []


def test_a_crashed_database_rolls_back_and_the_rows_are_written_later() -> None:
    result = run(pipeline([{"kind": "crash", "target": "writer", "at": 5.0, "lasts": 2.0}], until=15.0))
    metrics.check(result)
    records = result.tables["records"]
    assert (records["redelivered"] == 0).all()
    assert not ((records["ended_s"] > 5.0) & (records["ended_s"] < 7.0)).any()
    assert (records["ended_s"] > 0).all()


def test_a_lock_stops_inserts_that_begin_and_not_those_under_way() -> None:
    def delivered_while(kind: str) -> int:
        fault = [{"kind": kind, "target": "writer", "at": 5.0, "lasts": 2.0}]
        ended = run(pipeline(fault, writer={"per_insert": 0.2})).tables["records"]["ended_s"]
        return int(((ended > 5.0) & (ended < 7.0)).sum())

    assert delivered_while("lock") > 0
    assert delivered_while("stall") == 0


def test_a_full_disk_stops_appending_and_not_reading() -> None:
    fault = [{"kind": "disk_full", "target": "broker", "at": 5.0, "lasts": 3.0}]
    result = run(pipeline(fault, flink={"service": exponential(0.012)}, rate=250))
    metrics.check(result)
    hops = result.tables["hops"]
    read = hops["started_s"][(hops["tier"] == 3) & (hops["count"] > 0)]
    assert ((read > 5.2) & (read < 7.8)).any()
    produced = hops["left_s"][hops["tier"] == 2]
    assert not ((produced > 5.1) & (produced < 8.0)).any()


def test_a_rebalance_stops_fetching_and_the_lag_grows() -> None:
    result = run(pipeline([{"kind": "rebalance", "target": "consumer", "at": 5.0, "lasts": 3.0}]))
    hops = result.tables["hops"]
    read = hops["started_s"][(hops["tier"] == 3) & (hops["count"] > 0)]
    assert not ((read > 5.0) & (read < 8.0)).any()
    assert metrics.summary(result)["lag_max_s"] == pytest.approx(3.0, abs=0.3)


def test_a_partition_before_the_api_swallows_requests_and_one_before_the_broker_holds_batches() -> None:
    cut = run(pipeline([{"kind": "partition", "target": "api", "at": 5.0, "lasts": 3.0}]))
    attempts = cut.tables["attempts"]
    inside = (attempts["sent_s"] > 5) & (attempts["sent_s"] < 8)
    assert (attempts["work"][inside] == Work.VANISHED).all()
    assert (attempts["outcome"][inside & (attempts["sent_s"] < 7)] == Outcome.TIMED_OUT).all()
    held = run(pipeline([{"kind": "partition", "target": "broker", "at": 5.0, "lasts": 3.0}]))
    hops = held.tables["hops"]
    acked = hops["left_s"][hops["tier"] == 2]
    assert not ((acked > 5.0) & (acked < 8.0)).any()
    for result in (cut, held):
        metrics.check(result)


EVERY_FAULT = [
    {"kind": "slowdown", "factor": 5.0, "target": "flink"},
    {"kind": "slow_requests", "factor": 5.0},
    {"kind": "cold_cache", "factor": 5.0, "target": "api"},
    *({"kind": "stall", "target": target} for target in ("api", "broker", "consumer", "flink", "writer")),
    *({"kind": "outage", "target": target} for target in ("api", "broker", "consumer", "flink", "writer")),
    *({"kind": "crash", "target": target} for target in ("api", "broker", "consumer", "writer")),
    *({"kind": "partition", "target": target} for target in ("api", "broker", "consumer", "writer")),
    {"kind": "loss", "share": 0.3},
    {"kind": "errors", "share": 0.3},
    {"kind": "lock"},
    {"kind": "disk_full"},
    {"kind": "leader_down"},
    {"kind": "slow_follower"},
    {"kind": "rebalance"},
    {"kind": "spike", "factor": 3.0},
]


def name_of(fault: dict[str, Any]) -> str:
    return f"{fault['kind']}-{fault.get('target', '')}"


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=name_of)
@pytest.mark.parametrize("client", [{}, {"hedge": {"after": 0.05}}, {"retry": {"kind": "exponential", "base": 0.05}}])
def test_after_any_fault_everything_is_back_where_it_was(fault: dict[str, Any], client: dict[str, Any]) -> None:
    again = {"at": 3.0, "lasts": 1.0, "times": 2, "every": 1.7}
    broker = {"brokers": 2, "replicas": 2} if fault["kind"] == "slow_follower" else {}
    rest = {"client": client, "api": {"cancellation": "propagated"}, "broker": broker}
    scenario = pipeline([fault | again], duration=120.0, until=10.0, **rest)
    simulation = Simulation(scenario, 3)
    simulation.advance(120.0)
    metrics.check(simulation.result())
    api, producer, broker = simulation.api, simulation.producer, simulation.broker
    consumer, flink, writer, job = simulation.consumer, simulation.flink, simulation.writer, simulation.job
    assert producer and broker and consumer and flink and writer and job
    state = {
        "workers": api.busy, "inside": len(inside(api)), "outside": len(outside(api)), "rejections": len(api.away.waiting),
        "memory": held_bytes(api), "producer": producer.held, "flights": len(producer._flying()),
        "waiting": len(producer.accumulator.waiting()), "memory taken": producer.accumulator._pool._taken,
        "requests": len(broker._inside),
        "log": broker.log.held, "on the way": len(broker.on_the_way()), "job": job.held, "buffers": flink.inbox.held,
        "blocked": len(flink.blocked), "rows": writer.inbox.held, "hedges": len(simulation.client._siblings),
    }  # fmt: skip
    assert {name: left for name, left in state.items() if left} == {}
    permits = (flink.idle, writer._idle, api.servers.speed, flink.servers.speed)
    assert permits == (2, 2, 1.0, 1.0)
    assert all(link.busy is None and not link.queue for link in broker._links)
    assert api.life.alive and api._accepting and consumer.alive and all(member.free for member in consumer.members)
    assert not any(tier.unfinished() for tier in (producer, broker, consumer, flink, writer))


def test_every_kind_of_fault_is_in_the_quiescence_test() -> None:
    from typing import get_args

    kinds = {fault.model_fields["kind"].default for fault in get_args(get_args(Fault)[0])}
    assert kinds == {fault["kind"] for fault in EVERY_FAULT}


def test_a_dead_process_is_no_standstill() -> None:
    result = run(station(poisson(100), 0.001, 5.0, 10, heap=20_000, tiers={
        "producer": {"linger": 0.0}, "broker": {"ack_latency": 1.0}, "consumer": {"heap": 3000},
    }))  # fmt: skip
    metrics.check(result)
    assert marks(result, "crash")
