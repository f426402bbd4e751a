"""The broker at work: requests come in by connection, are appended, acknowledged and can then be read."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from math import nan

from bpsim.faults import Conditions
from bpsim.kernel.clock import Clock
from bpsim.kernel.servers import LaneServers, TimedServers
from bpsim.streams import Draws, Streams, to_grid
from bpsim.tiers.batch import Batch, Request
from bpsim.tiers.broker.link import Link
from bpsim.tiers.broker.replication import Replication
from bpsim.tiers.broker.spec import BrokerSpec
from bpsim.tiers.broker.store import Store

Append = tuple[Request, Batch, float]
"""A batch that waits for its partition, with its request, and since when."""


class Broker:
    """A request is handled when those before it on its connection have been answered; its batches are appended to their
    partitions, it waits for its ack, and then the records can be read. With `hold_producer` a request that finds no room is
    held before it is appended; its producer sees nothing but a late ack. With `reject_publish` it is refused."""

    def __init__(
        self,
        clock: Clock,
        spec: BrokerSpec,
        streams: Streams,
        record_bytes: int,
        row: Callable[[tuple[float, ...]], None],
        mark: Callable[[str, float], None],
        dedups: bool = True,
    ) -> None:
        self.clock = clock
        self.spec = spec
        self.log = Store(clock, spec, record_bytes, row, mark)
        self.answer: Callable[[Request, str | None], None] = lambda request, error: None
        self.vanished: Callable[[Batch], None] = lambda batch: None
        self.appended_again: list[tuple[int, int]] = []
        """Records that a producer without idempotence sent again although they were there."""
        self._dedups = dedups
        self._size = record_bytes
        self._half_way = to_grid(spec.round_trip / 2)
        self._holds = spec.overflow == "hold_producer"
        self._rejects = spec.overflow == "reject_publish"
        self._limited = spec.quota is not None or spec.disk is not None
        self._strict = self._holds or self._rejects or spec.replicas > 1 or spec.disk is not None
        self._takes_all = not self._strict
        """Whether nothing can keep a request from being appended."""
        self._links = [Link(spec.quota) for _ in range(spec.brokers)]
        self._held: deque[Request] = deque()
        self._on_the_way = 0
        self._inside: dict[Request, None] = {}
        self._accepting = self._writable = True
        self._away: frozenset[int] = frozenset()
        self._halted: set[int] = set()
        self._append_time = record_bytes / spec.throughput if spec.throughput else 0.0
        self._queues: list[deque[Append]] = [deque() for _ in range(spec.partitions)]
        self._began = [0.0] * spec.partitions
        self._appending = TimedServers(clock, self._appended)
        self._acking = LaneServers(clock, self._acked)
        self._latency = Draws(streams.rng("broker.ack"), spec.ack_latency.sample)
        self._requests = 0
        self._row = row
        self._mark = mark
        self._replication: Replication | None = None
        if spec.replicas > 1:
            self._replication = Replication(clock, spec, record_bytes, self._commit, self._append_to_too_few, mark)
        self.log.on_room = self._let_in

    def receive(self, request: Request) -> None:
        """A producer sends `request`."""
        self._inside[request] = None
        if self._half_way:
            self.clock.call_at(self.clock._now + self._half_way, lambda: self._arrive(request))
        else:
            self._arrive(request)

    def _arrive(self, request: Request) -> None:
        if not request.awaited:
            self._forget(request)
            return
        link = self._links[request.broker]
        request.arrived = self.clock._now
        link.queue.append(request)
        self._serve(link)

    def _serve(self, link: Link) -> None:
        """Begin the next requests of a connection that may begin."""
        while link.queue and self._accepting and (link.busy is None or self.spec.pipelining):
            if link.queue[0].broker in self._away or link.muted_until > self.clock._now:
                return
            request = link.busy = link.queue.popleft()
            if self._takes_all:
                self._begin(request)
            else:
                self._admit(request)

    def _admit(self, request: Request) -> None:
        followers = self._replication
        if not self._writable or request.broker in self._halted or (followers and followers.too_few(request.broker)):
            self._respond(request, "retry")
        elif self._rejects and not self._fits(request):
            self._respond(request, "refused")
        elif self._held or not self._fits(request):
            if not self._held:
                self._mark("hold_begins", float(self.log.held))
            self._held.append(request)
            self.log.wanted = True
        else:
            self._begin(request)

    def _fits(self, request: Request) -> bool:
        if not (self._holds or self._rejects):
            return True
        return self.log.held + self._on_the_way + request.records <= self.log.bound

    def _let_in(self) -> None:
        """Records have been read: requests that were held may go on."""
        if self._held:
            self._hold_on()

    def _hold_on(self) -> None:
        """Of what is held, the first that fit go on; the hold is over when nobody is left."""
        while self._held and self._accepting and self._fits(self._held[0]):
            self._begin(self._held.popleft())
        self.log.wanted = bool(self._held)
        if not self._held:
            self._mark("hold_ends", float(self.log.held))

    def _begin(self, request: Request) -> None:
        self._on_the_way += request.records
        if not self._append_time:
            self._wait_for_ack(request)
            return
        now = self.clock._now
        for batch in request.batches:
            queue = self._queues[batch.partition]
            queue.append((request, batch, now))
            if len(queue) == 1:
                self._begin_append(batch.partition)

    def _begin_append(self, partition: int) -> None:
        now = self._began[partition] = self.clock._now
        work = to_grid(len(self._queues[partition][0][1]) * self._append_time)
        self._appending.begin(now, work, partition)

    def _appended(self, partition: int) -> None:
        queue, now = self._queues[partition], self.clock._now
        request, batch, arrived = queue.popleft()
        self._row((batch.first, 0, arrived, self._began[partition], now, now))
        request.to_append -= 1
        if request.to_append == 0:
            self._wait_for_ack(request)
        if queue:
            self._begin_append(partition)

    def _wait_for_ack(self, request: Request) -> None:
        latency = self._latency[self._requests]
        self._requests += 1
        self._acking.begin(self.clock._now, latency, request)

    def _acked(self, request: Request) -> None:
        if self._replication is not None:
            self._replication.copy(request)
            return
        self._keep(request)
        self._respond(request, None)

    def _commit(self, request: Request) -> None:
        self._keep(request)
        self._respond(request, None)

    def _append_to_too_few(self, request: Request) -> None:
        """The ISR has shrunk below `min_insync` meanwhile: it is there, and the producer is told to try again."""
        self._keep(request)
        self._respond(request, "retry")

    def _keep(self, request: Request) -> None:
        now = self.clock._now
        for batch in request.batches:
            first, end = batch.first, batch.end
            self._on_the_way -= end - first
            if batch.appended:
                if self._dedups:
                    continue
                self.appended_again.append((first, end))
            batch.appended = True
            self.log.append(batch.partition, first, end, now)

    def _respond(self, request: Request, error: str | None) -> None:
        """The answer goes on its way, and the connection is free for the next request, now or after a pause."""
        link, now = self._links[request.broker], self.clock._now
        self._forget(request)
        if link.busy is request:
            link.busy = None
        if error is None and self._limited:
            self._mute(link, to_grid(link.charge(request.records * self._size, now)), now)
            self._look_at_the_disk(request.broker)
        if self._half_way:
            self.clock.call_at(now + self._half_way, lambda: self.answer(request, error))
        else:
            self.answer(request, error)
        if link.queue:
            self._serve(link)

    def _mute(self, link: Link, pause: float, now: float) -> None:
        if pause:
            link.muted_until = now + pause
            self._mark("throttled", pause)
            self.clock.call_at(now + pause, lambda: self._serve(link))

    def _forget(self, request: Request) -> None:
        """The broker has nothing more to do for `request`."""
        del self._inside[request]
        for batch in request.batches:
            batch.copies -= 1
            if not (batch.appended or batch.copies):
                self.vanished(batch)

    def _look_at_the_disk(self, broker: int) -> None:
        if self.spec.disk is None or broker in self._halted:
            return
        brokers, copied = self.spec.brokers, range(self.spec.replicas)
        led = (range((broker - further) % brokers, self.spec.partitions, brokers) for further in copied)
        if sum(map(self.log.stored_bytes, led)) >= self.spec.disk:
            self._halted.add(broker)
            self._mark("disk_full", float(broker))

    def disconnect(self, broker: int) -> None:
        """The producer has closed its connection: what has not begun is gone, the rest goes on."""
        link = self._links[broker]
        holds = bool(self._held)
        gone = [request for request in [*link.queue, *self._held] if not request.awaited and request.broker == broker]
        for request in gone:
            if request in link.queue:
                link.queue.remove(request)
            else:
                self._held.remove(request)
                link.busy = None if link.busy is request else link.busy
            self._forget(request)
        if holds:
            self._hold_on()
        self._serve(link)

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or stop taking requests."""
        self._appending.set_speed(self.clock.now, now.speed)
        self._acking.set_speed(self.clock.now, now.speed if now.reachable else 0.0)
        self._accepting = now.accepting and now.reachable and now.speed > 0
        self._writable = now.writable
        self._takes_all = now.writable and not self._strict
        if self._replication is not None:
            self._replication.set_slow(now.slow_followers, now.copying if now.speed > 0 else 0.0)
        self._away = now.away
        self._let_in()
        for link in self._links:
            self._serve(link)

    def on_the_way(self) -> list[tuple[int, int]]:
        """Records that are in a request here and not in the log."""
        batches = {batch: None for request in self._inside for batch in request.batches}
        return [(batch.first, batch.end) for batch in batches if not batch.appended]

    @property
    def evicted(self) -> array[float]:
        """Flat (first, end, time) triples of what was deleted unread."""
        return self.log.evicted

    def unread(self) -> list[tuple[int, int]]:
        """Records nobody has read."""
        return [(first, end) for first, end, _ in self.log.unread()]

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of the unread records and of the appends under way."""
        rows: list[tuple[float, ...]] = [(a, b - a, entered, nan, nan, nan) for a, b, entered in self.log.unread()]
        busy = [(queue[0], began) for queue, began in zip(self._queues, self._began, strict=True) if queue]
        return rows + [(batch.first, 0, arrived, began, nan, nan) for (_, batch, arrived), began in busy]
