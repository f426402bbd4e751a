"""The API at work: who is let in, who is served next, and what is lost when the process dies."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappush

from bpsim.faults import Conditions
from bpsim.kernel.clock import Clock
from bpsim.kernel.servers import Servers
from bpsim.result import Outcome, Table, Work
from bpsim.streams import AttemptDraws, Streams, to_grid
from bpsim.tiers.api.blocked import Blocked
from bpsim.tiers.api.columns import columns
from bpsim.tiers.api.door import Door
from bpsim.tiers.api.life import Life
from bpsim.tiers.api.spec import ApiSpec
from bpsim.tiers.api.waiting import NOBODY, CriticalFirst, Line
from bpsim.tiers.client import PENDING, Client
from bpsim.tiers.producer import Producer, ProducerSpec

REJECTED, REFUSED = int(Outcome.REJECTED), int(Outcome.REFUSED)
PRODUCE_FAILED, RESET = int(Outcome.PRODUCE_FAILED), int(Outcome.RESET)
UNAVAILABLE, ERROR = int(Outcome.UNAVAILABLE), int(Outcome.ERROR)
OUTSIDE, INSIDE, TURNED_AWAY, LEFT = int(Work.OUTSIDE), int(Work.INSIDE), int(Work.TURNED_AWAY), int(Work.LEFT)
FAILED, LOST, SHED, CANCELLED, WASTED = (int(work) for work in (Work.FAILED, Work.LOST, Work.SHED, Work.CANCELLED, Work.WASTED))
SILENCE = 0
"""Turned away without a word."""
ON_FULL = {"reject": REJECTED, "unavailable": UNAVAILABLE, "drop": SILENCE, "block": REJECTED}


class Api:
    """A worker is taken from the moment it begins a request until the reply: while it serves, while the producer's full
    buffer blocks it, and with `reply: on_ack` while it waits for the broker. Turning somebody away takes one, too, when
    it has a cost; such a job is known by the complement of its attempt."""

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
        self.line = Line(spec, client, self._came, self._shed)
        self.queue = self.line.queue
        self.outside: deque[int] = deque()
        self.waiting_for_ack: set[int] = set()
        self.rejections: deque[int] = deque()
        """Who is to be turned away as soon as a worker has time to."""
        self.busy = 0
        self.started = array("d")
        self.served = array("d")
        self.freed = array("d")
        client.columns += [self.started, self.served, self.freed]
        self.admitted: dict[int, float] = {}
        """When those who did not come in at the instant they were sent were let in."""
        self._conditions = Conditions()
        self._accepting = True
        self._read(spec)
        self._demand = AttemptDraws(streams, "api.service", spec.service.sample)
        self._demand.layers[0].upto(len(client.arrivals))
        self._luck = AttemptDraws(streams, "api.errors", lambda rng, n: rng.random(n))
        self._on_ack = spec.reply == "on_ack" and producer is not None
        self._picky = self.line.picky or spec.reject_cost > 0
        """Whether there is more to the choice of the next request than its turn."""
        self._doubtful = self._skips
        """Whether a request that was handled may still come to nothing."""
        self._door = Door(spec, client, streams) if spec.admission is not None else None
        self._fails_fast = producer_spec is not None and producer_spec.on_full == "fail_fast"
        self.life = Life(clock, spec, lambda: self.held_bytes, self._lose_everything, self._adapt, mark)
        self.blocked: Blocked | None = None
        client.link.deliver = self.accept
        client.link.cancel = self.cancel
        client.hangs_up = spec.cancellation == "propagated"
        self._late = client.link.acts
        """Whether attempts come later than they were sent."""
        self._reply = client.link.reply if client.link.acts else client.reply
        if producer is not None and producer_spec is not None:
            max_block, gave_up = to_grid(producer_spec.max_block), partial(self._give_up, outcome=PRODUCE_FAILED)
            self.blocked = Blocked(clock, producer, max_block, self.served, self._produced, gave_up)
            if self._on_ack:
                producer.on_ack = self._acked

    def _read(self, spec: ApiSpec) -> None:
        self._workers = spec.workers
        self._places = spec.queue.in_records(self.client.spec.record_size)
        self._lets_wait = spec.on_full == "block"
        self._no = ON_FULL[spec.on_full]
        self._reject_time = to_grid(spec.reject_time)
        self._reject_cost = to_grid(spec.reject_cost)
        self._retry_after = to_grid(spec.retry_after or 0.0)
        self._contention = spec.contention
        self._bytes_each = self.client.spec.record_size + spec.overhead
        self._skips = spec.expired == "skip"

    def accept(self, attempt: int, now: float) -> None:
        """An attempt arrives: to a worker, to the queue, or away."""
        if self._late and self.client.sent[attempt] != now:
            self.admitted[attempt] = now
        if not self._accepting:
            self._turn_away(attempt, now, REFUSED)
        elif self._door is not None and not self._door.admits(attempt, now, len(self.queue) + self.busy):
            self._turn_away(attempt, now, self._no)
        elif self.busy < self._workers:
            self.client.work[attempt] = INSIDE
            self.busy += 1
            self.start(attempt, now)
        elif len(self.queue) < self._places:
            self.client.work[attempt] = INSIDE
            self.queue.append(attempt)
        else:
            self._find_no_room(attempt, now)
        if self.life.heap is not None:
            self.life.check_memory(now)

    def _find_no_room(self, attempt: int, now: float) -> None:
        if self._lets_wait:
            waits = self.client.outcome[attempt] == PENDING
            self.client.work[attempt] = OUTSIDE if waits else LEFT
            if waits:
                self.outside.append(attempt)
        elif isinstance(self.queue, CriticalFirst) and (victim := self.queue.push_out(attempt)) is not None:
            self._shed(victim, now)
            self.client.work[attempt] = INSIDE
            self.queue.append(attempt)
        else:
            self._turn_away(attempt, now, self._no)

    def _turn_away(self, attempt: int, now: float, outcome: int) -> None:
        self.client.work[attempt] = TURNED_AWAY
        if outcome == SILENCE:
            return
        if outcome == REFUSED or not self._reject_cost:
            retry_after = 0.0 if outcome == REFUSED else self._retry_after
            self.client.link.tell(attempt, now + self._reject_time, outcome, retry_after)
        elif self.busy < self._workers:
            self.busy += 1
            self._reject(attempt, now)
        else:
            self.rejections.append(attempt)

    def _reject(self, attempt: int, now: float) -> None:
        self.started[attempt] = now
        self.servers.begin(now, self._reject_cost, ~attempt)

    def start(self, attempt: int, now: float) -> None:
        """A worker begins."""
        self.started[attempt] = now
        client = self.client
        row = client.request[attempt]
        draws = self._demand.layers[client.number[attempt] & 15]
        values = draws.values
        work = values[row] if row < len(values) else draws.upto(row + 1)[row]
        if self._contention:
            work += to_grid(self._contention * (self.busy - 1))
        servers = self.servers
        if servers.speed == 1.0:
            heappush(servers.ongoing, (now + work, attempt))
        else:
            servers.begin(now, work, attempt)

    def complete(self, attempt: int, now: float) -> None:
        """The handler is done; now its record must find room in the producer's buffer."""
        if attempt < 0:
            self.client.link.tell(~attempt, now + self._reject_time, self._no, self._retry_after)
            self._free(~attempt, now)
            return
        self.served[attempt] = now
        producer = self.producer
        if self._doubtful and self._in_vain(attempt, now):
            return
        if producer is None:
            self._finish(attempt, now)
        elif not self.blocked and producer.offer(attempt, now):
            self._produced(attempt, now)
        elif self._fails_fast or self.blocked is None:
            self._give_up(attempt, now, REJECTED)
        else:
            self.blocked.join(attempt)

    def _in_vain(self, attempt: int, now: float) -> bool:
        """Whether the handler's work comes to nothing: it failed, or its deadline is over."""
        errors = self._conditions.errors
        if errors and self._luck.at(self.client.request[attempt], self.client.number[attempt]) < errors:
            self._give_up(attempt, now, ERROR)
            return True
        if self._skips and self.client.outcome[attempt] != PENDING:
            self._give_up(attempt, now, SILENCE, WASTED)
            return True
        return False

    def _produced(self, attempt: int, now: float) -> None:
        if self._on_ack:
            self.waiting_for_ack.add(attempt)
        else:
            self._finish(attempt, now)
        if self.life.heap is not None:
            self.life.check_memory(now)

    def _finish(self, attempt: int, now: float) -> None:
        self._reply(attempt, now)
        self._note(attempt, now, True)
        self._free(attempt, now)

    def _free(self, attempt: int, now: float) -> None:
        """The worker of `attempt` turns to the next."""
        self.freed[attempt] = now
        if self._picky:
            if not self._pick(now):
                self.busy -= 1
        elif self.queue:
            self.start(self.queue.popleft(), now)
        else:
            self.busy -= 1
        if self.outside:
            self._let_in(now)

    def _pick(self, now: float) -> bool:
        """Give a free worker something to do, if there is anything: who is to be turned away comes first."""
        if self.rejections:
            self._reject(self.rejections.popleft(), now)
            return True
        following = self.line.following(now)
        if following == NOBODY:
            return False
        self.start(following, now)
        return True

    def _came(self, attempt: int) -> float:
        return self.admitted.get(attempt, self.client.sent[attempt])

    def _shed(self, attempt: int, now: float) -> None:
        """Dropped from the queue: 503 for a client that still waits."""
        self.client.work[attempt] = SHED
        self.freed[attempt] = now
        self._note(attempt, now, False)
        self.client.link.tell(attempt, now + self._reject_time, UNAVAILABLE, self._retry_after)

    def _note(self, attempt: int, now: float, well: bool) -> None:
        if self._door is not None:
            self._door.ended(now, self._came(attempt), self.started[attempt], len(self.queue) + self.busy, well)

    def _let_in(self, now: float) -> None:
        """Places have come free: whoever waits outside and has not left comes in, first come first served."""
        outcome, outside = self.client.outcome, self.outside
        while outside and (self.busy < self._workers or len(self.queue) < self._places):
            attempt = outside.popleft()
            if outcome[attempt] == PENDING:
                self.admitted[attempt] = now
                self.client.work[attempt] = INSIDE
                if self.busy < self._workers:
                    self.busy += 1
                    self.start(attempt, now)
                else:
                    self.queue.append(attempt)

    def _give_up(self, attempt: int, now: float, outcome: int, work: int = FAILED) -> None:
        """Served in vain."""
        self.client.work[attempt] = work
        self._note(attempt, now, False)
        if self.client.outcome[attempt] == PENDING:
            self.client.link.tell(attempt, now, outcome, self._retry_after if outcome == REJECTED else 0.0)
        self._free(attempt, now)

    def cancel(self, attempt: int, now: float) -> None:
        """The client of `attempt` has stopped waiting: whatever is being done for it stops. A record that has been
        produced goes its way."""
        if self.client.work[attempt] != INSIDE:
            return
        began = self.started[attempt] == self.started[attempt]
        produced = attempt in self.waiting_for_ack
        self.client.work[attempt] = WASTED if produced else CANCELLED
        self._note(attempt, now, False)
        if not began:
            self.queue.remove(attempt)
            self.freed[attempt] = now
            if self.outside:
                self._let_in(now)
            return
        if produced:
            self.waiting_for_ack.remove(attempt)
        elif self.blocked is not None and attempt in self.blocked:
            self.blocked.remove(attempt)
        else:
            self.servers.cancel(attempt)
        self._free(attempt, now)

    def _acked(self, first: int, end: int) -> None:
        producer, now = self.producer, self.clock.now
        assert producer is not None
        for attempt in producer.attempt[first:end]:
            if attempt in self.waiting_for_ack:
                self.waiting_for_ack.remove(attempt)
                self._finish(attempt, now)

    @property
    def held_bytes(self) -> int:
        """Memory of the process: every request inside and every record in the producer's buffer."""
        held = self.producer.held if self.producer is not None else 0
        return (len(self.queue) + len(self.rejections) + self.busy + held) * self._bytes_each

    def _lose_everything(self, now: float) -> None:
        """The process died: every waiting client sees its connection reset."""
        inside = self.inside()
        turning_away = [~job for job in self.servers.jobs() if job < 0]
        outside = [attempt for attempt in self.outside if self.client.outcome[attempt] == PENDING]
        told = [*inside, *turning_away, *self.rejections, *outside]
        for place in (self.queue, self.waiting_for_ack, self.outside, self.rejections, self.servers):
            place.clear()
        if self.blocked is not None:
            self.blocked.clear()
        self.busy = 0
        for attempt in inside:
            self.client.work[attempt] = LOST
        for attempt in [*inside, *turning_away]:
            self.freed[attempt] = now
        for attempt in outside:
            self.client.work[attempt] = TURNED_AWAY
        for attempt in sorted(told):
            if self.client.outcome[attempt] == PENDING:
                self.client.link.tell(attempt, now, RESET)
        if self.producer is not None:
            self.producer.die(now)

    def inside(self) -> list[int]:
        """Every attempt inside the process."""
        served = [job for job in self.servers.jobs() if job >= 0]
        return [*self.queue, *served, *(self.blocked or ()), *self.waiting_for_ack]

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, fail more often, or refuse connections."""
        self._conditions = now
        self._doubtful = self._skips or now.errors > 0
        self._adapt()

    def _adapt(self) -> None:
        self._accepting = self._conditions.accepting and self.life.alive
        self.servers.set_speed(self.clock.now, self._conditions.speed * self.life.speed)

    def columns(self) -> Table:
        """The API's columns of the `attempts` table."""
        return columns(self.client, self.admitted, self.started, self.served, self.freed)
