"""`handler: async`: one thread runs everything, and a call that blocks stops it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from bpsim.tiers.api.acks import Flush
from bpsim.tiers.api.producing import Producing


class ProducingOnLoop(Producing):
    """While the loop is in a call that blocks (a produce that finds no room, a flush) nothing else happens: handlers that
    would go on and replies that would leave wait in turn, and new connections stay in the kernel's backlog.
    `changed()` is called when the loop stops and when it runs again."""

    def __init__(self, changed: Callable[[], None], *rest: Any) -> None:
        super().__init__(*rest)
        self._changed = changed
        self._ready: deque[int] = deque()
        """Handlers that would produce, and (their complements) replies."""

    def produce(self, attempt: int, now: float) -> None:
        if self.running:
            super().produce(attempt, now)
        else:
            self._ready.append(attempt)

    def _stop(self) -> None:
        self.running = False
        self._changed()

    def _go_on(self, now: float) -> None:
        """The call has returned: whatever is ready runs, until the next one blocks."""
        self.running = True
        while self._ready and self.running:
            job = self._ready.popleft()
            if job >= 0:
                self.produce(job, now)
            else:
                self._finish(~job, now)
        if self.running:
            self._changed()

    def _block(self, attempt: int, now: float) -> None:
        self._stop()
        super()._block(attempt, now)

    def _unblocked(self, attempt: int, now: float) -> None:
        self._produced(attempt, now)
        if not isinstance(self.acks, Flush):
            self._go_on(now)

    def _lost_patience(self, attempt: int, now: float) -> None:
        super()._lost_patience(attempt, now)
        self._go_on(now)

    def _produced(self, attempt: int, now: float) -> None:
        if isinstance(self.acks, Flush) and self.running:
            self._stop()
        super()._produced(attempt, now)

    def _acked(self, attempt: int, now: float) -> None:
        if self.running:
            self._finish(attempt, now)
        else:
            self._ready.append(~attempt)

    def _flushed(self, attempt: int, now: float) -> None:
        self._finish(attempt, now)
        self._go_on(now)

    def clear(self) -> None:
        super().clear()
        self._ready.clear()
        self.running = True

    def inside(self) -> list[int]:
        return [*super().inside(), *(job if job >= 0 else ~job for job in self._ready)]
