"""The client: sends requests, waits for replies, loses patience, tries again."""

from __future__ import annotations

from array import array
from heapq import heappush
from math import inf, nan
from typing import ClassVar

import numpy as np
from pydantic import Field

from bpsim.arrivals import Arrivals, Closed
from bpsim.faults import Fault
from bpsim.kernel.clock import Clock
from bpsim.result import Outcome, Table, Work
from bpsim.retry import NoRetry, Retry
from bpsim.spec import Spec
from bpsim.streams import AttemptDraws, Draws, Floats, Streams, column, to_grid
from bpsim.units import Bytes, PositiveSeconds


class ClientSpec(Spec):
    """Who sends requests, how long they wait for a reply, and what they do when there is none."""

    not_yet: ClassVar[dict[str, str]] = {
        "retry_budget": "token-bucket retry budgets come with overload control (issue 3)",
        "breaker": "circuit breakers come with overload control (issue 3)",
        "hedge": "hedged requests come with overload control (issue 3)",
        "deadline": "deadlines and their propagation come with overload control (issue 3)",
    }
    arrivals: Arrivals
    timeout: PositiveSeconds | None = Field(
        default=None, description="how long a client waits for a reply, counted from sending; none waits for ever"
    )
    retry: Retry = NoRetry()
    record_size: Bytes = Field(default=1000, description="bytes of one request, and of the record it becomes")


PENDING, OK = int(Outcome.PENDING), int(Outcome.OK)
TIMED_OUT = int(Outcome.TIMED_OUT)
DONE, WASTED = int(Work.DONE), int(Work.WASTED)
BLOCK = 65536
NANS = np.full(BLOCK, nan).tobytes()
NEW_REQUEST = -1
"""In the orbit, instead of a request's number: a closed user's next request."""


class Client:
    """Attempts are rows of columns, in order of sending. The orbit is a heap of (time, request, attempt number) to come."""

    def __init__(self, clock: Clock, spec: ClientSpec, streams: Streams, faults: tuple[Fault, ...], duration: float) -> None:
        self.clock = clock
        self.spec = spec
        self.timeout = inf if spec.timeout is None else to_grid(spec.timeout)
        self.orbit: list[tuple[float, int, int]] = []
        self.request = array("i")
        self.number = array("h")
        self.sent = array("d")
        self.ended = array("d")
        self.columns = [self.ended]
        """Columns of times that have not come yet, NaN until then; the API adds its own."""
        self.outcome = bytearray()
        self.work = bytearray()
        self.count = 0
        """Attempts sent."""
        self._add_request, self._add_number, self._add_sent = self.request.append, self.number.append, self.sent.append
        self.born = array("d")
        """When each request of a closed user was meant to be sent."""
        self.arrivals: Floats = np.zeros(0)
        """When each open request is meant to be sent."""
        self._waits = [to_grid(spec.retry.wait(number)) for number in range(spec.retry.max_attempts - 1)]
        self._jitter = AttemptDraws(streams, "client.jitter", lambda rng, n: rng.random(n)) if spec.retry.jittered else None
        self._think: Draws | None = None
        if isinstance(spec.arrivals, Closed):
            self._think = Draws(streams.rng("client.think"), spec.arrivals.think.sample)
            self._thinks = 0
            for _ in range(spec.arrivals.users):
                self._think_again(0.0)
        else:
            self.arrivals = spec.arrivals.times(streams.rng("client.arrivals"), faults, duration)

    def sign(self, now: float, request: int, number: int) -> int:
        """Enter a new attempt into the columns; returns its row."""
        attempt = self.count
        if attempt == len(self.outcome):
            self._grow()
        self.count = attempt + 1
        self._add_request(request)
        self._add_number(number)
        self._add_sent(now)
        return attempt

    def _grow(self) -> None:
        for times in self.columns:
            times.frombytes(NANS)
        self.outcome.extend(bytes(BLOCK))
        self.work.extend(bytes(BLOCK))

    def new_request(self, now: float) -> int:
        """A closed user's next request."""
        self.born.append(now)
        return len(self.born) - 1

    def reply(self, attempt: int, now: float) -> None:
        """The server's answer; too late, it finds nobody, but the work was done."""
        if self.outcome[attempt] == PENDING:
            self.outcome[attempt] = OK
            self.work[attempt] = DONE
            self.ended[attempt] = now
            if self._think is not None:
                self._think_again(now)
        else:
            self.work[attempt] = WASTED

    def fail(self, attempt: int, now: float, outcome: int) -> None:
        """The attempt failed as `outcome` says, as the client learns at `now`: wait and try again, or give up."""
        self.outcome[attempt] = outcome
        self.ended[attempt] = now
        number = self.number[attempt]
        if number < len(self._waits):
            request = self.request[attempt]
            wait = self._waits[number]
            if self._jitter is not None:
                wait = to_grid(wait * self._jitter.at(request, number))
            heappush(self.orbit, (now + wait, request, number + 1))
        elif self._think is not None:
            self._think_again(now)

    def _think_again(self, now: float) -> None:
        assert self._think is not None
        heappush(self.orbit, (now + self._think[self._thinks], NEW_REQUEST, 0))
        self._thinks += 1

    @property
    def requests(self) -> int:
        """Requests that have been sent at least once."""
        if self._think is not None:
            return len(self.born)
        return int(np.searchsorted(self.arrivals, self.clock.now))

    def request_table(self) -> Table:
        """The `requests` table. A request has ended when its last attempt has and no other is to come."""
        n, count = self.requests, self.count
        request = np.frombuffer(self.request, dtype=np.int32)
        last = np.full(n, -1, dtype=np.int32)
        last[request] = np.arange(count, dtype=np.int32)
        outcome = np.frombuffer(self.outcome, dtype=np.uint8)[last]
        ended = np.frombuffer(self.ended, dtype=np.float64)[last]
        to_come = np.array([row for _, row, _ in self.orbit if row != NEW_REQUEST], dtype=np.int64)
        outcome[to_come] = PENDING
        ended[to_come] = nan
        return {
            "born_s": self.arrivals[:n] if self._think is None else column(self.born, n),
            "ended_s": ended,
            "outcome": outcome,
            "attempts": np.bincount(request, minlength=n),
            "size_bytes": np.broadcast_to(np.int64(self.spec.record_size), n),
        }

    def attempt_table(self) -> Table:
        """The client's columns of the `attempts` table."""
        n = self.count
        return {
            "request": column(self.request, n, np.int32),
            "number": column(self.number, n, np.int16),
            "sent_s": column(self.sent, n),
            "ended_s": column(self.ended, n),
            "outcome": column(self.outcome, n, np.uint8),
            "work": column(self.work, n, np.uint8),
        }
