"""acks=all and its followers: who is waited for, for how long, and what happens when too few are left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpsim import metrics
from bpsim.engine import run
from bpsim.result import TIERS, Column, Fate, Result
from bpsim.tiers.broker import BrokerSpec
from tests.pipelines import station

THREE = {"brokers": 3, "partitions": 3, "replicas": 3, "replica.lag.time.max.ms": 2000}


def produce(
    fault: dict[str, Any], broker: dict[str, Any], producer: dict[str, Any] | None = None, until: float = 8.0
) -> Result:
    """100 records of 1000 bytes a second for 30 s; a follower is slow from 1.005 s on, just after an ack."""
    slow = {"kind": "slow_follower", "at": 1.005, "lasts": until - 1.005} | fault
    tiers = {"producer": {"linger": 0.0} | (producer or {}), "broker": broker, "consumer": {}}
    result = run(station({"kind": "deterministic", "rate": 100}, 0.0, 30.0, 1000, tiers=tiers, record_size=1000, faults=[slow]))
    metrics.check(result)
    return result


def acks(result: Result) -> tuple[Column, Column]:
    """When batches were acknowledged, and how long after they were begun."""
    hops = result.tables["hops"]
    mine = (hops["tier"] == TIERS.index("producer")) & ~np.isnan(hops["served_s"])
    return hops["left_s"][mine], (hops["left_s"] - hops["entered_s"])[mine]


def marks(result: Result, kind: str) -> tuple[Column, Column]:
    table = result.tables["marks"]
    return table["time_s"][table["kind"] == kind], table["value"][table["kind"] == kind]


def test_a_follower_that_hangs_is_waited_for_until_it_is_out_of_sync() -> None:
    """It is late 2 s after the first record it has not copied, and that is looked for every second."""
    result = produce({}, THREE | {"brokers": 3, "partitions": 1})
    at, latency = acks(result)
    assert not ((at > 1.02) & (at < 3.999)).any()
    assert latency.max() == pytest.approx(4.0 - 1.01, abs=0.02)
    assert latency[at > 4.1].max() < 0.05
    when, in_sync = marks(result, "isr_shrinks")
    assert (when.tolist(), in_sync.tolist()) == ([4.0], [2.0])
    assert marks(result, "isr_expands")[0].tolist() == [8.0]


def test_a_follower_that_is_back_is_waited_for_again() -> None:
    result = produce({"times": 2, "every": 12.0}, THREE | {"partitions": 1})
    assert marks(result, "isr_shrinks")[0].tolist() == [4.0, 16.0]
    assert len(marks(result, "isr_expands")[0]) == 2


def test_a_follower_that_keeps_up_costs_its_copying_and_stays_in_sync() -> None:
    result = produce({"throughput": 200_000}, THREE)
    at, latency = acks(result)
    assert np.median(latency[at < 1]) == pytest.approx(0.002, abs=1e-6)
    assert np.median(latency[(at > 2) & (at < 8)]) == pytest.approx(0.002 + 1000 / 200_000, abs=1e-6)
    assert not len(marks(result, "isr_shrinks")[0])


def test_a_follower_that_cannot_keep_up_slows_producers_to_its_own_rate() -> None:
    """A leader takes the next request of a connection once it has answered the last: so the follower never lags by more."""
    result = produce({"throughput": 40_000}, THREE | {"partitions": 1}, until=21.0)
    hops = result.tables["hops"]
    mine = (hops["tier"] == TIERS.index("producer")) & (hops["left_s"] > 5) & (hops["left_s"] <= 20)
    assert hops["count"][mine].sum() / 15 == pytest.approx(40, rel=0.05)
    assert not len(marks(result, "isr_shrinks")[0])


def test_with_too_few_in_sync_nothing_is_appended_until_the_follower_is_back() -> None:
    result = produce({}, THREE | {"replicas": 2, "min.insync.replicas": 2}, until=12.0)
    at, _ = acks(result)
    assert not ((at > 1.1) & (at < 12)).any()
    assert (result.tables["records"]["fate"] == Fate.DELIVERED).mean() > 0.99, "they were tried again and again"
    assert result.tables["records"]["redelivered"].sum() == 0


def test_who_is_refused_for_longer_than_the_delivery_timeout_is_given_up() -> None:
    impatient = {"request.timeout.ms": 1500, "delivery.timeout.ms": 3000}
    strict = produce({}, THREE | {"replicas": 2, "min_insync": 2}, impatient, until=12.0)
    ended = strict.tables["records"]["ended_s"][strict.tables["records"]["fate"] == Fate.EXPIRED]
    assert len(ended) > 500
    assert ended.min() > 4
    assert ended.max() < 15.1
    lenient = produce({}, THREE | {"replicas": 2, "min_insync": 1}, impatient, until=12.0)
    assert (lenient.tables["records"]["fate"] == Fate.EXPIRED).sum() == 0


@pytest.mark.parametrize(
    ("fault", "broker", "producer", "reason"),
    [
        ({"followers": 3}, THREE, {}, "a partition has 2 followers"),
        ({}, THREE, {"acks": "1"}, "with acks 1 nobody waits for followers"),
        ({}, THREE | {"brokers": 2}, {}, "Replication factor: 3 larger than available brokers: 2."),
        ({}, THREE | {"min_insync": 4}, {}, "4 of 3 replicas are never in sync"),
    ],
)
def test_followers_that_cannot_be_are_refused(
    fault: dict[str, Any], broker: dict[str, Any], producer: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        produce(fault, broker, producer)


def test_every_replica_takes_disk() -> None:
    full = {}
    for replicas in (1, 3):
        disk = THREE | {"replicas": replicas, "segment": 10_000, "disk": 500_000}
        if replicas == 1:
            disk |= {"replica_lag_max": 30.0}
            disk.pop("replica.lag.time.max.ms")
        result = run(station({"kind": "deterministic", "rate": 100}, 0.0, 30.0, 1000, record_size=1000, keys={"distinct": 999},
                             tiers={"producer": {}, "broker": disk}))  # fmt: skip
        full[replicas] = marks(result, "disk_full")[0].min()
    assert full[1] / full[3] == pytest.approx(3, rel=0.1)
    assert BrokerSpec.model_validate({"brokers": 3, "replication.factor": 3}).replicas == 3
