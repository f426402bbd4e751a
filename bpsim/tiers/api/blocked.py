"""Workers that hold a finished request and wait for room in the producer's buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from bpsim.kernel.clock import Alarm, Clock
from bpsim.tiers.producer import Producer

Action = Callable[[int, float], None]


class Blocked:
    """They put their records in the order they were blocked, or lose patience after `max_block`."""

    def __init__(self, clock: Clock, producer: Producer, max_block: float, produced: Action, gave_up: Action) -> None:
        self._clock = clock
        self._producer = producer
        self._max_block = max_block
        self._produced = produced
        self._gave_up = gave_up
        self.waiting: deque[tuple[int, float]] = deque()
        """Attempts, and since when."""
        self._patience = Alarm(clock, self._lose_patience)
        producer.on_room = self._unblock

    def join(self, attempt: int, now: float) -> None:
        """Wait behind the others."""
        self.waiting.append((attempt, now))
        self._watch()
        self._producer.send()

    def remove(self, attempt: int) -> None:
        """Wait no longer. Raises `ValueError` for one that does not."""
        del self.waiting[list(self).index(attempt)]
        self._watch()

    def clear(self) -> None:
        """Nobody waits any more."""
        self.waiting.clear()
        self._patience.cancel()

    def _unblock(self) -> None:
        if not self.waiting:
            return
        now = self._clock.now
        while self.waiting and self._producer.offer(self.waiting[0][0], now, waited=True):
            self._produced(self.waiting.popleft()[0], now)
        self._watch()

    def _lose_patience(self) -> None:
        now = self._clock.now
        while self.waiting and self.waiting[0][1] + self._max_block <= now:
            self._gave_up(self.waiting.popleft()[0], now)
        self._watch()

    def _watch(self) -> None:
        if self.waiting:
            self._patience.set(self.waiting[0][1] + self._max_block)
        else:
            self._patience.cancel()

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[int]:
        return (attempt for attempt, _ in self.waiting)
