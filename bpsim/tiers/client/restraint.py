"""What holds a client back: retry budget, circuit breaker and throttle, one of each in every client process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpsim.policies.breaker import Breaker
from bpsim.policies.retry import Retry
from bpsim.policies.throttle import Throttle
from bpsim.result import Outcome
from bpsim.streams import AttemptDraws, Draws, Streams, to_grid

if TYPE_CHECKING:
    from bpsim.tiers.client.client import Client

OK, TIMED_OUT, SUPERSEDED = int(Outcome.OK), int(Outcome.TIMED_OUT), int(Outcome.SUPERSEDED)
BREAKER_OPEN, THROTTLED = int(Outcome.BREAKER_OPEN), int(Outcome.THROTTLED)
HANDLED = (OK, int(Outcome.ERROR))
"""Outcomes of attempts that the server took on."""
SAYS_NO = (int(Outcome.REJECTED), int(Outcome.UNAVAILABLE))
"""Outcomes of attempts that the server asked to be spared."""


class Restraint:
    """Decides for each attempt by the state of the client process that makes it; requests belong to processes at random."""

    def __init__(
        self, instances: int, retry: Retry, breaker: Breaker | None, throttle: Throttle | None, streams: Streams
    ) -> None:
        self._instances = instances
        everyone = range(instances)
        budget = retry.budget
        self.budgets = [budget.build() for _ in everyone] if budget is not None else None
        self.breakers = [breaker.build() for _ in everyone] if breaker is not None else None
        self.throttles = [throttle.build() for _ in everyone] if throttle is not None else None
        self.in_flight = [0] * instances
        self._after_timeout: dict[int, bool] = {}
        """Of each request whose retry has been paid for: whether it follows a timeout."""
        self._who = Draws(streams.rng("client.instance"), lambda rng, n: rng.random(n))
        self._luck = AttemptDraws(streams, "client.throttle", lambda rng, n: rng.random(n))

    @classmethod
    def of(
        cls, instances: int, retry: Retry, breaker: Breaker | None, throttle: Throttle | None, streams: Streams
    ) -> Restraint | None:
        """None when nothing holds the client back."""
        if retry.budget is None and breaker is None and throttle is None:
            return None
        return cls(instances, retry, breaker, throttle, streams)

    def instance(self, request: int) -> int:
        """The client process that `request` belongs to."""
        return int(self._who[request] * self._instances) if self._instances > 1 else 0

    def delay(self, request: int, now: float) -> float:
        """Seconds to wait before the attempt may be considered; 0: it may be now."""
        return to_grid(self.throttles[self.instance(request)].delay(now)) if self.throttles is not None else 0.0

    def refuses(self, request: int, number: int, now: float) -> int:
        """0 when the attempt may be sent, else the outcome it has at once."""
        me = self.instance(request)
        if self.throttles is not None and not self.throttles[me].allow(now, self._luck.at(request, number)):
            refused = THROTTLED
        elif self.breakers is not None and not self.breakers[me].allow(now):
            refused = BREAKER_OPEN
        else:
            self.in_flight[me] += 1
            if self.budgets is not None and number == 0:
                self.budgets[me].on_send(now)
            return 0
        if self.budgets is not None and number > 0:
            self.budgets[me].on_retry_end()
            self._after_timeout.pop(request, None)
        return refused

    def ended(self, client: Client, attempt: int, now: float, outcome: int) -> None:
        """An attempt that was sent has ended so."""
        number, sent = client.number[attempt], client.sent[attempt]
        me = self.instance(client.request[attempt])
        self.in_flight[me] -= 1
        if self.throttles is not None:
            self.throttles[me].on_end(now, outcome in HANDLED, outcome in SAYS_NO)
        if self.breakers is not None and outcome != SUPERSEDED:
            self.breakers[me].record(now, outcome != OK, now - sent)
        if self.budgets is not None:
            budget = self.budgets[me]
            after_timeout = self._after_timeout.pop(client.request[attempt], False)
            if number > 0:
                budget.on_retry_end()
            if outcome == OK:
                budget.on_success(now, number, after_timeout)
            elif outcome != SUPERSEDED:
                budget.on_failure(now)

    def pays(self, request: int, now: float, outcome: int) -> bool:
        """Whether the budget pays for one retry after this failure."""
        if self.budgets is None:
            return True
        me = self.instance(request)
        paid = self.budgets[me].withdraw(now, outcome == TIMED_OUT, self.in_flight[me])
        if paid:
            self._after_timeout[request] = outcome == TIMED_OUT
        return paid
