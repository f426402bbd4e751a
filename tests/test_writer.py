"""The writer: what slows an insert down, who waits for a connection, and what becomes of inserts that fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bpsim import metrics
from bpsim.engine import run
from bpsim.result import TIERS, Fate, Result
from bpsim.utilisation import capacities
from tests.pipelines import poisson, station

METRONOME = {
    "kind": "piecewise", "spacing": "constant", "points": [{"at": 0, "rate": 100}, {"at": 6.5, "rate": 1e-6}],
}  # fmt: skip
"""Every 10 ms, until 6.5 s."""
LOCK = {"kind": "lock", "target": "writer", "at": 2.0, "lasts": 3.0}


def written(rate: float | dict[str, Any], duration: float, faults: Any = (), commit: float = 0.5, **writer: Any) -> Result:
    """Records go straight to the writer, one a row, in inserts of 10 ms; the books are checked."""
    arrivals = {"kind": "deterministic", "rate": rate} if isinstance(rate, float | int) else rate
    tiers = {
        "producer": {"linger": 0.0, "batch": {"records": 100}},
        "broker": {"ack_latency": 0.0},
        "consumer": {"fetch_latency": 0.0, "commit_interval": commit},
        "writer": {"per_insert": 0.01, "batch_rows": 1, "buffer": {}} | writer,
    }
    result = run(station(arrivals, 0.0, duration, workers=1000, tiers=tiers, faults=faults))
    metrics.check(result)
    return result


def marks(result: Result, kind: str) -> list[float]:
    table = result.tables["marks"]
    return [float(moment) for moment in table["time_s"][table["kind"] == kind]]


def inserts(result: Result) -> dict[str, Any]:
    hops = result.tables["hops"]
    mine = hops["tier"] == TIERS.index("writer")
    return {name: column[mine] for name, column in hops.items()}


def fates(result: Result) -> dict[str, int]:
    codes, count = np.unique(result.tables["records"]["fate"], return_counts=True)
    return {Fate(code).name: int(n) for code, n in zip(codes, count, strict=True)}


@pytest.mark.parametrize("connections", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("contention", "coherency"), [(0.0, 0.0), (0.1, 0.0), (0.02, 0.01), (1.0, 0.0)])
def test_throughput_follows_the_universal_scalability_law(connections: int, contention: float, coherency: float) -> None:
    """Gunther: X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), here with λ = 10 inserts a second and always enough to do."""
    n = connections
    law = 10 * n / (1 + contention * (n - 1) + coherency * n * (n - 1))
    result = written(200, 20.0, connections=n, per_insert=0.1, contention=contention, coherency=coherency)
    under_way = 20 * law - metrics.summary(result)["delivered"]
    assert -1e-6 <= under_way <= n


def test_an_insert_is_slowed_by_those_at_work_beside_it_while_they_are() -> None:
    """σ = 1: two share one server. The second joins halfway, both have 5 ms and 10 ms of work left at half speed."""
    arrivals = {"kind": "piecewise", "points": [{"at": 0, "rate": 200}, {"at": 0.0125, "rate": 1e-6}], "spacing": "constant"}
    result = written(arrivals, 1.0, connections=2, contention=1.0)
    assert list(result.tables["records"]["ended_s"]) == pytest.approx([0.020, 0.025], abs=1e-6)


def test_retrograde_scaling_has_its_peak_where_the_law_says() -> None:
    """N* = √((1 − σ)/κ) = 7: twice as many connections write less."""
    done = {n: written(50, 20.0, connections=n, per_insert=0.1, contention=0.02, coherency=0.02) for n in (3, 7, 14)}
    delivered = {n: metrics.summary(result)["delivered"] for n, result in done.items()}
    assert delivered[3] < delivered[7] > delivered[14]


@pytest.mark.parametrize("connections", [1, 4, 16])
def test_a_hot_row_is_a_serial_server_whatever_the_connections(connections: int) -> None:
    """Measured (facts §6): 740, 739 and 808 transactions a second with 1, 4 and 16 connections; latency = connections / X."""
    result = written(200, 5.0, connections=connections, hot_row=1.0)
    assert metrics.summary(result)["delivered"] == pytest.approx(500, abs=2)
    rows = inserts(result)
    done = ~np.isnan(rows["left_s"]) & (rows["started_s"] > 1.0)
    took = (rows["left_s"] - rows["started_s"])[done]
    assert took.mean() == pytest.approx(connections * 0.01, rel=0.01)


def test_only_the_share_that_touches_the_hot_row_takes_turns() -> None:
    result = written(250, 40.0, connections=16, per_insert=0.1, hot_row=0.1)
    assert metrics.summary(result)["delivered"] / 40 == pytest.approx(10 / 0.1, rel=0.15)
    assert capacities_of(hot_row=0.25, connections=16) == pytest.approx(400)
    assert capacities_of(hot_row=0.25, connections=2) == pytest.approx(200)
    assert capacities_of(connections=4, contention=1.0) == pytest.approx(100)


def capacities_of(**writer: Any) -> float:
    tiers = {"producer": {}, "broker": {}, "consumer": {}, "writer": {"per_insert": 0.01, "batch_rows": 1} | writer}
    return capacities(station(poisson(1), 0.0, 1.0, tiers=tiers))["writer"]


def test_inserts_wait_for_a_connection_in_turn_and_for_ever_without_a_timeout() -> None:
    result = written(METRONOME, 8.0, [LOCK], connections=2, inserters=500)
    rows = inserts(result)
    assert fates(result) == {"DELIVERED": len(rows["left_s"])}
    assert (np.diff(rows["started_s"]) >= 0).all()
    assert metrics.summary(result)["insert_errors"] == 0


def test_who_waits_too_long_for_a_connection_fails_and_tries_again() -> None:
    """Two inserts hold the connections and wait for the lock; the third has none within 1 s, and tries until there is."""
    result = written(METRONOME, 8.0, [LOCK], connections=2, inserters=3, pool_timeout=1.0,
                     retry={"max_attempts": 9, "pause": 0.1, "factor": 1.0})  # fmt: skip
    assert marks(result, "pool_timeout") == pytest.approx([3.02, 4.12], abs=0.02)
    assert set(fates(result)) == {"DELIVERED"}


def test_a_statement_timeout_rolls_back_and_frees_the_connection() -> None:
    result = written(METRONOME, 8.0, [LOCK], connections=2, statement_timeout=0.5,
                     retry={"max_attempts": 99, "pause": 0.1, "factor": 1.0})  # fmt: skip
    errors = marks(result, "statement_timeout")
    assert len(errors) == 10
    assert errors[:4] == pytest.approx([2.51, 2.52, 3.11, 3.12], abs=0.02)
    assert set(fates(result)) == {"DELIVERED"}
    assert metrics.summary(result)["duplicates"] == 0


def test_pauses_grow_by_the_factor() -> None:
    result = written(METRONOME, 8.0, [LOCK], connections=1, statement_timeout=0.1,
                     retry={"max_attempts": 99, "pause": 0.2, "factor": 2.0})  # fmt: skip
    gaps = np.diff(marks(result, "statement_timeout"))
    assert gaps == pytest.approx([0.3, 0.5, 0.9], abs=1e-6)


def test_rows_dropped_after_the_last_try_are_lost_and_named() -> None:
    """Each insert that begins under the lock fails after 0.1 s, three times, and is dropped."""
    result = written(METRONOME, 8.0, [LOCK], connections=1, statement_timeout=0.1,
                     retry={"max_attempts": 3, "pause": 0.0, "exhausted": "drop"})  # fmt: skip
    found = fates(result)
    assert found["DROPPED"] == len(marks(result, "dropped")) == 10
    assert metrics.ledger(result)["records"]["dropped"] == 10
    summary = metrics.summary(result)
    assert (summary["dropped"], summary["redelivered"]) == (10, 0)
    assert summary["insert_errors"] == len(marks(result, "statement_timeout")) in range(30, 33)


def test_a_process_that_dies_after_the_last_try_writes_twice_and_loses_nothing() -> None:
    result = written(METRONOME, 20.0, [LOCK], connections=1, statement_timeout=0.1, commit=5.0,
                     retry={"max_attempts": 3, "pause": 0.0, "exhausted": "crash", "restart_after": 4.0})  # fmt: skip
    assert marks(result, "crash") == pytest.approx([2.31], abs=0.02)
    assert marks(result, "restart") == pytest.approx([6.31], abs=0.02)
    assert set(fates(result)) <= {"DELIVERED", "IN_BROKER", "IN_WRITER"}
    assert metrics.summary(result)["redelivered"] == pytest.approx(200, abs=2)


def test_a_dropped_row_that_is_read_again_may_still_arrive() -> None:
    """Dropped before the last commit could cover it; then the consumer dies, and reads it again when the lock is gone."""
    crash = {"kind": "crash", "target": "consumer", "at": 4.0, "lasts": 2.0}
    result = written(METRONOME, 20.0, [LOCK, crash], connections=1, statement_timeout=0.1, commit=100.0,
                     retry={"max_attempts": 1, "exhausted": "drop"})  # fmt: skip
    assert len(marks(result, "dropped")) > 15
    assert set(fates(result)) <= {"DELIVERED", "IN_BROKER", "IN_WRITER"}


def test_a_slow_database_is_latency_long_before_it_is_an_error() -> None:
    """It slows down 2000 times within 100 s. With HikariCP's 10 connections and 30 s of patience, 30 inserters see the first
    error when an insert takes 15 s, which is when rows have been late for a minute and a half."""
    slower = {"kind": "slowdown", "target": "writer", "at": 10.0, "lasts": 150.0, "factor": 4000, "ramp_up": 140.0}
    result = written(100, 160.0, [slower], connections=10, inserters=30, pool_timeout=30.0)
    late = result.tables["records"]["ended_s"] - result.tables["records"]["produced_s"] > 1.0
    first_late = result.tables["records"]["produced_s"][late].min()
    assert metrics.summary(result)["insert_errors_from_s"] > first_late + 60.0


@pytest.mark.parametrize(
    ("writer", "complaint"),
    [
        ({"connections": 8, "inserters": 4}, "4 connections would never be used"),
        ({"connections": 8, "pool_timeout": 1.0}, "nobody waits for a connection"),
        ({"retry": {}}, "no insert ever fails"),
    ],
)
def test_combinations_that_would_do_nothing_are_refused(writer: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        written(1.0, 1.0, **writer)


def test_dropped_rows_are_done_with_and_not_read_again_after_a_commit() -> None:
    crash = {"kind": "crash", "target": "consumer", "at": 10.0, "lasts": 1.0}
    result = written(METRONOME, 15.0, [LOCK, crash], connections=1, statement_timeout=0.1,
                     retry={"max_attempts": 1, "exhausted": "drop"})  # fmt: skip
    summary = metrics.summary(result)
    assert summary["dropped"] == len(marks(result, "dropped")) > 15
    assert summary["redelivered"] == 0
