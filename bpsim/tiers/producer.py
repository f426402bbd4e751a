"""The producer: a bounded buffer inside the API process, drained in batches with a few in flight."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import nan
from typing import ClassVar, Literal

from pydantic import Field

from bpsim.kernel.bound import Bound
from bpsim.kernel.buffer import nothing
from bpsim.kernel.clock import Alarm, Clock
from bpsim.spec import Spec
from bpsim.streams import to_grid
from bpsim.tiers.broker import Broker
from bpsim.units import Seconds


class ProducerSpec(Spec):
    """The Kafka-like producer inside the API process: a bounded buffer, batches, and requests in flight."""

    not_yet: ClassVar[dict[str, str]] = {
        "client": "java and librdkafka differ in issue 5; here is what they have in common",
        "delivery_timeout": "records wait for ever; expiry comes with the real clients (issue 5)",
        "config": "real .properties files are read from issue 5 on",
    }
    buffer: Bound = Field(default=Bound(bytes=32 * 2**20), description="records not yet acknowledged, in flight included")
    linger: Seconds = Field(default=0.005, description="how long a batch waits to fill; ignored while somebody is blocked")
    batch: Bound = Field(default=Bound(bytes=16 * 2**10), description="the largest batch")
    max_in_flight: int = Field(default=5, ge=1, le=1_000_000, description="batches sent and not yet acknowledged")
    on_full: Literal["block", "fail_fast"] = Field(
        default="block", description="buffer full: the API's worker waits up to max_block, or replies 429 at once"
    )
    max_block: Seconds = Field(default=60.0, description="longest wait for room; then the reply is 503")


class Producer:
    """Numbers records in the order they are produced: `sent` counts those handed to the broker, and the buffer is charged
    for every record until its ack."""

    def __init__(
        self,
        clock: Clock,
        spec: ProducerSpec,
        broker: Broker | None,
        record_bytes: int,
        row: Callable[[tuple[float, ...]], None],
    ) -> None:
        self.clock = clock
        self.broker = broker
        self.capacity = spec.buffer.in_records(record_bytes)
        self.attempt = array("i")
        """The attempt behind each record."""
        self.produced = array("d")
        """When each record was put into the buffer."""
        self.sent = 0
        self.held = 0
        """Records charged to the buffer."""
        self.anybody_blocked: Callable[[], bool] = lambda: False
        self.on_room: Callable[[], None] = nothing
        self.on_ack: Callable[[int, int], None] = lambda first, end: None
        self.lost = array("d")
        """Flat (first, end, time) triples of what died with the process."""
        self._batch = max(1, spec.batch.in_records(record_bytes))
        self._linger = to_grid(spec.linger)
        self._spare = self._max_in_flight = spec.max_in_flight
        self._alarm = Alarm(clock, self.send)
        self._flights: dict[int, tuple[int, float]] = {}
        self._orphans: set[int] = set()
        """Flights of a process that has died since: the broker has them, and nobody waits for their ack."""
        self._row = row
        if broker is not None:
            broker.on_ack = self._acked

    def offer(self, attempt: int, now: float) -> bool:
        """Take the record of `attempt` if it fits; False is `BufferError` / the moment to block."""
        if self.held >= self.capacity:
            return False
        self.attempt.append(attempt)
        self.produced.append(now)
        self.held += 1
        waiting = len(self.produced) - self.sent
        if self._spare and (waiting == 1 or waiting == self._batch):
            self.send()
        return True

    def send(self) -> None:
        """Hand over every batch that is due: full, lingered for long enough, or wanted because somebody is blocked."""
        if self.broker is None:
            return
        now = self.clock._now
        while self._spare and (waiting := len(self.produced) - self.sent):
            due = self.produced[self.sent] + self._linger
            if waiting < self._batch and now < due and not self.anybody_blocked():
                self._alarm.set(due)
                return
            first = self.sent
            self.sent = end = first + min(waiting, self._batch)
            self._spare -= 1
            self._flights[first] = (end, now)
            self.broker.append(first, end)

    def _acked(self, first: int, end: int) -> None:
        now = self.clock._now
        sent_at = self._flights.pop(first)[1]
        self._row((first, end - first, self.produced[first], sent_at, now, now))
        if first in self._orphans:
            self._orphans.remove(first)
            return
        self.held -= end - first
        self._spare += 1
        self.on_ack(first, end)
        self.on_room()
        self.send()

    def die(self, now: float) -> None:
        """The process is gone and with it every record not yet handed over; what the broker has, it keeps."""
        if self.sent < len(self.produced):
            self.lost.extend((self.sent, len(self.produced), now))
            self.sent = len(self.produced)
        self._orphans |= self._flights.keys()
        self._spare = self._max_in_flight
        self.held = 0
        self._alarm.cancel()

    def waiting(self) -> list[tuple[int, int]]:
        """Records not handed over yet."""
        return [(self.sent, len(self.produced))] if self.sent < len(self.produced) else []

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what is waiting or in flight."""
        rows: list[tuple[float, ...]] = [
            (first, end - first, self.produced[first], sent_at, nan, nan) for first, (end, sent_at) in self._flights.items()
        ]
        return rows + [(a, b - a, self.produced[a], nan, nan, nan) for a, b in self.waiting()]
