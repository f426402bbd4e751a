"""The broker: partitions that append one batch at a time, and an unread backlog that is kept, evicted or held back."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from math import nan
from typing import ClassVar, Literal

from pydantic import Field

from bpsim.distributions import Constant, Distribution
from bpsim.faults import Conditions
from bpsim.kernel.bound import Bound
from bpsim.kernel.buffer import Buffer, Range
from bpsim.kernel.clock import Alarm, Clock
from bpsim.kernel.servers import TimedServers
from bpsim.spec import Spec
from bpsim.streams import Draws, Streams, to_grid
from bpsim.units import BytesPerSecond, PositiveSeconds


class BrokerSpec(Spec):
    """The broker: a log of `partitions`, each taking appends one at a time."""

    not_yet: ClassVar[dict[str, str]] = {
        "segment_bytes": "retention works on batches; segments and the retention tick come with issue 5",
        "quota": "client quotas come with issue 5",
        "disk": "a full disk comes with issue 5",
    }
    partitions: int = Field(default=6, ge=1, le=100_000)
    throughput: BytesPerSecond | None = Field(
        default=None, description="bytes a second one partition appends; none is unlimited"
    )
    ack_latency: Distribution = Field(default=Constant(value=0.002), description="from append to the producer's ack")
    retention: Bound = Field(default=Bound(), description="records and bytes kept for readers")
    retention_time: PositiveSeconds | None = Field(default=None, description="how long an unread record is kept")
    overflow: Literal["evict_oldest", "hold_producer"] = Field(
        default="evict_oldest",
        description="retention reached: delete the oldest unread (Kafka) or hold back acks (Pulsar's producer_request_hold)",
    )


class Broker:
    """A batch waits for its partition, is appended, waits for the ack, and can then be read.

    With `hold_producer` a batch that finds no room in the backlog is held before it is appended; its producer sees
    nothing but a late ack. With `evict_oldest` it pushes the oldest unread records out. A slow reader alone never
    slows a producer (Kafka; DESIGN, introduction).
    """

    def __init__(
        self,
        clock: Clock,
        spec: BrokerSpec,
        streams: Streams,
        record_bytes: int,
        row: Callable[[tuple[float, ...]], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.spec = spec
        self.log = Buffer(1 << 62)
        """Unread records."""
        self.on_ack: Callable[[int, int], None] = lambda first, end: None
        self.evicted = array("d")
        """Flat (first, end, time) triples."""
        self._keep = spec.retention.in_records(record_bytes)
        self._holds = spec.overflow == "hold_producer"
        self._held: deque[tuple[int, int, float]] = deque()
        self._on_the_way = 0
        self._accepting = True
        self._append_time = record_bytes / spec.throughput if spec.throughput else 0.0
        self._queues: list[deque[tuple[int, int, float]]] = [deque() for _ in range(spec.partitions)]
        self._began = [0.0] * spec.partitions
        self._appending = TimedServers(clock, self._appended)
        self._acking = TimedServers(clock, self._acked)
        self._next = 0
        self._latency = Draws(streams.rng("broker.ack"), spec.ack_latency.sample)
        self._batches = 0
        self._row = row
        self._mark = mark
        self._age_alarm = Alarm(clock, self._expire)
        self.log.on_room = self._let_in

    def append(self, first: int, end: int) -> None:
        """A producer's request arrives with records `first` … `end` − 1."""
        request = (first, end, self.clock.now)
        if self._accepting and not self._held and self._fits(end - first):
            self._queue(request)
        else:
            if not self._held:
                self._mark("hold_begins", float(self.log.held))
            self._held.append(request)
            self.log.wanted = True

    def _fits(self, count: int) -> bool:
        return not self._holds or self.log.held + self._on_the_way + count <= self._keep

    def _let_in(self) -> None:
        if not self._held:
            return
        while self._held and self._accepting and self._fits(self._held[0][1] - self._held[0][0]):
            self._queue(self._held.popleft())
        self.log.wanted = bool(self._held)
        if not self._held:
            self._mark("hold_ends", float(self.log.held))

    def _queue(self, request: tuple[int, int, float]) -> None:
        self._on_the_way += request[1] - request[0]
        if not self._append_time:
            self._wait_for_ack(request)
            return
        partition = self._next = (self._next + 1) % len(self._queues)
        queue = self._queues[partition]
        queue.append(request)
        if len(queue) == 1:
            self._begin(partition, request)

    def _begin(self, partition: int, request: tuple[int, int, float]) -> None:
        self._began[partition] = self.clock.now
        work = to_grid((request[1] - request[0]) * self._append_time)
        self._appending.begin(self.clock.now, work, partition)

    def _appended(self, partition: int) -> None:
        queue, now = self._queues[partition], self.clock.now
        request = queue.popleft()
        self._row((request[0], 0, request[2], self._began[partition], now, now))
        self._wait_for_ack(request)
        if queue:
            self._begin(partition, queue[0])

    def _wait_for_ack(self, request: tuple[int, int, float]) -> None:
        latency = self._latency[self._batches]
        self._batches += 1
        self._acking.begin(self.clock.now, latency, request)

    def _acked(self, request: tuple[int, int, float]) -> None:
        first, end, _ = request
        self._on_the_way -= end - first
        now = self.clock.now
        self.log.put(first, end, now)
        if not self._holds:
            self._evict(self.log.held - self._keep)
        if self.spec.retention_time is not None and self.log.held:
            self._age_alarm.set(self.log.oldest + self.spec.retention_time)
        self.on_ack(first, end)

    def _evict(self, count: int) -> None:
        if count > 0:
            now = self.clock.now
            for first, end, entered in self.log.take(count):
                self.evicted.extend((first, end, now))
                self._row((first, end - first, entered, nan, nan, now))
            self.log.made_room()

    def _expire(self) -> None:
        """Unread records older than `retention_time` go."""
        now, age = self.clock.now, self.spec.retention_time
        assert age is not None
        while self.log.held and self.log.oldest + age <= now:
            first, end, _ = self.log.ranges[0]
            self._evict(end - first)
        if self.log.held:
            self._age_alarm.set(self.log.oldest + age)

    def read(self, count: int) -> list[Range]:
        """Up to `count` of the oldest unread records, for a reader."""
        now = self.clock.now
        ranges = self.log.take(count)
        for first, end, entered in ranges:
            self._row((first, end - first, entered, now, now, now))
        self.log.made_room()
        return ranges

    def put_back(self, ranges: list[tuple[int, int]], now: float) -> None:
        """A reader that died starts again from its last commit."""
        self.log.put_back(ranges, now)
        if not self._holds:
            self._evict(self.log.held - self._keep)

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or stop taking requests."""
        self._appending.set_speed(self.clock.now, now.speed)
        self._acking.set_speed(self.clock.now, now.speed if now.reachable else 0.0)
        self._accepting = now.accepting and now.reachable
        self._let_in()

    def on_the_way(self) -> list[tuple[int, int]]:
        """Records handed over and not yet acked: still the producer's, too."""
        requests = [*self._held, *(request for queue in self._queues for request in queue), *self._acking.jobs()]
        return [(first, end) for first, end, _ in requests]

    def unread(self) -> list[tuple[int, int]]:
        """Records nobody has read."""
        return [(first, end) for first, end, _ in self.log.ranges]

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of the unread records and of the appends under way."""
        rows: list[tuple[float, ...]] = [(a, b - a, entered, nan, nan, nan) for a, b, entered in self.log.ranges]
        busy = [(queue[0], began) for queue, began in zip(self._queues, self._began, strict=True) if queue]
        return rows + [(first, 0, arrived, began, nan, nan) for (first, _, arrived), began in busy]
