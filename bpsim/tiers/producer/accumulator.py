"""The producer's accumulator: records into batches, one open batch a partition, until the batches leave."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from bpsim.keys import Keys
from bpsim.streams import Streams, to_grid
from bpsim.tiers.batch import Batch
from bpsim.tiers.producer.connection import Connection
from bpsim.tiers.producer.ends import Ends
from bpsim.tiers.producer.partitioner import Keyed, Sticky, by_key
from bpsim.tiers.producer.pool import Pool
from bpsim.tiers.producer.spec import ProducerSpec


class Sender(Protocol):
    """Who takes batches from the queues."""

    def send_on(self, connection: Connection) -> None:
        """A batch of `connection` may be due."""

    def watch_time(self, now: float) -> None:
        """A batch has come whose time may run out."""


class Accumulator:
    """Java's RecordAccumulator, and librdkafka's queues of messages. Batches wait in the queues of their brokers'
    `connections`."""

    def __init__(
        self,
        spec: ProducerSpec,
        full: int,
        connections: list[Connection],
        ends: Ends,
        pool: Pool,
        streams: Streams,
        keys: Keys | None,
        request_of: Callable[[int], int],
        partitions: int,
        sender: Sender,
    ) -> None:
        self.blocked: Collection[object] = ()
        """Who waits for memory: while anybody does, java's batches do not linger."""
        self.flushing: Collection[object] = ()
        """Who waits for everything to be sent."""
        self._java = spec.client == "java"
        self._full = full
        self._at_once = spec.max_in_flight
        self._linger = to_grid(spec.linger)
        self._connections = connections
        self._ends = ends
        self._pool = pool
        self._sender = sender
        self._open: list[Batch | None] = [None] * partitions
        self._queued = [0] * partitions
        hashed = by_key(spec, keys)
        self._keyed = Keyed(keys, hashed, partitions, streams) if keys is not None and hashed is not None else None
        self._sticky = Sticky(spec, partitions, streams, self._queued)
        self._request_of = request_of
        self._stuck, self._stuck_since, self._sticky_linger = 0, 0.0, to_grid(spec.sticky_linger)

    def offer(self, attempt: int, now: float, waited: bool = False) -> bool:
        """Take the record of `attempt` if it fits; False is `BufferError` / the moment to block. One that joins an open batch
        needs no memory (java), so it passes those who wait for some; one that has `waited` got it in turn."""
        partition = self._sticky.partition if self._keyed is None else self._keyed.partition(self._request_of(attempt))
        batch = self._open[partition]
        opens = batch is None
        if (opens or waited or not self._java) and not self._finds_room(opens, waited):
            return False
        if batch is None:
            batch = self._open_batch(partition)
        self._ends.held += 1
        attempts = batch.attempt
        attempts.append(attempt)
        batch.produced.append(now)
        if len(attempts) >= self._full:
            self._fill(batch, now)
        elif opens:
            self._begin(batch, now)
        return True

    def _finds_room(self, opens: bool, waited: bool) -> bool:
        if opens and not waited and self.blocked:
            return False
        if not self._pool.room(opens or waited):
            return False
        self._pool.take(opens)
        return True

    def _open_batch(self, partition: int) -> Batch:
        batch = self._open[partition] = Batch(partition)
        self._queued[partition] += 1
        self.connection(partition).put(batch)
        return batch

    def _close(self, batch: Batch, full: bool, now: float) -> None:
        """Nothing more goes into it. Records without a key go to another partition once this one has got a full batch, or
        twice as much in several (java), or has been theirs for long enough (librdkafka)."""
        self._open[batch.partition] = None
        if self._keyed is None and batch.partition == self._sticky.partition:
            self._stuck += len(batch)
            if full or self._stuck >= 2 * self._full if self._java else now - self._stuck_since >= self._sticky_linger:
                self._stuck, self._stuck_since = 0, now
                self._sticky.switch()

    def _fill(self, batch: Batch, now: float) -> None:
        """It is full, so it may leave."""
        self._close(batch, True, now)
        connection = self.connection(batch.partition)
        connection.due = min(connection.due, max(connection.ready_at(connection.queues[batch.partition]), now))
        self._sender.send_on(connection)
        self._sender.watch_time(now)

    def _begin(self, batch: Batch, now: float) -> None:
        """It will be due when it has lingered; if another one waits before it, that one is."""
        connection = self.connection(batch.partition)
        queue = connection.queues[batch.partition]
        due = now + self._linger if len(queue) == 1 else max(connection.ready_at(queue), now)
        if due < connection.due:
            connection.due = due
            if now < due >= connection.down_until and len(connection.in_flight) < self._at_once:
                connection.linger.set(due)  # all that `send_on` would do, for most batches
            else:
                self._sender.send_on(connection)
        self._sender.watch_time(now)

    def connection(self, partition: int) -> Connection:
        """To the broker that leads `partition`."""
        return self._connections[partition % len(self._connections)]

    @property
    def pressed(self) -> bool:
        """Whether somebody waits for batches to leave, so that they do not linger."""
        return bool(self.flushing or (self._java and self.blocked))

    def leaves(self, batch: Batch, now: float) -> None:
        """It is in a request: it waits no more, and nothing joins it."""
        self._queued[batch.partition] -= 1
        if batch is self._open[batch.partition]:
            self._close(batch, False, now)

    def seal(self, batch: Batch) -> None:
        """No record joins `batch`, which will be in the next request."""
        if batch is self._open[batch.partition]:
            self._open[batch.partition] = None

    def comes_back(self, batch: Batch) -> None:
        """It is to be sent again, before the others of its partition."""
        self._queued[batch.partition] += 1
        self.connection(batch.partition).put_back(batch)

    def remove(self, connection: Connection, batch: Batch) -> None:
        """It is given up."""
        connection.remove(batch)
        self._queued[batch.partition] -= 1
        self.seal(batch)

    def waiting(self) -> list[Batch]:
        """Batches not in flight."""
        return [batch for connection in self._connections for batch in connection.waiting()]

    def clear(self) -> None:
        """The process died."""
        self._open[:] = [None] * len(self._open)
        self._queued[:] = [0] * len(self._queued)
