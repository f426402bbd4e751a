"""Client and API advanced together: their small events, millions of them, run in the clock's fast lane.

Sources, each sorted by itself, hold everything the two have to do: arrivals (an array), the orbit of retries (a heap),
requests in service (a heap as long as there are workers) and timeouts (a FIFO, since every client is equally patient); a
fifth, the clock's small events, holds the rest: records in service further down, messages on the network, rejections.
Merging them costs a third of one SimPy event each; the order of time is exactly SimPy's.
"""

from __future__ import annotations

from heapq import heappop
from itertools import chain
from math import inf
from typing import Any

from bpsim.kernel.clock import Clock
from bpsim.result import Outcome, Work
from bpsim.tiers.api import Api
from bpsim.tiers.client import BLOCK, NEW_REQUEST, PENDING, Client

ARRIVAL, RETRY, TIMEOUT, SERVED, SMALL = range(5)
TIMED_OUT, OUTSIDE, LEFT = int(Outcome.TIMED_OUT), int(Work.OUTSIDE), int(Work.LEFT)


class Front:
    """The clock's lane. At one instant replies come before timeouts, timeouts before arrivals, SimPy's events first."""

    def __init__(self, clock: Clock, client: Client, api: Api) -> None:
        self.clock = clock
        self.client = client
        self.api = api
        self.events = 0
        self.arrived = 0
        """Requests of open arrivals that have been sent."""
        self.look_again()
        self._eager = client.eager
        self._oldest = 0
        self._due = inf

    def look_again(self) -> None:
        """The arrivals to come have changed."""
        arrivals = self.client.arrivals
        blocks = range(self.arrived, len(arrivals), BLOCK)
        self._times = chain(chain.from_iterable(arrivals[i : i + BLOCK].tolist() for i in blocks), (inf,))
        self._next_arrival = next(self._times)

    def run_until(self, calendar: list[Any]) -> None:
        """Run every event due before SimPy's next."""
        clock, client, api = self.clock, self.client, self.api
        orbit, ongoing, small = client.orbit, api.servers.ongoing, clock.small
        outcome, accept, complete, plain = client.outcome, api.accept, api.complete, client.plain
        requests, numbers, sent = client.request, client.number, client.sent
        arrival, due, events = self._next_arrival, self._due, 0
        while True:
            source, time = ARRIVAL, arrival
            if orbit and orbit[0][0] < time:
                source, time = RETRY, orbit[0][0]
            if due <= time:
                source, time = TIMEOUT, due
            if ongoing and ongoing[0][0] <= time:
                source, time = SERVED, ongoing[0][0]
            if small and small[0][0] < time:
                source, time = SMALL, small[0][0]
            if time >= calendar[0][0]:
                break
            clock._now = time
            events += 1
            if source == SERVED:
                complete(heappop(ongoing)[1], time)
                continue
            if source == SMALL:
                _, _, action, job = heappop(small)
                action(job)
                continue
            if source == TIMEOUT:
                expired = self._oldest
                number = self._time_out(expired, time)
                due = self._due
                if not number:
                    continue
                request = requests[expired]
            elif source == ARRIVAL:
                request, number = self.arrived, 0
                self.arrived = request + 1
                arrival = self._next_arrival = next(self._times)
            else:
                _, request, number = heappop(orbit)
                if request == NEW_REQUEST:
                    request = client.new_request(time)
            if plain:  # `Client.sign` without its call, one for every attempt
                attempt = client.count
                if attempt == len(outcome):
                    client.grow()
                client.count = attempt + 1
                requests.append(request)
                numbers.append(number)
                sent.append(time)
                accept(attempt, time)
            else:
                client.send(time, request, number)
            if due == inf:
                due = self._due = self._next_due()
        self.events += events

    def _time_out(self, attempt: int, time: float) -> int:
        """The time of `attempt`, the oldest, is over. Returns the number of its retry, if that comes in this instant and
        nothing else before it; 0: there is nothing more to do now."""
        client = self.client
        outcome, number = client.outcome, client.number[attempt]
        at_once = number < self._eager
        if outcome[attempt] != PENDING:
            at_once = False
        elif not at_once:
            client.expire(attempt, time)
        oldest, count = attempt + 1, client.count  # `_next_due` without its call
        while oldest < count and outcome[oldest] != PENDING:
            oldest += 1
        self._oldest = oldest
        due = self._due = client.sent[oldest] + client.timeout if oldest < count else inf
        if not at_once:
            return 0
        orbit = client.orbit
        if due <= time or self._next_arrival <= time or (orbit and orbit[0][0] <= time):
            client.expire(attempt, time)
            return 0
        if client.work[attempt] == OUTSIDE:  # what `expire` does, without the orbit: a tenth of an overload
            client.work[attempt] = LEFT
        outcome[attempt] = TIMED_OUT
        client.ended[attempt] = time
        return number + 1

    @property
    def idle(self) -> bool:
        """Whether the lane has nothing left to do."""
        waiting = self.client.orbit or self.api.servers.ongoing or self.clock.small
        return not waiting and self._next_arrival == inf and self._due == inf

    def _next_due(self) -> float:
        """When the first attempt that is still pending will time out."""
        client, oldest = self.client, self._oldest
        outcome, count = client.outcome, client.count
        while oldest < count and outcome[oldest] != PENDING:
            oldest += 1
        self._oldest = oldest
        return client.sent[oldest] + client.timeout if oldest < count else inf
