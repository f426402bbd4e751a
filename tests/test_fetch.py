"""What a consumer's fetch brings, and how long it waits at the broker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpsim import metrics
from bpsim.engine import run
from bpsim.result import TIERS, Column, Fate, Result
from bpsim.tiers.consumer import ConsumerSpec
from bpsim.tiers.consumer.fetch import FetchLimits
from tests.pipelines import station

EVERY_10_MS = {"kind": "deterministic", "rate": 100}
PRODUCER = {"linger": 0.0, "batch": {"records": 1}}


def consume(consumer: dict[str, Any], arrivals: dict[str, Any] = EVERY_10_MS, duration: float = 5.0, **broker: Any) -> Result:
    """Records of 1000 bytes, each in a batch of its own."""
    faults, writer = broker.pop("faults", ()), broker.pop("writer", None)
    tiers = {"producer": PRODUCER, "broker": {"partitions": 1, "pipelining": True} | broker, "consumer": consumer}
    tiers |= {"writer": writer} if writer else {}
    result = run(station(arrivals, 0.0, duration, 1000, tiers=tiers, record_size=1000, faults=faults))
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
    limits = FetchLimits(500, 500, 1000, 5, 0.4, 1)
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


def share(result: Result, fate: Fate) -> float:
    return float((result.tables["records"]["fate"] == fate).mean())


def rate(result: Result, since: float, until: float) -> float:
    ended = result.tables["records"]["ended_s"][result.tables["records"]["fate"] == Fate.DELIVERED]
    return float(((ended > since) & (ended <= until)).sum() / (until - since))


FAST = {"kind": "deterministic", "rate": 2000}


def test_java_fetches_while_records_are_handled() -> None:
    """A fetch of 50 ms, then 50 records of 1 ms: 500/s one after the other, 1000/s side by side."""
    slow = {"fetch_latency": 0.05, "service": 0.001, "max.poll.records": 50, "max.partition.fetch.bytes": 50_000}
    assert rate(consume(slow, FAST), 1, 5) == pytest.approx(500, rel=0.02)
    assert rate(consume(slow | {"prefetch": True}, FAST), 1, 5) == pytest.approx(1000, rel=0.02)


def test_java_fetches_a_partition_again_once_nothing_of_it_is_left() -> None:
    options = {"service": 0.01, "max.poll.records": 10, "prefetch": True, "fetch.min.bytes": 100_000, "fetch_wait": 1.0}
    _, brought = fetches(consume(options | {"max.partition.fetch.bytes": 60_000}, FAST))
    assert set(brought) == {60}
    assert len(brought) == pytest.approx(5 / 0.6, abs=2), "6 polls of 0.1 s, and one fetch"


def test_librdkafka_keeps_so_many_messages_of_a_partition_and_the_log_looks_read() -> None:
    stuck = {"client": "librdkafka", "service": 1.0}
    deep = consume(stuck)
    assert share(deep, Fate.IN_BROKER) < 0.01
    assert share(deep, Fate.IN_CONSUMER) > 0.98
    tens = stuck | {"fetch.message.max.bytes": 10_000}
    shallow = consume(tens | {"queued.min.messages": 100})
    assert 100 <= (shallow.tables["records"]["fate"] == Fate.IN_CONSUMER).sum() <= 110
    by_size = consume(tens | {"queued.max.messages.kbytes": 50})
    assert 51 <= (by_size.tables["records"]["fate"] == Fate.IN_CONSUMER).sum() <= 62


def read_twice(result: Result) -> int:
    hops = result.tables["hops"]
    mine = (hops["tier"] == TIERS.index("broker")) & ~np.isnan(hops["served_s"])
    return int(hops["count"][mine].sum()) - len(result.tables["records"]["fate"])


def test_a_pause_costs_librdkafka_what_it_had_fetched_and_java_nothing() -> None:
    writer = {"batch_rows": 10, "buffer": {"records": 20}, "per_insert": 0.2}
    flapping = {"max_poll_records": 10, "when_full": "pause"}
    assert read_twice(consume(flapping | {"client": "librdkafka"}, writer=writer)) > 1000
    assert read_twice(consume(flapping | {"prefetch": True}, writer=writer)) <= 0


@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_a_crash_reads_again_what_had_been_fetched_ahead_and_loses_nothing(client: str) -> None:
    crash = {"kind": "crash", "target": "consumer", "at": 2.3, "lasts": 0.5}
    options = {"client": client, "prefetch": True, "service": 0.012, "commit_interval": 0.5}
    result = consume(options, duration=10.0, faults=[crash])
    records = result.tables["records"]
    assert records["redelivered"].sum() > 10
    assert share(result, Fate.DELIVERED) + share(result, Fate.IN_CONSUMER) + share(result, Fate.IN_BROKER) > 0.99
    ended = records["ended_s"][records["fate"] == Fate.DELIVERED]
    assert (np.diff(ended) >= 0).all(), "in the order of the log"


@pytest.mark.parametrize("protocol", ["eager", "cooperative"])
@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_partitions_that_move_leave_what_was_fetched_ahead_to_their_next_owner(client: str, protocol: str) -> None:
    overrun = {"max_poll_records": 10, "service": 0.03, "max_poll_interval": 0.25, "members": 3, "commit_interval": 0.1}
    pause = {"kind": "slowdown", "target": "consumer", "at": 3.0, "lasts": 0.5, "factor": 3.0}
    result = consume(overrun | {"client": client, "prefetch": True, "rebalance": protocol}, duration=30.0, partitions=4,
                     faults=[pause], arrivals={"kind": "deterministic", "rate": 50})  # fmt: skip
    assert (result.tables["marks"]["kind"] == "rebalance").any()
    assert share(result, Fate.DELIVERED) > 0.9
