"""Turning away: what somebody who may not come in is told, and what it costs to tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bpsim.result import Outcome, Work
from bpsim.streams import to_grid
from bpsim.tiers.api.spec import ApiSpec
from bpsim.tiers.client import Client

TURNED_AWAY = int(Work.TURNED_AWAY)
SILENCE = 0
"""Turned away without a word."""
ON_FULL = {
    "reject": int(Outcome.REJECTED), "unavailable": int(Outcome.UNAVAILABLE), "drop": SILENCE, "block": int(Outcome.REJECTED),
}  # fmt: skip


class Away:
    """Says 429, 503 or nothing. With a cost that takes a worker: `hire(attempt, now)` finds one, or says that all are busy."""

    def __init__(self, spec: ApiSpec, client: Client, hire: Callable[[int, float], bool]) -> None:
        self.waiting: deque[int] = deque()
        """Who is to be turned away as soon as a worker has time to."""
        self.time = to_grid(spec.reject_time)
        self.cost = to_grid(spec.reject_cost)
        self.retry_after = to_grid(spec.retry_after or 0.0)
        self._no = ON_FULL[spec.on_full]
        self._client = client
        self._hire = hire

    def turn(self, attempt: int, now: float) -> None:
        """The application has no room for `attempt`, or does not want it."""
        self._client.work[attempt] = TURNED_AWAY
        if self._no == SILENCE:
            return
        if not self.cost:
            self._client.link.tell(attempt, now + self.time, self._no, self.retry_after)
        elif not self._hire(attempt, now):
            self.waiting.append(attempt)

    def tell(self, attempt: int, now: float) -> None:
        """A worker has done what turning `attempt` away takes."""
        self._client.link.tell(attempt, now + self.time, self._no, self.retry_after)

    def refuse(self, attempt: int, now: float, outcome: int) -> None:
        """The server or the kernel says `outcome`, before the application hears of it: at no cost, without Retry-After."""
        self._client.work[attempt] = TURNED_AWAY
        self._client.link.tell(attempt, now + self.time, outcome)
