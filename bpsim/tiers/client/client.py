"""The client: sends requests, waits for replies, loses patience, tries again."""

from __future__ import annotations

from array import array
from functools import partial
from heapq import heappush
from itertools import takewhile
from math import inf, nan
from typing import Any

import numpy as np

from bpsim.arrivals import Closed, Open
from bpsim.faults import Fault
from bpsim.kernel.clock import Clock
from bpsim.policies.retry import outcomes
from bpsim.result import CRITICALITIES, Column, Outcome, Work
from bpsim.streams import AttemptDraws, Draws, Floats, Streams, column, to_grid
from bpsim.tiers.client.link import Link
from bpsim.tiers.client.restraint import Restraint
from bpsim.tiers.client.spec import ClientSpec

PENDING, OK = int(Outcome.PENDING), int(Outcome.OK)
SUPERSEDED = int(Outcome.SUPERSEDED)
OUTSIDE, DONE, WASTED, LEFT, NOT_SENT = (int(work) for work in (Work.OUTSIDE, Work.DONE, Work.WASTED, Work.LEFT, Work.NOT_SENT))
TIMED_OUT = int(Outcome.TIMED_OUT)
BLOCK = 65536
NANS = np.full(BLOCK, nan).tobytes()
NEW_REQUEST = -1
"""In the orbit, instead of a request's number: a closed user's next request."""
TABULATED = 64
"""Pauses of a policy without memory are looked up for this many attempts, and computed beyond."""


class Client:
    """Attempts are rows of columns, in order of sending. The orbit is a heap of (time, request, attempt number) to come."""

    def __init__(self, clock: Clock, spec: ClientSpec, streams: Streams, faults: tuple[Fault, ...], duration: float) -> None:
        self.clock = clock
        self.spec = spec
        self.timeout = inf if spec.timeout is None else to_grid(spec.timeout)
        self.deadline = inf if spec.deadline is None else to_grid(spec.deadline)
        self.orbit: list[tuple[float, int, int]] = []
        self.request = array("i")
        self.number = array("i")
        self.sent = array("d")
        self.ended = array("d")
        self.columns = [self.ended]
        """Columns of times that have not come yet, NaN until then; the API adds its own."""
        self.outcome = bytearray()
        self.work = bytearray()
        self.count = 0
        """Attempts made."""
        self.born = array("d")
        """When each request of a closed user was meant to be sent."""
        self.arrivals: Floats = np.zeros(0)
        """When each open request is meant to be sent."""
        self.hangs_up = False
        """Whether the API wants to know when a client stops waiting."""
        self.restraint = Restraint.of(spec.instances, spec.retry, spec.breaker, spec.throttle, streams)
        self.link = Link(clock, self, spec.network_delay, streams, faults)
        self.plain = not (self.restraint or self.link.acts or spec.hedge or spec.deadline)
        """Whether an attempt reaches the API in the instant it is made, with nothing to consider: the fast lane."""
        self._siblings: dict[int, list[int]] = {}
        self._set_up_retries(streams)
        self._classes = Draws(streams.rng("client.criticality"), lambda rng, n: rng.random(n))
        self._class_edges = np.cumsum(spec.criticality.shares)[:-1] if spec.criticality else None
        self._think: Draws | None = None
        if isinstance(spec.arrivals, Closed):
            self._think = Draws(streams.rng("client.think"), spec.arrivals.think.sample)
            self._thinks = 0
            for _ in range(spec.arrivals.users):
                self._think_again(0.0)
        else:
            self._draw = partial(_draw, spec.arrivals, streams, duration)
            self.arrivals = self._draw(faults)

    def draw_arrivals(self, faults: tuple[Fault, ...], arrived: int) -> None:
        """Under `faults`, which change nothing for the first `arrived` arrivals, those to come do so at other times."""
        self.arrivals = np.concatenate((self.arrivals[:arrived], self._draw(faults)[arrived:]))

    def _set_up_retries(self, streams: Streams) -> None:
        policy = self.spec.retry
        self._policy = policy
        self._most = policy.max_attempts
        self._retries_on = outcomes(policy.on)
        self._jitter = AttemptDraws(streams, "client.jitter", lambda rng, n: rng.random(n)) if policy.jittered else None
        self._pauses: dict[int, float] | None = {} if policy.remembers else None
        fixed = not policy.jittered and not policy.remembers
        self._waits = [to_grid(policy.wait(n, 0.0, 0.0)) for n in range(min(self._most - 1, TABULATED))] if fixed else []
        quick = self.restraint is None and self.deadline == inf and not policy.honour_retry_after
        self._quick = len(self._waits) if quick else 0
        """Attempts whose failure leads to a retry after a pause that depends on nothing else."""
        self._immediate = len(list(takewhile(lambda wait: wait == 0, self._waits[: self._quick])))

    @property
    def eager(self) -> int:
        """Attempts whose timeout leads to another one in the same instant and to nothing else."""
        return self._immediate if self.plain and not self.hangs_up and TIMED_OUT in self._retries_on else 0

    def sign(self, now: float, request: int, number: int) -> int:
        """Enter a new attempt into the columns; returns its row."""
        attempt = self.count
        if attempt == len(self.outcome):
            self.grow()
        self.count = attempt + 1
        self.request.append(request)
        self.number.append(number)
        self.sent.append(now)
        return attempt

    def grow(self) -> None:
        """Make room for a block of attempts."""
        for times in self.columns:
            times.frombytes(NANS)
        self.outcome.extend(bytes(BLOCK))
        self.work.extend(bytes(BLOCK))

    def new_request(self, now: float) -> int:
        """A closed user's next request."""
        self.born.append(now)
        return len(self.born) - 1

    def send(self, now: float, request: int, number: int) -> None:
        """Make an attempt, unless breaker or throttle hold it back, and send it over the network."""
        restraint = self.restraint
        if restraint is not None and (wait := restraint.delay(request, now)) > 0:
            heappush(self.orbit, (now + wait, request, number))
            return
        attempt = self.sign(now, request, number)
        if restraint is not None:
            refused = restraint.refuses(request, number, now)
            if refused:
                self.work[attempt] = NOT_SENT
                self.fail(attempt, now, refused)
                return
        if self.deadline != inf:
            self.clock.call_small(max(self.due(attempt), now), self._at_deadline, attempt)
        hedge = self.spec.hedge
        if hedge is not None:
            self._siblings.setdefault(request, []).append(attempt)
            if number + 1 < hedge.max_attempts:
                self.clock.call_small(now + to_grid(hedge.after), self._hedge, attempt)
        self.link.send(attempt, now)

    def due(self, attempt: int) -> float:
        """When the client stops waiting for `attempt`."""
        patience = self.sent[attempt] + self.timeout
        if self.deadline == inf:
            return patience
        return min(patience, self._born(self.request[attempt]) + self.deadline)

    def _born(self, request: int) -> float:
        return float(self.arrivals[request]) if self._think is None else self.born[request]

    def _at_deadline(self, attempt: int) -> None:
        if self.outcome[attempt] == PENDING:
            self.expire(attempt, self.clock._now)

    def _hedge(self, attempt: int) -> None:
        request = self.request[attempt]
        if self.outcome[attempt] == PENDING and self._siblings[request][-1] == attempt:
            self.send(self.clock._now, request, self.number[attempt] + 1)

    def expire(self, attempt: int, now: float) -> None:
        """The client stops waiting. Work inside goes on, unless the server wants to know; who was outside leaves."""
        if self.work[attempt] == OUTSIDE:
            self.work[attempt] = LEFT
        if self.hangs_up:
            self.link.hang_up(attempt, now)
        self.fail(attempt, now, TIMED_OUT)

    def reply(self, attempt: int, now: float) -> None:
        """The server's answer; too late, it finds nobody, but the work was done."""
        if self.outcome[attempt] == PENDING:
            self.outcome[attempt] = OK
            self.work[attempt] = DONE
            self.ended[attempt] = now
            if self.restraint is not None:
                self.restraint.ended(self, attempt, now, OK)
            if self._siblings:
                self._supersede(attempt, now)
            if self._think is not None:
                self._think_again(now)
        else:
            self.work[attempt] = WASTED

    def _supersede(self, attempt: int, now: float) -> None:
        """Another attempt was answered: the client stops waiting for those still under way."""
        for other in self._siblings.pop(self.request[attempt]):
            if self.outcome[other] == PENDING:
                self.outcome[other] = SUPERSEDED
                self.ended[other] = now
                if self.work[other] == OUTSIDE:
                    self.work[other] = LEFT
                if self.restraint is not None:
                    self.restraint.ended(self, other, now, SUPERSEDED)
                if self.hangs_up:
                    self.link.hang_up(other, now)

    def fail(self, attempt: int, now: float, outcome: int, retry_after: float = 0.0) -> None:
        """The attempt failed as `outcome` says, as the client learns `now`: wait and try again, or give up."""
        self.outcome[attempt] = outcome
        self.ended[attempt] = now
        number, request = self.number[attempt], self.request[attempt]
        if number < self._quick:  # the rest without what cannot matter here: a tenth of a run's time
            if outcome in self._retries_on:
                heappush(self.orbit, (now + self._waits[number], request, number + 1))
                return
        elif self._tries_again(attempt, request, number, now, outcome, retry_after):
            return
        if self._think is not None:
            self._think_again(now)

    def _tries_again(self, attempt: int, request: int, number: int, now: float, outcome: int, retry_after: float) -> bool:
        restraint = self.restraint
        if restraint is not None and self.work[attempt] != NOT_SENT:
            restraint.ended(self, attempt, now, outcome)
        if number + 1 < self._most and outcome in self._retries_on:
            wait = self._waits[number] if number < len(self._waits) else self._pause(request, number)
            if wait < retry_after and self._policy.honour_retry_after:
                wait = retry_after
            in_time = self.deadline == inf or now + wait < self._born(request) + self.deadline
            if in_time and (restraint is None or restraint.pays(request, now, outcome)):
                heappush(self.orbit, (now + wait, request, number + 1))
                return True
        elif self._siblings:
            return self._goes_on(request, number, now)
        return False

    def _pause(self, request: int, number: int) -> float:
        """Seconds to wait before the next attempt."""
        u = self._jitter.at(request, number) if self._jitter is not None else 0.0
        if self._pauses is None:
            return to_grid(self._policy.wait(number, 0.0, u))
        pause = self._pauses[request] = to_grid(self._policy.wait(number, self._pauses.get(request, 0.0), u))
        return pause

    def _goes_on(self, request: int, number: int, now: float) -> bool:
        """Whether a hedged request is not over with this failure: the next one is sent now, or others are under way."""
        others = self._siblings.get(request)
        if others is None or self.spec.hedge is None:
            return False
        following = self.number[others[-1]] + 1
        if following < self.spec.hedge.max_attempts and now < self._born(request) + self.deadline:
            self.send(now, request, following)
            return True
        if any(self.outcome[other] == PENDING for other in others):
            return True
        del self._siblings[request]
        return False

    def _think_again(self, now: float) -> None:
        assert self._think is not None
        heappush(self.orbit, (now + self._think[self._thinks], NEW_REQUEST, 0))
        self._thinks += 1

    def criticality(self, request: int) -> int:
        """Index in `CRITICALITIES`."""
        if self._class_edges is None:
            return CRITICALITIES.index("critical")
        return int(np.searchsorted(self._class_edges, self._classes[request], side="right"))

    @property
    def requests(self) -> int:
        """Requests that have been sent at least once."""
        if self._think is not None:
            return len(self.born)
        return int(np.searchsorted(self.arrivals, self.clock.now))

    def births(self, count: int) -> Column:
        """When each of the first `count` requests was meant to be sent."""
        return self.arrivals[:count] if self._think is None else column(self.born, count)

    def criticalities(self, count: int) -> Column:
        """`criticality` of each of the first `count` requests."""
        if self._class_edges is None:
            return np.broadcast_to(np.uint8(CRITICALITIES.index("critical")), count)
        drawn = column(self._classes.upto(count), count)
        return np.searchsorted(self._class_edges, drawn, side="right").astype(np.uint8)

    def attempt_column(self, values: array[float] | array[int] | bytearray, dtype: Any = np.float64) -> Column:
        """One column of the `attempts` table; shared once the run is over (an eighth less memory at its peak)."""
        return column(values, self.count, dtype, share=self.clock.over)


def _draw(arrivals: Open, streams: Streams, duration: float, faults: tuple[Fault, ...]) -> Floats:
    """Every arrival time, from the stream's beginning."""
    return arrivals.times(streams.rng("client.arrivals"), faults, duration)
