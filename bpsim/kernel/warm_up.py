"""A process that has just begun is slow: its code is not compiled yet, its caches are empty."""

from __future__ import annotations

from collections.abc import Callable

from bpsim.kernel.clock import Alarm, Clock
from bpsim.streams import to_grid

STEPS = 20


class WarmUp:
    """`speed` goes from `start` to 1 in `STEPS` equal steps over `lasts` seconds; `on_change` is called at each."""

    def __init__(self, clock: Clock, on_change: Callable[[], None], lasts: float, start: float) -> None:
        self.speed = 1.0
        self._clock = clock
        self._on_change = on_change
        self._step_s = lasts / STEPS
        self._start = start
        self._steps = STEPS
        self._began = 0.0
        self._alarm = Alarm(clock, self._step)

    def begin(self) -> None:
        """Cold from now on."""
        self._began = self._clock.now
        self._steps = 0
        self._change()

    def _step(self) -> None:
        self._steps += 1
        self._change()

    def _change(self) -> None:
        warm = self._steps == STEPS
        self.speed = 1.0 if warm else self._start + (1 - self._start) * (self._steps + 0.5) / STEPS
        if not warm:
            self._alarm.set(to_grid(self._began + (self._steps + 1) * self._step_s))
        self._on_change()
