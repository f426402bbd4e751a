"""The API at work: who is let in, who is served next, and who is told what."""

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
from bpsim.tiers.api.away import SILENCE, Away
from bpsim.tiers.api.columns import columns
from bpsim.tiers.api.connections import Backlog, Connections
from bpsim.tiers.api.contents import held_bytes, lose_everything
from bpsim.tiers.api.door import Door
from bpsim.tiers.api.event_loop import ProducingOnLoop
from bpsim.tiers.api.life import Life
from bpsim.tiers.api.producing import Producing
from bpsim.tiers.api.spec import ApiSpec
from bpsim.tiers.api.waiting import NOBODY, CriticalFirst, Line
from bpsim.tiers.client import PENDING, Client
from bpsim.tiers.producer import Producer, ProducerSpec

REJECTED, REFUSED = int(Outcome.REJECTED), int(Outcome.REFUSED)
UNAVAILABLE, ERROR = int(Outcome.UNAVAILABLE), int(Outcome.ERROR)
OUTSIDE, INSIDE, LEFT = int(Work.OUTSIDE), int(Work.INSIDE), int(Work.LEFT)
FAILED, SHED, CANCELLED, WASTED = (int(work) for work in (Work.FAILED, Work.SHED, Work.CANCELLED, Work.WASTED))


class Api:
    """A worker is taken from the moment it begins a request until the reply: while it serves, while the producer's full
    buffer blocks it, and with `reply: on_ack` while it waits for the broker. Turning somebody away takes one, too, when
    it has a cost; such a job is known by the complement of its attempt. With `handler: async` a worker is a task, of
    which there may be any number, and what would block a worker stops the event loop."""

    def __init__(
        self,
        clock: Clock,
        spec: ApiSpec,
        streams: Streams,
        client: Client,
        producer: Producer | None,
        producer_spec: ProducerSpec | None,
        mark: Callable[[str, float], None],
        lag: Callable[[], int],
    ) -> None:
        self.clock = clock
        self.client = client
        self.producer = producer
        self.servers = Servers()
        self.line = Line(spec, client, self._came, self._shed)
        self.queue = self.line.queue
        self.away = Away(spec, client, self._hire)
        self.outside: deque[int] = deque()
        """Who waits for a place, with `on_full: block`."""
        self.backlog = Backlog(spec.backlog, client)
        self.busy = 0
        self.started = array("d")
        self.served = array("d")
        self.freed = array("d")
        client.columns += [self.started, self.served, self.freed]
        self.admitted: dict[int, float] = {}
        """When those who did not come in at the instant they were sent were let in."""
        self.bytes_each = client.spec.record_size + spec.overhead
        self._conditions = Conditions()
        self._accepting = True
        self._open = True
        """Whether the process accepts connections, and runs."""
        self._wary: bool
        """Whether anything may stop an attempt before the workers and the queue."""
        self._mortal = spec.heap is not None
        self._read(spec)
        self._demand = AttemptDraws(streams, "api.service", spec.service.sample)
        self._demand.layers[0].upto(len(client.arrivals))
        self._luck = AttemptDraws(streams, "api.errors", lambda rng, n: rng.random(n))
        self._door = Door(clock, spec, client, streams, lag) if spec.admission is not None else None
        self._connections = Connections(spec.connections, client, self.away.time) if spec.connections is not None else None
        self._guarded = spec.admission is not None or spec.connections is not None
        self.life = Life(clock, spec, partial(held_bytes, self), partial(lose_everything, self), self._adapt, mark)
        self._join_client(spec)
        self.producing = self._join_producer(spec, producer_spec) if producer_spec is not None else None
        self._hand_over = self.producing.produce if self.producing is not None else self._finish
        self._wary = self._late or self._guarded

    def _read(self, spec: ApiSpec) -> None:
        self._workers = spec.at_once
        self._places = spec.queue.in_records(self.client.spec.record_size)
        self._lets_wait = spec.on_full == "block"
        self._contention = spec.contention
        self._uneven = spec.contention > 0
        """Whether a request's work is more, or less, than its demand."""
        self._skips = spec.expired == "skip"
        self._cancels = spec.cancellation == "propagated"
        self._doubtful = self._skips
        """Whether a request that was handled may still come to nothing."""
        self._picky = self.line.picky or spec.reject_cost > 0
        """Whether there is more to the choice of the next request than its turn."""

    def _join_client(self, spec: ApiSpec) -> None:
        link = self.client.link
        link.deliver = self.accept
        link.cancel = self._hung_up
        self.client.hangs_up = self._cancels or spec.connections is not None
        self._late = link.acts
        """Whether attempts come later than they were sent."""
        self._reply = link.reply if link.acts else self.client.reply

    def _join_producer(self, spec: ApiSpec, producer_spec: ProducerSpec) -> Producing:
        weigh = self.life.check_memory if spec.heap is not None else None
        assert self.producer is not None
        rest = (self.clock, spec, self.producer, producer_spec, self._finish, self._give_up, weigh)
        return ProducingOnLoop(self._adapt, *rest) if spec.handler == "async" else Producing(*rest)

    def accept(self, attempt: int, now: float) -> None:
        """An attempt arrives: to a worker, to the queue, or away."""
        if self._wary and self._stopped(attempt, now):
            pass
        elif self.busy < self._workers:
            self.client.work[attempt] = INSIDE
            self.busy += 1
            self.start(attempt, now)
        elif len(self.queue) < self._places:
            self.client.work[attempt] = INSIDE
            self.queue.append(attempt)
        else:
            self._find_no_room(attempt, now)
        if self._mortal:
            self.life.check_memory(now)

    def _stopped(self, attempt: int, now: float) -> bool:
        """Whether `attempt` does not get as far as the workers and the queue."""
        if self._late and self.client.sent[attempt] != now:
            self.admitted[attempt] = now
        if not self._open:
            self._stay_out(attempt, now)
            return True
        return self._guarded and self._sent_away(attempt, now)

    def _stay_out(self, attempt: int, now: float) -> None:
        """Nobody accepts connections; or the kernel does, for a process that stands still."""
        if self._accepting:
            self.backlog.join(attempt)
        else:
            self.away.refuse(attempt, now, REFUSED)

    def _sent_away(self, attempt: int, now: float) -> bool:
        """Whether the server has too many connections, or the admission policy says no."""
        inside = len(self.queue) + self.busy
        if self._connections is not None and self._connections.full(now, inside):
            self._connections.rejected(now)
            self.away.refuse(attempt, now, UNAVAILABLE)
            return True
        if self._door is not None and not self._door.admits(attempt, now, inside):
            self.away.turn(attempt, now)
            return True
        return False

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
            self.away.turn(attempt, now)

    def _hire(self, attempt: int, now: float) -> bool:
        """Give a free worker the job of turning `attempt` away, if there is one."""
        if self.busy >= self._workers:
            return False
        self.busy += 1
        self._reject(attempt, now)
        return True

    def _reject(self, attempt: int, now: float) -> None:
        self.started[attempt] = now
        self.servers.begin(now, self.away.cost, ~attempt)

    def start(self, attempt: int, now: float) -> None:
        """A worker begins."""
        self.started[attempt] = now
        client = self.client
        row = client.request[attempt]
        draws = self._demand.layers[client.number[attempt] & 15]
        values = draws.values
        work = values[row] if row < len(values) else draws.upto(row + 1)[row]
        if self._uneven:
            work = to_grid(work * self._conditions.work + self._contention * (self.busy - 1))
        servers = self.servers
        if servers.speed == 1.0:
            heappush(servers.ongoing, (now + work, attempt))
        else:
            servers.begin(now, work, attempt)

    def complete(self, attempt: int, now: float) -> None:
        """The handler is done; now its record must find room in the producer's buffer."""
        if attempt < 0:
            self.away.tell(~attempt, now)
            self._free(~attempt, now)
            return
        self.served[attempt] = now
        if not (self._doubtful and self._in_vain(attempt, now)):
            self._hand_over(attempt, now)

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

    def _finish(self, attempt: int, now: float) -> None:
        self._reply(attempt, now)
        if self._door is not None:
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
        if self.away.waiting:
            self._reject(self.away.waiting.popleft(), now)
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
        self.client.link.tell(attempt, now + self.away.time, UNAVAILABLE, self.away.retry_after)

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
            self.client.link.tell(attempt, now, outcome, self.away.retry_after if outcome == REJECTED else 0.0)
        self._free(attempt, now)

    def _hung_up(self, attempt: int, now: float) -> None:
        """The client of `attempt` has closed its connection."""
        if self._connections is not None:
            self._connections.hung_up(attempt)
        if self._cancels and (self.producing is None or self.producing.running):
            self._cancel(attempt, now)

    def _cancel(self, attempt: int, now: float) -> None:
        """Whatever is being done for `attempt` stops. A record that has been produced goes its way."""
        if self.client.work[attempt] != INSIDE:
            return
        began = self.started[attempt] == self.started[attempt]
        produced = self.producing is not None and self.producing.has_produced(attempt)
        self.client.work[attempt] = WASTED if produced else CANCELLED
        self._note(attempt, now, False)
        if not began:
            self.queue.remove(attempt)
            self.freed[attempt] = now
            if self.outside:
                self._let_in(now)
            return
        if self.producing is None or not self.producing.remove(attempt):
            self.servers.cancel(attempt)
        self._free(attempt, now)

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, fail more often, or refuse connections."""
        self._conditions = now
        self._doubtful = self._skips or now.errors > 0
        self._uneven = self._contention > 0 or now.work != 1.0
        self._adapt()

    def _adapt(self) -> None:
        now, speed = self.clock.now, self._conditions.speed * self.life.speed
        self._accepting = self._conditions.accepting and self.life.alive
        if speed != self.servers.speed:
            self.servers.set_speed(now, speed)
        self._open = self._accepting and speed > 0 and (self.producing is None or self.producing.running)
        self._wary = self._late or self._guarded or not self._open
        while self.backlog and self._open:
            self._come_in_late(self.backlog.popleft(), now)

    def _come_in_late(self, attempt: int, now: float) -> None:
        """The process accepts a connection that has waited for it, whoever is still at its other end."""
        if self._cancels and self.client.outcome[attempt] != PENDING:
            return
        self.admitted[attempt] = now
        self.accept(attempt, now)

    def columns(self) -> Table:
        """The API's columns of the `attempts` table."""
        return columns(self.client, self.admitted, self.started, self.served, self.freed)
