"""Workers that hold a finished request and wait for room in the producer's buffer."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator

from bpsim.kernel.clock import Alarm, Clock
from bpsim.tiers.producer import Producer

Action = Callable[[int, float], None]


class Blocked:
    """They put their records in the order they were blocked, or lose patience after `max_block`."""

    def __init__(
        self, clock: Clock, producer: Producer, max_block: float, served: array[float], produced: Action, gave_up: Action
    ) -> None:
        self._clock = clock
        self._producer = producer
        self._max_block = max_block
        self._served = served
        self._produced = produced
        self._gave_up = gave_up
        self._waiting: deque[int] = deque()
        self._patience = Alarm(clock, self._lose_patience)
        producer.on_room = self._unblock
        producer.anybody_blocked = lambda: bool(self._waiting)

    def join(self, attempt: int) -> None:
        """Wait behind the others."""
        self._waiting.append(attempt)
        self._watch()
        self._producer.send()

    def remove(self, attempt: int) -> None:
        """Wait no longer. Raises `ValueError` for one that does not."""
        self._waiting.remove(attempt)
        self._watch()

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        self._patience.cancel()

    def _unblock(self) -> None:
        now = self._clock.now
        while self._waiting and self._producer.offer(self._waiting[0], now):
            self._produced(self._waiting.popleft(), now)
        self._watch()

    def _lose_patience(self) -> None:
        now = self._clock.now
        while self._waiting and self._served[self._waiting[0]] + self._max_block <= now:
            self._gave_up(self._waiting.popleft(), now)
        self._watch()

    def _watch(self) -> None:
        if self._waiting:
            self._patience.set(self._served[self._waiting[0]] + self._max_block)
        else:
            self._patience.cancel()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)
