"""The way to Kafka: a bounded queue that never makes anybody wait, and an account of every record it took."""

from __future__ import annotations

import threading
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from examples.fail_fast_api.settings import Settings

TOPIC = "records"
POLL_S = 0.05


class Outbox:
    """librdkafka's queue. A slot is free again once the delivery report has been served by `poll`, so a thread polls."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(
            {
                "test.mock.num.brokers": 1,  # librdkafka's own cluster, inside this process; bootstrap.servers otherwise
                "test.mock.broker.rtt": settings.broker_rtt_ms,
                "queue.buffering.max.messages": settings.queue_messages,
                "batch.num.messages": settings.batch_messages,
                "linger.ms": settings.linger_ms,
                "max.in.flight.requests.per.connection": 1,
                "acks": "all",
                "enable.idempotence": False,
            }
        )
        self._lock = threading.Lock()
        self._counts = {"accepted": 0, "queue_full": 0, "delivered": 0, "failed": 0, "peak_queue": 0}
        self._latencies: list[float] = []
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="delivery-reports", daemon=True)
        brokers = self._producer.list_topics(TOPIC, timeout=30).brokers  # connected, and the topic made, before any request
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
        """Where a consumer finds the cluster."""
        self._poller.start()

    def offer(self, value: bytes) -> bool:
        """Take the record if there is room. Never waits."""
        try:
            self._producer.produce(TOPIC, value, partition=0, on_delivery=self._reported)
        except BufferError:
            self._count("queue_full")
            return False
        with self._lock:
            self._counts["accepted"] += 1
            self._counts["peak_queue"] = max(self._counts["peak_queue"], len(self._producer))
        return True

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        self._count("delivered" if error is None else "failed")
        if error is None:
            self._latencies.append(message.latency() or 0.0)

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_S)

    def stats(self) -> dict[str, Any]:
        """Counts since the start, and seconds from produce to acknowledgement."""
        with self._lock:
            counts = dict(self._counts)
        return counts | {
            "queued": len(self._producer),
            "latencies_s": sorted(self._latencies),
            "bootstrap": self.bootstrap,
        }

    def close(self) -> int:
        """Send what is queued, and stop; returns how many could not be sent."""
        left = self._producer.flush(30)
        self._closing.set()
        self._poller.join()
        return int(left)
