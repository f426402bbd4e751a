"""The connection to one broker: batches that wait for it, requests in flight, and what happens when it breaks."""

from __future__ import annotations

from collections import deque
from math import inf

from bpsim.kernel.clock import Alarm, Clock
from bpsim.streams import to_grid
from bpsim.tiers.batch import Batch, Request
from bpsim.tiers.producer.spec import ProducerSpec


class Connection:
    """Queues of batches by partition, in the order in which the partitions take turns (those that have any)."""

    def __init__(self, clock: Clock, spec: ProducerSpec, broker: int, full: int, size: int) -> None:
        self.broker = broker
        self.queues: dict[int, deque[Batch]] = {}
        self.in_flight: deque[Request] = deque()
        self.ahead: Batch | None = None
        """librdkafka: the batch of the request that is made and may not be sent yet."""
        self.due = inf
        """When the first of its batches may be sent, if there is room in flight."""
        self.linger = Alarm(clock, lambda: None)
        self.patience = Alarm(clock, lambda: None)
        self.down_until = 0.0
        self._failures = 0
        self._spec = spec
        self._full = full
        self._linger = to_grid(spec.linger)
        self._one_by_one = spec.client == "librdkafka"
        self._most = max(1, spec.max_request // max(1, min(full * size, spec.max_request)))
        """Batches in one request."""

    def ready_at(self, queue: deque[Batch]) -> float:
        """When the first batch of `queue` may be sent: it is full or followed by another, it has lingered, or waited long
        enough to be tried again."""
        batch = queue[0]
        if batch.retries:
            return batch.ready
        created = batch.produced[0]
        if len(queue) > 1 or len(batch.attempt) >= self._full:
            return created
        return created + self._linger

    def look_again(self, pressed: bool) -> None:
        """Find out when something is due; at once when somebody waits for room."""
        queues = self.queues
        if not queues:
            self.due = inf
        elif pressed:
            self.due = min(queue[0].ready for queue in queues.values())
        else:
            self.due = min(map(self.ready_at, queues.values()))

    def drain(self, now: float, pressed: bool) -> list[Batch]:
        """The batches of the next request. Java takes the first batch of every partition in turn that is not backing off
        (RecordAccumulator.drainBatchesForOneNode), librdkafka one batch of one partition that is due."""
        if self.ahead is not None:
            return [self._take_ahead()]
        taken: list[Batch] = []
        most = 1 if self._one_by_one else self._most
        for partition, queue in list(self.queues.items()):
            if queue[0].ready > now or (self._one_by_one and not pressed and self.ready_at(queue) > now):
                continue
            taken.append(queue.popleft())
            del self.queues[partition]
            if queue:
                self.queues[partition] = queue
            if len(taken) == most:
                break
        return taken

    def _take_ahead(self) -> Batch:
        batch, self.ahead = self.ahead, None
        assert batch is not None
        self.remove(batch)
        return batch

    def make_ahead(self, now: float, pressed: bool) -> Batch | None:
        """librdkafka makes the next request while it may not send it, of what is due by then, and no further one before that is
        written (`queue.buffering.backpressure.threshold` 1)."""
        if self.ahead is None and self._one_by_one:
            due = (queue[0] for queue in self.queues.values() if queue[0].ready <= now)
            self.ahead = next((batch for batch in due if pressed or self.ready_at(self.queues[batch.partition]) <= now), None)
            return self.ahead
        return None

    def remove(self, batch: Batch) -> None:
        """It waits no more."""
        queue = self.queues[batch.partition]
        queue.remove(batch)
        if not queue:
            del self.queues[batch.partition]
        if batch is self.ahead:
            self.ahead = None

    def put(self, batch: Batch) -> None:
        """Behind the others of its partition."""
        queue = self.queues.get(batch.partition)
        if queue is None:
            self.queues[batch.partition] = deque((batch,))
        else:
            queue.append(batch)

    def put_back(self, batch: Batch) -> None:
        """Before the others of its partition, to be sent again."""
        self.queues.setdefault(batch.partition, deque()).appendleft(batch)

    def breaks(self, now: float, jitter: float) -> None:
        """It is gone, and comes back after a pause that doubles each time."""
        pause = min(self._spec.reconnect_backoff * 2**self._failures, self._spec.reconnect_backoff_max)
        self._failures += 1
        self.down_until = now + to_grid(pause * jitter)

    def works(self) -> None:
        """An answer came."""
        self._failures = 0

    def waiting(self) -> list[Batch]:
        """Batches not in flight."""
        return [batch for queue in self.queues.values() for batch in queue]

    def clear(self) -> None:
        """The process died."""
        for request in self.in_flight:
            request.awaited = False
        self.in_flight.clear()
        self.queues.clear()
        self.ahead = None
        self.due = inf
        self.linger.cancel()
        self.patience.cancel()
