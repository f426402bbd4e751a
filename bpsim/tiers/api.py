"""The HTTP API: workers, a bounded queue, and one process whose memory ends somewhere."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from heapq import heappush
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from bpsim.distributions import Distribution
from bpsim.faults import Conditions
from bpsim.kernel.bound import Bound
from bpsim.kernel.clock import Alarm, Clock
from bpsim.kernel.servers import Servers
from bpsim.result import Outcome, Table, Work
from bpsim.spec import Spec
from bpsim.streams import AttemptDraws, Streams, column, to_grid
from bpsim.tiers.client import PENDING, Client
from bpsim.tiers.producer import Producer, ProducerSpec
from bpsim.units import Bytes, Seconds


class ApiSpec(Spec):
    """The HTTP API: `workers` handle requests one each; the rest wait in its queue."""

    not_yet: ClassVar[dict[str, str]] = {
        "order": "only FIFO is built; LIFO and deadline-aware dequeue come with overload control (issue 3)",
        "admission": "limits beyond the queue bound come with overload control (issue 3)",
        "cancellation": "work is never cancelled by a client's timeout; propagation comes with issue 3",
        "restart_after": "a process that died stays down; restarts come with issue 3",
        "connections": "the connection limit comes with the deeper API (issue 5)",
    }
    workers: int = Field(ge=1, le=100_000, description="requests handled at the same time")
    service: Distribution = Field(description="time a worker needs for one request, producing apart")
    queue: Bound = Field(default=Bound(), description="requests that may wait for a worker")
    on_full: Literal["reject", "block"] = Field(
        default="reject", description="queue full: reply 429, or let the client wait for a place (it may give up)"
    )
    reject_time: Seconds = Field(default=0.001, description="time until the client holds a 429 or a refusal")
    reply: Literal["on_enqueue", "on_ack"] = Field(
        default="on_enqueue", description="reply once the record is in the producer's buffer, or after the broker's ack"
    )
    heap: Bytes | None = Field(
        default=None,
        description="memory of the API process (requests inside and the producer's buffer); at the limit it dies",
    )


REJECTED, REFUSED = int(Outcome.REJECTED), int(Outcome.REFUSED)
PRODUCE_FAILED, RESET = int(Outcome.PRODUCE_FAILED), int(Outcome.RESET)
INSIDE, TURNED_AWAY, LEFT = int(Work.INSIDE), int(Work.TURNED_AWAY), int(Work.LEFT)
FAILED, LOST = int(Work.FAILED), int(Work.LOST)


class Api:
    """A worker is taken from the moment it begins a request until the reply: while it serves, while the producer's full
    buffer blocks it, and with `reply: on_ack` while it waits for the broker."""

    def __init__(
        self,
        clock: Clock,
        spec: ApiSpec,
        streams: Streams,
        client: Client,
        producer: Producer | None,
        producer_spec: ProducerSpec | None,
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.client = client
        self.producer = producer
        self.servers = Servers()
        self.queue: deque[int] = deque()
        self.outside: deque[int] = deque()
        self.blocked: deque[int] = deque()
        self.waiting_for_ack: set[int] = set()
        self.busy = 0
        self.alive = True
        self.started = array("d")
        self.served = array("d")
        self.freed = array("d")
        client.columns += [self.started, self.served, self.freed]
        self.admitted: dict[int, float] = {}
        """When those who had to wait outside were let in."""
        self._accepting = True
        self._workers = spec.workers
        self._places = spec.queue.in_records(client.spec.record_size)
        self._lets_wait = spec.on_full == "block"
        self._reject_time = to_grid(spec.reject_time)
        self._demand = AttemptDraws(streams, "api.service", spec.service.sample)
        self._demand.layers[0].upto(len(client.arrivals))
        self._on_ack = spec.reply == "on_ack" and producer is not None
        self._heap = spec.heap
        self._record_bytes = client.spec.record_size
        self._mark = mark
        self._fails_fast = producer_spec is not None and producer_spec.on_full == "fail_fast"
        self._max_block = to_grid(producer_spec.max_block) if producer_spec is not None else 0.0
        self._patience = Alarm(clock, self._lose_patience)
        if producer is not None:
            producer.on_room = self._unblock
            producer.anybody_blocked = lambda: bool(self.blocked)
            if self._on_ack:
                producer.on_ack = self._acked

    def accept(self, attempt: int, now: float) -> None:
        """An attempt arrives: to a worker, to the queue, or away."""
        if not self._accepting:
            self._turn_away(attempt, now, REFUSED)
        elif self.busy < self._workers:
            self.client.work[attempt] = INSIDE
            self.busy += 1
            self.start(attempt, now)
        elif len(self.queue) < self._places:
            self.client.work[attempt] = INSIDE
            self.queue.append(attempt)
        elif self._lets_wait:
            self.outside.append(attempt)
        else:
            self._turn_away(attempt, now, REJECTED)
        if self._heap is not None and self.held_bytes > self._heap:
            self.die(now)

    def _turn_away(self, attempt: int, now: float, outcome: int) -> None:
        self.client.work[attempt] = TURNED_AWAY
        self.client.fail(attempt, now + self._reject_time, outcome)

    def start(self, attempt: int, now: float) -> None:
        """A worker begins."""
        self.started[attempt] = now
        client = self.client
        row = client.request[attempt]
        draws = self._demand.layers[client.number[attempt] & 15]
        values = draws.values
        work = values[row] if row < len(values) else draws.upto(row + 1)[row]
        servers = self.servers
        if servers.speed == 1.0:
            heappush(servers.ongoing, (now + work, attempt))
        else:
            servers.begin(now, work, attempt)

    def complete(self, attempt: int, now: float) -> None:
        """The handler is done; now its record must find room in the producer's buffer."""
        self.served[attempt] = now
        producer = self.producer
        if producer is None:
            self._finish(attempt, now)
        elif not self.blocked and producer.offer(attempt, now):
            self._produced(attempt, now)
        elif self._fails_fast:
            self._give_up(attempt, now, REJECTED)
        else:
            self.blocked.append(attempt)
            self._patience.set(self.served[self.blocked[0]] + self._max_block)
            producer.send()

    def _produced(self, attempt: int, now: float) -> None:
        if self._on_ack:
            self.waiting_for_ack.add(attempt)
        else:
            self._finish(attempt, now)
        if self._heap is not None and self.held_bytes > self._heap:
            self.die(now)

    def _finish(self, attempt: int, now: float) -> None:
        self.client.reply(attempt, now)
        self._free(attempt, now)

    def _free(self, attempt: int, now: float) -> None:
        self.freed[attempt] = now
        if self.queue:
            self.start(self.queue.popleft(), now)
            if self.outside:
                self._let_in(now)
        else:
            self.busy -= 1
            if self.outside:
                self._let_in(now)

    def _let_in(self, now: float) -> None:
        """Places have come free: whoever waits outside and has not left comes in, first come first served."""
        outcome, outside = self.client.outcome, self.outside
        while outside and (self.busy < self._workers or len(self.queue) < self._places):
            attempt = outside.popleft()
            if outcome[attempt] != PENDING:
                continue
            self.admitted[attempt] = now
            self.accept(attempt, now)

    def _give_up(self, attempt: int, now: float, outcome: int) -> None:
        """Served in vain: the record was not produced."""
        self.client.work[attempt] = FAILED
        if self.client.outcome[attempt] == PENDING:
            self.client.fail(attempt, now, outcome)
        self._free(attempt, now)

    def _acked(self, first: int, end: int) -> None:
        producer, now = self.producer, self.clock.now
        assert producer is not None
        for attempt in producer.attempt[first:end]:
            if attempt in self.waiting_for_ack:
                self.waiting_for_ack.remove(attempt)
                self._finish(attempt, now)

    def _unblock(self) -> None:
        """Room in the producer's buffer: blocked workers put their records, in the order they were blocked."""
        now, blocked, producer = self.clock.now, self.blocked, self.producer
        assert producer is not None
        while blocked and producer.offer(blocked[0], now):
            self._produced(blocked.popleft(), now)
        self._watch_patience()

    def _lose_patience(self) -> None:
        """`max_block` is over for the first blocked worker: 503."""
        now = self.clock.now
        while self.blocked and self.served[self.blocked[0]] + self._max_block <= now:
            self._give_up(self.blocked.popleft(), now, PRODUCE_FAILED)
        self._watch_patience()

    def _watch_patience(self) -> None:
        if self.blocked:
            self._patience.set(self.served[self.blocked[0]] + self._max_block)
        else:
            self._patience.cancel()

    @property
    def held_bytes(self) -> int:
        """Memory of the process: every request inside and every record in the producer's buffer."""
        held = self.producer.held if self.producer is not None else 0
        return (len(self.queue) + self.busy + held) * self._record_bytes

    def die(self, now: float) -> None:
        """Out of memory: everything inside is lost, every waiting client sees its connection reset, and it stays down."""
        self._mark("crash", float(self.held_bytes))
        self.alive = self._accepting = False
        inside = self.inside()
        self.servers.clear()
        for place in (self.queue, self.blocked):
            place.clear()
        self.waiting_for_ack.clear()
        self._patience.cancel()
        self.busy = 0
        outside = [attempt for attempt in self.outside if self.client.outcome[attempt] == PENDING]
        self.outside.clear()
        for attempt in sorted(inside):
            self.client.work[attempt] = LOST
        for attempt in outside:
            self.client.work[attempt] = TURNED_AWAY
        for attempt in sorted(inside + outside):
            if self.client.outcome[attempt] == PENDING:
                self.client.fail(attempt, now, RESET)
        if self.producer is not None:
            self.producer.die(now)

    def inside(self) -> list[int]:
        """Every attempt inside the process."""
        return [*self.queue, *self.servers.jobs(), *self.blocked, *self.waiting_for_ack]

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or refuse connections."""
        self.servers.set_speed(self.clock.now, now.speed)
        self._accepting = now.accepting and self.alive

    def columns(self) -> Table:
        """The API's columns of the `attempts` table."""
        n = self.client.count
        admitted = column(self.client.sent, n)
        work = column(self.client.work, n, np.uint8)
        admitted[(work == TURNED_AWAY) | (work == LEFT) | (work == int(Work.OUTSIDE))] = np.nan
        for attempt, moment in self.admitted.items():
            admitted[attempt] = moment
        return {
            "admitted_s": admitted,
            "started_s": column(self.started, n),
            "served_s": column(self.served, n),
            "freed_s": column(self.freed, n),
        }
