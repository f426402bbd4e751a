"""What a consumer's fetch brings, and how long it waits at the broker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpsim import metrics
from bpsim.engine import run
from bpsim.result import TIERS, Column, Result
from bpsim.tiers.consumer import ConsumerSpec
from bpsim.tiers.consumer.fetch import FetchLimits
from tests.pipelines import station

EVERY_10_MS = {"kind": "deterministic", "rate": 100}
PRODUCER = {"linger": 0.0, "batch": {"records": 1}}


def consume(consumer: dict[str, Any], arrivals: dict[str, Any] = EVERY_10_MS, duration: float = 5.0, **broker: Any) -> Result:
    """Records of 1000 bytes, each in a batch of its own."""
    tiers = {"producer": PRODUCER, "broker": {"partitions": 1} | broker, "consumer": consumer}
    result = run(station(arrivals, 0.0, duration, 1000, tiers=tiers, record_size=1000))
    metrics.check(result)
    return result


def fetches(result: Result) -> tuple[Column, Column]:
    """When each was answered by the broker, and how many records it brought."""
    hops = result.tables["hops"]
    mine = (hops["tier"] == TIERS.index("broker")) & ~np.isnan(hops["left_s"]) & (hops["count"] > 0)
    at, index = np.unique(hops["left_s"][mine], return_inverse=True)
    return at, np.bincount(index, hops["count"][mine])


def test_a_fetch_waits_for_so_many_bytes() -> None:
    at, brought = fetches(consume({"fetch.min.bytes": 10_000}))
    assert set(brought[:-1]) == {10}
    np.testing.assert_allclose(np.diff(at), 0.1)
    assert set(fetches(consume({}))[1]) == {1}, "Kafka's default answers as soon as there is anything"


def test_bytes_that_do_not_come_are_waited_for_no_longer_than_fetch_max_wait() -> None:
    at, brought = fetches(consume({"fetch.min.bytes": 100_000, "fetch.max.wait.ms": 55, "fetch_latency": 0.005}))
    np.testing.assert_allclose(np.diff(at), 0.06)
    assert set(brought) <= {5, 6, 7}


def test_a_fetch_that_finds_nothing_is_followed_by_another_so_waits_are_back_to_back() -> None:
    """One record a second: it is found at the end of the wait of 0.4 s in which it came, counted from the last answer."""
    seldom = {"kind": "deterministic", "rate": 1}
    at, brought = fetches(consume({"fetch_min": 5000, "fetch_wait": 0.4, "fetch_latency": 0.01}, seldom))
    assert set(brought) == {1}
    limits = FetchLimits(500, 1000, 5, 0.4)
    assert limits.wait_ends(1.0, 1.5) == pytest.approx(1.8)
    assert limits.wait_ends(0.0, 0.4) == 0.4
    gaps = np.diff(at) - 0.01
    np.testing.assert_allclose(gaps / 0.4, np.round(gaps / 0.4), atol=1e-6)


def test_no_answer_is_larger_than_fetch_max_bytes_nor_a_partitions_share() -> None:
    late = {"fetch_min": 10**6, "fetch_wait": 1.0, "fetch_latency": 0.001}
    assert fetches(consume(late | {"fetch.max.bytes": 30_000}))[1].max() == 30
    assert fetches(consume(late | {"max.partition.fetch.bytes": 20_000}))[1].max() == 20
    assert fetches(consume(late))[1].max() > 90


def test_a_fetch_waits_by_broker_so_several_brokers_are_refused() -> None:
    with pytest.raises(ValueError, match="each of 2 brokers would let its own fetch wait"):
        consume({"fetch_min": 5000}, brokers=2, partitions=2)


def test_defaults_of_a_fetch_are_those_of_the_client() -> None:
    java = ConsumerSpec()
    assert (java.fetch_min, java.fetch_wait, java.fetch_max, java.partition_bytes) == (1, 0.5, 50 * 2**20, 2**20)
    assert ConsumerSpec.model_validate({"fetch.min.bytes": 0}).fetch_min is None
