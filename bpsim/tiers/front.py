"""Client and API advanced together: their small events, millions of them, run in the clock's fast lane.

Four sources, each sorted by itself, hold everything the two have to do: arrivals (an array), the orbit of retries (a
heap), requests in service (a heap as long as there are workers) and timeouts (a FIFO, since every client is equally
patient). Merging them costs a third of one SimPy event each; the order of time is exactly SimPy's.
"""

from __future__ import annotations

from heapq import heappop
from math import inf
from typing import Any

from bpsim.kernel.clock import Clock
from bpsim.result import Outcome, Work
from bpsim.tiers.api import Api
from bpsim.tiers.client import NEW_REQUEST, PENDING, Client

TIMED_OUT = int(Outcome.TIMED_OUT)
OUTSIDE, LEFT = int(Work.OUTSIDE), int(Work.LEFT)


class Front:
    """The clock's lane. At one instant replies come before timeouts, timeouts before arrivals, SimPy's events first."""

    def __init__(self, clock: Clock, client: Client, api: Api) -> None:
        self.clock = clock
        self.client = client
        self.api = api
        self.events = 0
        self._times = iter([*client.arrivals.tolist(), inf])
        self._next_arrival = next(self._times)
        self._arrived = 0

    def run_until(self, calendar: list[Any]) -> None:
        """Run every event due before SimPy's next."""
        clock, client, api = self.clock, self.client, self.api
        orbit, ongoing = client.orbit, api.servers.ongoing
        sent, outcome, timeout = client.sent, client.outcome, client.timeout
        accept, complete, sign = api.accept, api.complete, client.sign
        arrival = self._next_arrival
        events = 0
        while True:
            oldest = client.oldest
            while oldest < client.count and outcome[oldest] != PENDING:
                oldest += 1
            client.oldest = oldest
            due = sent[oldest] + timeout if oldest < client.count else inf
            source, time = 0, arrival
            if orbit and orbit[0][0] < time:
                source, time = 1, orbit[0][0]
            if due <= time:
                source, time = 2, due
            if ongoing and ongoing[0][0] <= time:
                source, time = 3, ongoing[0][0]
            if time >= calendar[0][0]:
                break
            clock._now = time
            events += 1
            if source == 3:
                complete(heappop(ongoing)[1], time)
            elif source == 0:
                request = self._arrived
                self._arrived = request + 1
                arrival = self._next_arrival = next(self._times)
                accept(sign(time, request, 0), time)
            elif source == 1:
                _, request, number = heappop(orbit)
                if request == NEW_REQUEST:
                    request = client.new_request(time)
                accept(sign(time, request, number), time)
            else:
                self._expire(oldest, time)
        self.events += events

    def _expire(self, attempt: int, now: float) -> None:
        """The client stops waiting. Work inside goes on; who was still outside leaves."""
        if self.client.work[attempt] == OUTSIDE:
            self.client.work[attempt] = LEFT
        self.client.fail(attempt, now, TIMED_OUT)
