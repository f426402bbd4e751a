"""The producer at work: records into batches, batches into requests, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf

from bpsim.kernel.buffer import nothing
from bpsim.kernel.clock import Alarm, Clock
from bpsim.keys import Keys
from bpsim.result import Column, Fate
from bpsim.streams import Draws, Streams, to_grid
from bpsim.tiers.batch import Batch, Request
from bpsim.tiers.broker import Broker
from bpsim.tiers.producer.accumulator import Accumulator
from bpsim.tiers.producer.connection import Connection
from bpsim.tiers.producer.ends import Ends
from bpsim.tiers.producer.pool import pool_of
from bpsim.tiers.producer.spec import ProducerSpec

SCAN = 1.0
"""How often librdkafka looks for messages and requests whose time is over, in seconds."""


class Producer:
    """Records wait in batches by partition; each broker has a connection with a few requests in flight. A record gets its
    number when its batch first leaves, or is given up."""

    def __init__(
        self,
        clock: Clock,
        spec: ProducerSpec,
        broker: Broker,
        size: int,
        streams: Streams,
        keys: Keys | None,
        request_of: Callable[[int], int],
        row: Callable[[tuple[float, ...]], None],
    ) -> None:
        self.clock = clock
        self.spec = spec
        self.broker = broker
        pool, full, partitions = pool_of(spec, size), spec.batch_records(size), broker.spec.partitions
        self.ends = Ends(pool, row)
        self.attempt = self.ends.attempt
        """The attempt behind each numbered record."""
        self.on_room: Callable[[], None] = nothing
        self._timeout = inf if spec.delivery_timeout is None else to_grid(spec.delivery_timeout)
        self._request_timeout = to_grid(spec.request_timeout)
        self._at_once, self._deaf = spec.max_in_flight, spec.acks == "0"
        self._java = spec.client == "java"
        self._connections = [Connection(clock, spec, b, full, size) for b in range(broker.spec.brokers)]
        for connection in self._connections:
            connection.linger = Alarm(clock, self._sender(connection))
            connection.patience = Alarm(clock, self._watcher(connection))
        rest = (self._connections, self.ends, pool, streams, keys, request_of, partitions, self)
        self.accumulator = Accumulator(spec, full, *rest)
        self.offer = self.accumulator.offer
        self._jitter = Draws(streams.rng("producer.backoff"), lambda rng, n: 0.8 + 0.4 * rng.random(n))
        self._pauses = 0
        self._requests = 0
        self._expiry = Alarm(clock, self._expire)
        broker.answer = self._answered
        broker.vanished = lambda batch: self.ends.vanished(batch, clock._now)

    def watch_time(self, now: float) -> None:
        """A batch has come whose time may run out."""
        if self._expiry.at is None and self._timeout < inf:
            self._expiry.set(self._end_of_time(now))

    def _sender(self, connection: Connection) -> Callable[[], None]:
        def send() -> None:
            connection.look_again(self.accumulator.pressed)
            self.send_on(connection)

        return send

    def send(self) -> None:
        """Hand over every batch that is due: full, lingered for long enough, or wanted because somebody is blocked."""
        for connection in self._connections:
            self._sender(connection)()

    def send_on(self, connection: Connection) -> None:
        """Make requests of what is due, as long as they may be in flight."""
        now = self.clock._now
        pressed = self.accumulator.pressed
        while connection.queues and len(connection.in_flight) < self._at_once:
            due = connection.due if connection.due > connection.down_until else connection.down_until
            if due > now:
                if due < inf:
                    connection.linger.set(due)
                return
            batches = connection.drain(now, pressed)
            if batches:
                self._hand_over(connection, batches, now)
            if connection.queues:
                connection.look_again(pressed)
            else:
                connection.due = inf
            if not batches and connection.due <= now:
                return
        if connection.queues and not self._java:
            self._make_ahead(connection, now, pressed)

    def _make_ahead(self, connection: Connection, now: float, pressed: bool) -> None:
        """Nothing more may be in flight: no record joins the batch that will be sent next."""
        if connection.due > now and connection.ahead is None:
            connection.linger.set(connection.due)
            return
        batch = connection.make_ahead(now, pressed)
        if batch is not None:
            self.accumulator.seal(batch)

    def _hand_over(self, connection: Connection, batches: list[Batch], now: float) -> None:
        for batch in batches:
            self.accumulator.leaves(batch, now)
            self.ends.number(batch)
            batch.copies += 1
        deadline = now + self._request_timeout
        if not self._java:
            deadline = min(deadline, batches[0].created + self._timeout)
        request = Request(self._requests, connection.broker, batches, now, deadline)
        self._requests += 1
        if self._deaf:
            self.clock.call_at(now, lambda: self._written(request))
        else:
            connection.in_flight.append(request)
            seen = self._seen(deadline)
            if connection.patience.at is None or seen < connection.patience.at:
                connection.patience.set(seen)
        self.broker.receive(request)

    def _seen(self, moment: float) -> float:
        """When the client notices that `moment` has passed."""
        return moment if self._java else ceil(moment / SCAN) * SCAN

    def _end_of_time(self, created: float) -> float:
        return self._seen(created + self._timeout)

    def _answered(self, request: Request, error: str | None) -> None:
        """The broker's answer to a request whose connection still stands."""
        if not request.awaited or self._deaf:
            return
        connection, now = self._connections[request.broker], self.clock._now
        connection.works()
        connection.in_flight.remove(request)
        if error is None:
            self.ends.complete(request.batches, request.sent_at, now)
        elif error == "retry":
            self._try_again([batch for batch in request.batches if not batch.over], now)
        else:
            for batch in request.batches:
                if not batch.over:
                    self.ends.fail(batch, Fate.REFUSED, now)
        self._went_on(connection)

    def _written(self, request: Request) -> None:
        """With acks=0 a request is over once it has been written to the socket."""
        self.ends.complete(request.batches, request.sent_at, self.clock._now)
        self.on_room()

    def _went_on(self, connection: Connection) -> None:
        self.on_room()
        if connection.queues:
            connection.look_again(self.accumulator.pressed)
            self.send_on(connection)

    def _try_again(self, batches: list[Batch], now: float) -> None:
        """Back into the queues, in their old order, after a pause."""
        for batch in reversed(batches):
            batch.retries += 1
            if batch.retries > self.spec.retries:
                self.ends.fail(batch, Fate.REFUSED, now)
                continue
            pause = min(self.spec.retry_backoff * 2 ** min(batch.retries - 1, 30), self.spec.retry_backoff_max)
            batch.ready = now + to_grid(pause * self._luck())
            self.accumulator.comes_back(batch)

    def _luck(self) -> float:
        self._pauses += 1
        return self._jitter[self._pauses - 1]

    def _watcher(self, connection: Connection) -> Callable[[], None]:
        """A request whose time is over takes its connection with it, and everything else in flight there."""

        def watch() -> None:
            now = self.clock._now
            oldest = min((request.deadline for request in connection.in_flight), default=inf)
            if oldest <= now:
                self._disconnect(connection, now)
            elif oldest < inf:
                connection.patience.set(self._seen(oldest))

        return watch

    def _disconnect(self, connection: Connection, now: float) -> None:
        failed = list(connection.in_flight)
        connection.in_flight.clear()
        for request in failed:
            request.awaited = False
        connection.breaks(now, self._luck())
        self._try_again([batch for request in failed for batch in request.batches if not batch.over], now)
        self.broker.disconnect(connection.broker)
        self._went_on(connection)
        if not self._java:  # whose time it was that ran out
            self._expire()

    def _expire(self) -> None:
        """Give up what has waited longer than `delivery_timeout`: batches (java) or messages (librdkafka), queued or in
        flight. What is in flight may be stored all the same."""
        now = self.clock._now
        oldest = inf
        for connection in self._connections:
            flying = [batch for request in connection.in_flight for batch in request.batches] if self._java else []
            for batch in [*flying, *connection.waiting()]:
                if not batch.over and batch.created + self._timeout <= now:
                    self._expire_batch(connection, batch, now)
            rest = [batch.created for batch in [*flying, *connection.waiting()] if not batch.over]
            oldest = min([oldest, *rest])
        if oldest < inf:
            self._expiry.set(max(self._end_of_time(oldest), self._seen(now + 1e-9)))
        self.on_room()
        self.send()

    def _expire_batch(self, connection: Connection, batch: Batch, now: float) -> None:
        if batch in connection.queues.get(batch.partition, ()):
            late = sum(time + self._timeout <= now for time in batch.produced)
            if self._java or batch.stored or late == len(batch):
                self.accumulator.remove(connection, batch)
            else:
                batch = batch.split(late)
        self.ends.fail(batch, Fate.EXPIRED, now)

    def die(self, now: float) -> None:
        """The process is gone and with it every record not yet handed over; what the broker has, it keeps."""
        self.ends.die(self.accumulator.waiting(), self._flying(), now)
        for connection in self._connections:
            connection.clear()
        self.accumulator.clear()
        self._expiry.cancel()

    def rest(self) -> None:
        """With nothing in the buffer there is nothing to watch."""
        if not self.held:
            self._expiry.cancel()
            for connection in self._connections:
                connection.patience.cancel()

    @property
    def held(self) -> int:
        """Records in the buffer, in flight included."""
        return self.ends.held

    def _flying(self) -> list[tuple[Batch, float]]:
        return [(b, r.sent_at) for connection in self._connections for r in connection.in_flight for b in r.batches]

    def oldest(self) -> float:
        """When the oldest batch that is not over was begun; infinite when there is none."""
        fronts = [queue[0] for connection in self._connections for queue in connection.queues.values()]
        return min((batch.created for batch in [*fronts, *(b for b, _ in self._flying())] if not batch.over), default=inf)

    def table(self) -> tuple[Column, Column, list[tuple[int, int]]]:
        """Attempts and times of all records, numbered or not yet, and the ranges of those that wait here."""
        return self.ends.table(self.accumulator.waiting())

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what is waiting or in flight."""
        return self.ends.unfinished(self.accumulator.waiting(), self._flying())
