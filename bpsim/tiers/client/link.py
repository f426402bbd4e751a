"""The network between client and API: it takes time, loses messages, and may be cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bpsim.distributions import Distribution
from bpsim.faults import Conditions, Fault
from bpsim.kernel.clock import Clock
from bpsim.result import Outcome, Work
from bpsim.streams import AttemptDraws, Streams

if TYPE_CHECKING:
    from bpsim.tiers.client.client import Client

PENDING = int(Outcome.PENDING)
VANISHED, WASTED, REPLYING = int(Work.VANISHED), int(Work.WASTED), int(Work.REPLYING)
Told = tuple[int, int, float]
"""An attempt, how it failed, and its Retry-After."""


class Link:
    """Requests out, replies back. A lost message is never heard of: its client waits until its timeout."""

    def __init__(
        self, clock: Clock, client: Client, delay: Distribution | None, streams: Streams, faults: tuple[Fault, ...]
    ) -> None:
        self.clock = clock
        self.client = client
        self.acts = delay is not None or any(fault.kind in ("partition", "loss") for fault in faults if fault.target == "api")
        """Whether it does anything at all."""
        self.deliver: Callable[[int, float], None]
        """The API takes an attempt in."""
        self.cancel: Callable[[int, float], None]
        """The API hears that a client has hung up."""
        self._delays = [AttemptDraws(streams, f"network.{way}", delay.sample) for way in ("out", "back")] if delay else None
        self._luck = [AttemptDraws(streams, f"network.loss.{way}", lambda rng, n: rng.random(n)) for way in ("out", "back")]
        self._conditions = Conditions()

    def set_conditions(self, now: Conditions) -> None:
        """Lose from now on what `now` says."""
        self._conditions = now

    def _lost(self, way: int, attempt: int) -> bool:
        now = self._conditions
        if not now.reachable:
            return True
        client = self.client
        return now.loss > 0 and self._luck[way].at(client.request[attempt], client.number[attempt]) < now.loss

    def _delay(self, way: int, attempt: int) -> float:
        if self._delays is None:
            return 0.0
        return self._delays[way].at(self.client.request[attempt], self.client.number[attempt])

    def send(self, attempt: int, now: float) -> None:
        """A request leaves the client."""
        if self._lost(0, attempt):
            self.client.work[attempt] = VANISHED
        elif self._delays is None:
            self.deliver(attempt, now)
        else:
            self.clock.call_small(now + self._delay(0, attempt), self._arrive, attempt)

    def _arrive(self, attempt: int) -> None:
        self.deliver(attempt, self.clock._now)

    def hang_up(self, attempt: int, now: float) -> None:
        """The client closes the connection; the API learns it as late as it learnt of the request."""
        if self.client.work[attempt] != VANISHED and not self._lost(0, attempt):
            self.clock.call_small(now + self._delay(0, attempt), self._hung_up, attempt)

    def _hung_up(self, attempt: int) -> None:
        self.cancel(attempt, self.clock._now)

    def reply(self, attempt: int, now: float) -> None:
        """A success leaves the API."""
        if self._lost(1, attempt):
            self.client.work[attempt] = WASTED
        elif self._delays is None:
            self.client.reply(attempt, now)
        else:
            self.client.work[attempt] = REPLYING
            self.clock.call_small(now + self._delay(1, attempt), self._heard, attempt)

    def _heard(self, attempt: int) -> None:
        self.client.reply(attempt, self.clock._now)

    def tell(self, attempt: int, leaves: float, outcome: int, retry_after: float = 0.0) -> None:
        """A failure leaves the API at `leaves`."""
        if self.acts and self._lost(1, attempt):
            return
        arrives = leaves + self._delay(1, attempt)
        if arrives > self.clock._now:
            self.clock.call_small(arrives, self._told, (attempt, outcome, retry_after))
        else:
            self._told((attempt, outcome, retry_after))

    def _told(self, told: Told) -> None:
        attempt, outcome, retry_after = told
        if self.client.outcome[attempt] == PENDING:
            self.client.fail(attempt, self.clock._now, outcome, retry_after)

    def travelling(self) -> tuple[list[int], list[int]]:
        """Attempts on their way to the API, and replies on their way back."""
        return self.clock.small_jobs(self._arrive), self.clock.small_jobs(self._heard)
