"""The example application, driven over HTTP beyond what it can take: uvicorn, FastAPI and librdkafka, on this machine only."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from examples.fail_fast_api.drive import Tally, drained, drive, serving
from examples.fail_fast_api.limiter import TokenBucket
from examples.fail_fast_api.outbox import TOPIC
from examples.fail_fast_api.settings import Settings

SLOW = Settings(queue_messages=20, batch_messages=2, broker_rtt_ms=200, limit_per_s=5.0, limit_burst=80)
"""The broker takes 10 records a second, the limiter lets 80 through at once and then 5 a second: both far less than
any machine can send."""
REQUESTS = 200


@pytest.fixture(scope="module")
def overload() -> tuple[Tally, dict[str, Any], list[int]]:
    """What the client saw, what the application says, and the numbers of the records in the log."""
    with serving(SLOW) as url:
        tally = asyncio.run(drive(url, REQUESTS, None))
        stats = drained(url)
        return tally, stats, logged(stats["bootstrap"], stats["delivered"])


def logged(bootstrap: str, count: int) -> list[int]:
    """The numbers of the first `count` records of the topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    found: list[int] = []
    while len(found) < count:
        message = consumer.poll(20)
        assert message is not None and message.error() is None, f"{len(found)} of {count} records are in the log"
        found.append(int(message.value().split()[0]))
    consumer.close()
    return found


def test_every_request_is_answered_and_the_two_sides_count_alike(overload: Any) -> None:
    tally, stats, _ = overload
    assert tally.sent == REQUESTS == sum(tally.answers.values())
    for answer in ("accepted", "queue_full", "rate_limited"):
        assert tally.answers[answer] == stats[answer]


def test_too_much_is_a_429_that_says_when_to_come_again(overload: Any) -> None:
    tally, _, _ = overload
    assert tally.answers["queue_full"] > 0
    assert tally.answers["rate_limited"] > 0
    assert tally.retry_after == {"1", "2"}


def test_the_queue_is_bounded_whatever_is_sent(overload: Any) -> None:
    _, stats, _ = overload
    assert 0 < stats["peak_queue"] <= SLOW.queue_messages
    assert stats["queued"] == 0


def test_no_accepted_record_is_lost_and_no_other_is_written(overload: Any) -> None:
    tally, stats, numbers = overload
    assert stats["failed"] == 0
    assert stats["delivered"] == len(tally.accepted)
    assert sorted(numbers) == sorted(tally.accepted)


def test_the_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10.0, 3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.retry_after() == 1
    assert [bucket.take(0.11), bucket.take(0.12)] == [True, False]
    assert sum(bucket.take(0.12 + i / 100) for i in range(1000)) == pytest.approx(100, abs=1)


def test_settings_travel_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLOW.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == SLOW
    assert SLOW.capacity_per_s == 10
