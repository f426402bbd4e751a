"""Producer, broker and consumer as Kafka's are: each mechanism by itself, with numbers that follow from its rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpsim import metrics
from bpsim.engine import Simulation, run
from bpsim.result import TIERS, Column, Fate, Outcome, Result
from bpsim.tiers.broker.link import Link
from bpsim.tiers.broker.log import PartitionLog
from bpsim.tiers.broker.segments import Segments
from bpsim.tiers.producer.partitioner import murmur2, of_librdkafka
from tests.pipelines import station

EVERY_10_MS = {"kind": "deterministic", "rate": 100}
STALL = {"kind": "stall", "target": "broker", "at": 1.0, "lasts": 100.0}


def pipeline(producer: dict[str, Any], broker: dict[str, Any], duration: float = 5.0, **rest: Any) -> Result:
    """100 records of 1000 bytes a second, and a producer that fails at once when it is full."""
    tiers = {"producer": {"on_full": "fail_fast"} | producer, "broker": {"partitions": 1} | broker}
    if "consumer" in rest:
        tiers["consumer"] = rest.pop("consumer")
    arrivals = rest.pop("arrivals", EVERY_10_MS)
    result = run(station(arrivals, 0.0, duration, 1000, tiers=tiers, **rest))
    metrics.check(result)
    return result


def accepted(result: Result) -> int:
    return len(result.tables["records"]["fate"])


def acked(result: Result) -> Column:
    hops = result.tables["hops"]
    return hops["left_s"][(hops["tier"] == TIERS.index("producer")) & ~np.isnan(hops["served_s"])]


@pytest.mark.parametrize(
    ("key", "hashed"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536), (b"abc", 479470107),
     (b"a-little-bit-longer-string", -1486304829), (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)],
)  # fmt: skip
def test_keys_are_hashed_as_kafkas_own_tests_say(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % 2**32
    assert of_librdkafka(b"123456789", 1 << 32) == 0xCBF43926, "the check value of CRC-32"


def test_java_takes_memory_by_the_batch_and_librdkafka_by_the_message() -> None:
    thin = {"keys": {"distinct": 1000}, "faults": [STALL | {"at": 0.0}]}
    java = pipeline({"buffer.memory": 20 * 16384}, {"partitions": 50}, **thin)
    counted = pipeline({"client": "librdkafka", "buffer": {"bytes": 20 * 16384}}, {"partitions": 50}, **thin)
    assert accepted(java) < 300, "20 partitions have a batch each, and only those take records"
    assert accepted(counted) == 20 * 16384 // 1000


def test_a_batch_expires_from_its_creation_and_late_records_with_it() -> None:
    options = {"linger.ms": 500, "request.timeout.ms": 500, "delivery.timeout.ms": 1000}
    result = pipeline(options, {}, faults=[STALL], duration=4.0)
    records = result.tables["records"]
    lost = records["fate"] == Fate.EXPIRED
    waited = (records["ended_s"] - records["produced_s"])[lost]
    assert lost.sum() > 100
    assert waited.min() < 0.95, "they joined a batch that had been there for a while"
    hops = result.tables["hops"]
    given_up = (hops["tier"] == TIERS.index("producer")) & np.isnan(hops["served_s"]) & ~np.isnan(hops["left_s"])
    np.testing.assert_allclose((hops["left_s"] - hops["entered_s"])[given_up], 1.0)


def test_librdkafka_looks_for_expired_messages_once_a_second() -> None:
    result = pipeline({"client": "librdkafka", "message.timeout.ms": 700}, {}, faults=[STALL], duration=5.0)
    records = result.tables["records"]
    lost = records["fate"] == Fate.EXPIRED
    assert set(np.unique(records["ended_s"][lost])) <= {2.0, 3.0, 4.0, 5.0}
    waited = (records["ended_s"] - records["produced_s"])[lost]
    assert 0.699 < waited.min() < 0.75
    assert 1.6 < waited.max() <= 1.7


def test_what_expires_in_flight_may_be_stored_and_a_retry_makes_a_duplicate() -> None:
    timeouts = {"request.timeout.ms": 400, "delivery.timeout.ms": 500, "linger.ms": 0}
    client = {"retry": {"kind": "fixed", "delay": 0.5, "max_attempts": 2}, "reply": "on_ack"}
    seldom = {"kind": "deterministic", "rate": 0.2}
    result = pipeline(timeouts, {"ack_latency": 1.0}, duration=30.0, arrivals=seldom, **client)
    assert (result.tables["attempts"]["outcome"] == Outcome.PRODUCE_FAILED).any()
    fates = result.tables["records"]["fate"]
    assert (fates == Fate.IN_BROKER).sum() > len(np.unique(result.tables["records"]["request"][fates == Fate.IN_BROKER]))


def test_a_request_timeout_ends_the_connection_and_the_broker_knows_what_it_has() -> None:
    options = {"request.timeout.ms": 300, "linger.ms": 0}
    stall = {"kind": "slowdown", "target": "broker", "at": 1.0, "lasts": 1.0, "factor": 400.0}
    sent_twice = {}
    for idempotent in (True, False):
        simulation = Simulation(station(EVERY_10_MS, 0.0, 6.0, 1000, faults=[stall], tiers={
            "producer": options | {"enable.idempotence": idempotent}, "broker": {"partitions": 1}, "consumer": {},
        }))  # fmt: skip
        simulation.advance(6.0)
        result = simulation.result()
        metrics.check(result)
        assert simulation.broker is not None
        sent_twice[idempotent] = len(simulation.broker.appended_again)
        assert (result.tables["records"]["fate"] == Fate.DELIVERED).mean() > 0.99
        assert (result.tables["records"]["redelivered"].sum() > 0) == (not idempotent)
    assert sent_twice[True] == 0 < sent_twice[False]


def test_requests_in_flight_hide_the_network_and_not_the_broker() -> None:
    """3 records a batch, 30 ms in the broker: 100/s whatever is in flight; 30 ms on the network: 100/s for each in flight."""
    options = {"linger": 0.0, "batch": {"records": 3}, "buffer": {"records": 60}}
    fast = {"kind": "deterministic", "rate": 1000}

    def rate(flying: int, **broker: Any) -> float:
        found = acked(pipeline(options | {"max_in_flight": flying}, broker, arrivals=fast, duration=8.0))
        return 3 * ((found > 2) & (found <= 8)).sum() / 6

    assert rate(1, ack_latency=0.03) == pytest.approx(100, rel=0.02)
    assert rate(5, ack_latency=0.03) == pytest.approx(100, rel=0.02)
    assert rate(5, ack_latency=0.03, pipelining=True) == pytest.approx(500, rel=0.02)
    assert rate(5, ack_latency=0.0, round_trip=0.03) == pytest.approx(500, rel=0.02)


def test_a_request_takes_a_batch_of_every_partition_and_librdkafkas_one() -> None:
    options = {"linger": 0.0, "batch": {"records": 3}, "buffer": {"records": 300}, "max_in_flight": 1}
    fast = {"kind": "deterministic", "rate": 2000}
    for client, batches in (("java", 4), ("librdkafka", 1)):
        keyed = {"keys": {"distinct": 10_000}, "arrivals": fast, "duration": 5.0}
        found = acked(pipeline(options | {"client": client}, {"partitions": 4, "ack_latency": 0.03}, **keyed))
        assert 3 * ((found > 2) & (found <= 5)).sum() / 3 == pytest.approx(100 * batches, rel=0.05)


def test_a_lagging_consumer_leaves_producers_untouched() -> None:
    slow = {"service": 0.5}
    tables = [pipeline({}, {}, duration=20.0, reply="on_ack", consumer=consumer).tables["attempts"] for consumer in ({}, slow)]
    for name, column in tables[0].items():
        np.testing.assert_array_equal(column, tables[1][name], err_msg=name)


def test_a_hold_is_over_when_those_who_were_held_have_hung_up() -> None:
    stall = {"kind": "stall", "target": "consumer", "at": 1.0, "lasts": 4.0}
    patience = {"request_timeout": 1.0, "delivery_timeout": 60.0}
    result = pipeline(patience, {"overflow": "hold_producer", "retention": {"records": 50}}, 12.0, consumer={}, faults=(stall,))
    marks = result.tables["marks"]
    kinds = [str(kind) for kind in marks["kind"] if str(kind).startswith("hold_")]
    assert kinds == ["hold_begins", "hold_ends"] * (len(kinds) // 2)
    assert len(kinds) > 2, "a connection that is opened again is held anew"
    blocked = metrics.timeseries(result, 1.0)["broker.blocked_share"]
    assert blocked[2:5].mean() > 0.5
    assert (blocked[7:] == 0).all()


def test_a_dead_leader_fills_the_buffer_for_everyone() -> None:
    down = {"kind": "leader_down", "broker": 1, "at": 1.0, "lasts": 8.0}
    keyed = {"keys": {"distinct": 100}, "faults": [down], "duration": 12.0}
    result = pipeline({"buffer.memory": 8 * 16384}, {"partitions": 4, "brokers": 4}, **keyed)
    attempts = result.tables["attempts"]
    refused = attempts["outcome"] == Outcome.REJECTED
    assert refused[attempts["sent_s"] < 1].sum() == 0
    late = (attempts["sent_s"] > 8) & (attempts["sent_s"] < 9)
    assert refused[late].mean() > 0.9, "three leaders of four are well, and nearly nobody gets through"
    sticky = pipeline({"buffer.memory": 8 * 16384}, {"partitions": 4, "brokers": 4}, faults=[down], duration=12.0)
    assert (sticky.tables["attempts"]["outcome"] == Outcome.REJECTED).sum() < refused.sum(), "without keys they go elsewhere"


def test_without_poll_a_queue_holds_so_many_messages_for_good() -> None:
    forgets = {"client": "librdkafka", "queue.buffering.max.messages": 50, "forgets_poll": True}
    assert accepted(pipeline(forgets, {})) == 50
    assert accepted(pipeline(forgets | {"forgets_poll": False}, {})) >= 499


def test_acks_0_is_told_at_once() -> None:
    result = pipeline({"acks": 0, "linger": 0.0}, {"ack_latency": 1.0}, reply="on_ack")
    attempts = result.tables["attempts"]
    assert (attempts["ended_s"] - attempts["sent_s"]).max() == 0


def test_a_quota_mutes_the_connection_for_the_excess() -> None:
    link = Link(1000.0)
    assert link.charge(10_000, 0.0) == 0, "ten seconds of it at once"
    assert link.charge(500, 0.0) == pytest.approx(0.5)
    assert link.charge(500, 0.5) == pytest.approx(0.5)
    result = pipeline({"linger": 0.0}, {"quota": 50_000.0}, duration=40.0)
    found = acked(result)
    assert ((found > 25) & (found < 35)).sum() < 10 * 100
    hops = result.tables["hops"]
    mine = (hops["tier"] == TIERS.index("producer")) & (hops["left_s"] > 20) & (hops["left_s"] <= 40)
    assert hops["count"][mine].sum() / 20 == pytest.approx(50, rel=0.1)


def test_whole_segments_are_deleted_and_what_remains_is_at_least_what_is_to_be_kept() -> None:
    segments = Segments(1000, None, 2500, None)
    for offset in range(1, 61):
        segments.append(offset, 100, float(offset))
    assert segments.delete(60.0) == 30
    assert segments.size == 3000, "2500, and less than a segment more"
    assert segments.delete(61.0) is None
    by_time = Segments(1000, 5.0, None, 20.0)
    for offset in range(1, 61):
        by_time.append(offset, 100, float(offset))
    assert by_time.delete(60.0) == 36, "segments of 5 s, of which the last record is older than 20 s"


def test_a_log_reads_on_where_it_was_and_again_what_is_put_back() -> None:
    log = PartitionLog()
    for first in (0, 10, 40):
        log.append(first, first + 5, float(first))
    assert log.read(7) == [(0, 5, 0.0), (10, 12, 10.0)]
    log.put_back([(4, 5), (10, 12)], 50.0)
    assert (log.unread, log.oldest) == (11, 50.0)
    assert log.read(4) == [(4, 5, 50.0), (10, 12, 50.0), (12, 13, 10.0)]
    assert log.delete_to(10) == [(13, 15, 10.0)]
    assert log.read(100) == [(40, 45, 40.0)]


def test_a_full_disk_halts_the_broker_and_acks_end() -> None:
    result = pipeline({}, {"segment": 10_000, "disk": 150_000}, duration=5.0)
    assert acked(result).max() < 1.6
    assert (result.tables["marks"]["kind"] == "disk_full").any()


GROUP = {"service": 0.05, "max_poll_records": 10, "commit_interval": 0.5}


def delivered(result: Result) -> Column:
    records = result.tables["records"]
    return np.sort(records["ended_s"][records["fate"] == Fate.DELIVERED])


@pytest.mark.parametrize(("members", "busy"), [(1, 1), (3, 3), (4, 4), (9, 4)])
def test_partitions_cap_parallelism(members: int, busy: int) -> None:
    consumer = GROUP | {"members": members}
    done = delivered(
        pipeline({}, {"partitions": 4}, duration=20.0, consumer=consumer, arrivals={"kind": "deterministic", "rate": 200})
    )
    assert ((done > 10) & (done <= 20)).sum() / 10 == pytest.approx(20 * busy, rel=0.06)


def test_who_does_not_poll_in_time_is_evicted_and_its_records_are_read_again() -> None:
    overrun = {"max_poll_records": 10, "service": 0.2, "max_poll_interval": 1.5, "members": 2, "commit_interval": 0.5}
    result = pipeline({}, {"partitions": 2}, duration=30.0, consumer=overrun)
    marks = result.tables["marks"]["kind"]
    assert (marks == "evicted").sum() > 3
    assert result.tables["records"]["redelivered"].sum() > 10
    calm = pipeline({}, {"partitions": 2}, duration=30.0, consumer=overrun | {"max_poll_interval": 300.0})
    assert calm.tables["records"]["redelivered"].sum() == 0


def test_an_eager_rebalance_stops_everybody_and_a_cooperative_one_does_not() -> None:
    """Now and then somebody handles 10 records of 0.3 s in a poll that may take 2 s; then the others wait, or do not."""

    def fetches(protocol: str) -> int:
        hot = {"keys": {"distinct": 40, "hot_share": 0.5}, "arrivals": {"kind": "deterministic", "rate": 20}}
        slow = {"max_poll_records": 10, "service": 0.3, "max_poll_interval": 2.0, "members": 4, "commit_interval": 0.5}
        result = pipeline({}, {"partitions": 8}, duration=60.0, consumer=slow | {"rebalance": protocol}, **hot)
        assert (result.tables["marks"]["kind"] == "evicted").any()
        hops = result.tables["hops"]
        return len(np.unique(hops["entered_s"][hops["tier"] == TIERS.index("consumer")]))

    assert fetches("eager") < 0.9 * fetches("cooperative")
