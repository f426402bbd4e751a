"""The life of the API's process: it dies of its memory or of a fault, and comes back empty and cold."""

from __future__ import annotations

from collections.abc import Callable

from bpsim.kernel.clock import Clock
from bpsim.kernel.warm_up import WarmUp
from bpsim.streams import to_grid
from bpsim.tiers.api.spec import ApiSpec


class Life:
    """`lose(now)` empties the process when it dies; `changed()` is called when it comes back and as it warms up."""

    def __init__(
        self,
        clock: Clock,
        spec: ApiSpec,
        held_bytes: Callable[[], int],
        lose: Callable[[float], None],
        changed: Callable[[], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self.alive = True
        self.heap = spec.heap
        self._clock = clock
        self._restart_after = spec.restart_after
        self._held_bytes = held_bytes
        self._lose = lose
        self._changed = changed
        self._mark = mark
        self._warm_up = WarmUp(clock, changed, spec.warm_up.lasts, spec.warm_up.speed) if spec.warm_up else None

    @property
    def speed(self) -> float:
        """1 when warm."""
        return self._warm_up.speed if self._warm_up is not None else 1.0

    def check_memory(self, now: float) -> None:
        """Beyond the heap the process dies, and comes back after `restart_after` if somebody starts it again."""
        if self.heap is not None and self._held_bytes() > self.heap:
            self.crash(now)
            self.alive = False
            self._changed()
            if self._restart_after is not None:
                self._clock.call_at(now + to_grid(self._restart_after), self.restart)

    def crash(self, now: float) -> None:
        """Everything inside is lost."""
        self._mark("crash", float(self._held_bytes()))
        self._lose(now)

    def restart(self) -> None:
        """The process is there again."""
        self._mark("restart", 0.0)
        self.alive = True
        if self._warm_up is not None:
            self._warm_up.begin()
        self._changed()
