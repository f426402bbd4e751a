"""librdkafka makes its next request while the one before is in flight: what comes after that waits for one more."""

from __future__ import annotations

from typing import Any

import pytest

from bpsim import metrics
from bpsim.engine import run
from bpsim.result import Outcome, Result
from tests.pipelines import poisson, station


def produced(arrivals: dict[str, Any], duration: float, ack: float, client: str = "librdkafka", **producer: Any) -> Result:
    tiers = {
        "producer": {"client": client, "max_in_flight": 1, "linger": 0.0, "on_full": "fail_fast"} | producer,
        "broker": {"partitions": 1, "ack_latency": ack},
    }
    result = run(station(arrivals, 0.0, duration, workers=10**6, reply="on_ack", tiers=tiers))
    metrics.check(result)
    return result


def test_a_record_joins_no_request_that_is_already_made() -> None:
    """One every 100 ms, a round trip of 250 ms. The first goes at 100 and is back at 350; meanwhile the second is made into
    the next request, and the third, 100 ms later, has to wait for the one after. Java puts both into the request at 350."""
    every = {"kind": "deterministic", "rate": 10}
    ends = {client: produced(every, 2.0, 0.25, client).tables["attempts"]["ended_s"][:4] for client in ("librdkafka", "java")}
    assert list(ends["librdkafka"]) == pytest.approx([0.35, 0.6, 0.85, 1.1], abs=1e-6)
    assert list(ends["java"]) == pytest.approx([0.35, 0.6, 0.6, 0.85], abs=1e-6)


@pytest.mark.parametrize(
    ("queue", "batch", "ack", "rate", "delivered", "full"),
    [
        (12, 5, 0.25, 60, 15.0, 73.0),
        (12, 5, 0.25, 11, 9.7, 4.4),
        (100, 5, 0.25, 60, 18.2, 49.1),
        (60, 10, 0.1, 300, 95.1, 64.7),
    ],
)
def test_a_small_queue_sends_small_batches(
    queue: int, batch: int, ack: float, rate: float, delivered: float, full: float
) -> None:
    """Measured with confluent-kafka 2.16.1 on its mock cluster, one request in flight, linger 5 ms, Poisson arrivals: records
    delivered a second (a full batch each round trip would be 20, and 100), and per cent of them refused."""
    sizes = {"linger": 0.005, "batch": {"records": batch}, "buffer": {"records": queue}}
    for_s = 8.0 if queue == 100 else 10.0
    outcome = produced(poisson(rate), for_s, ack, **sizes).tables["attempts"]["outcome"]
    assert (outcome == Outcome.OK).sum() / for_s == pytest.approx(delivered, rel=0.1)
    assert 100 * (outcome == Outcome.REJECTED).mean() == pytest.approx(full, abs=4)
