"""Workers that hold a produced record and wait for the broker: for its ack, or for those of everything before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from bpsim.kernel.clock import Clock
from bpsim.tiers.producer import Producer

Finish = Callable[[int, float], None]


class OwnAck:
    """`reply: on_ack`: each waits for the ack of its own record."""

    def __init__(self, clock: Clock, producer: Producer, finish: Finish) -> None:
        self._clock = clock
        self._attempt = producer.attempt
        self._finish = finish
        self._waiting: set[int] = set()
        producer.on_ack = self._acked

    def join(self, attempt: int) -> None:
        """Its record has just been produced."""
        self._waiting.add(attempt)

    def remove(self, attempt: int) -> None:
        """Wait no longer. Raises `KeyError` for one that does not."""
        self._waiting.remove(attempt)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()

    def _acked(self, first: int, end: int) -> None:
        now, waiting = self._clock.now, self._waiting
        for attempt in self._attempt[first:end]:
            if attempt in waiting:
                waiting.remove(attempt)
                self._finish(attempt, now)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, attempt: int) -> bool:
        return attempt in self._waiting

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)


class Flush:
    """`reply: on_flush`: each waits until every record up to its own has been acknowledged, whoever produced it. While
    anybody does, no batch lingers (KafkaProducer.flush)."""

    def __init__(self, clock: Clock, producer: Producer, finish: Finish) -> None:
        self._clock = clock
        self._producer = producer
        self._finish = finish
        self._waiting: deque[tuple[int, int]] = deque()
        """(record, attempt), in order of producing."""
        self._done = 0
        """Every record before this one is acknowledged."""
        self._ahead: list[tuple[int, int]] = []
        """Heap of (first, end) acknowledged out of turn."""
        producer.on_ack = self._acked

    def join(self, attempt: int) -> None:
        """Its record has just been produced: send everything."""
        self._waiting.append((len(self._producer.produced) - 1, attempt))
        self._producer.send()

    def remove(self, attempt: int) -> None:
        """Wait no longer. Raises `ValueError` for one that does not."""
        del self._waiting[list(self).index(attempt)]

    def clear(self) -> None:
        """The process died, and with it everybody who waits and every record it had."""
        self._waiting.clear()
        self._ahead.clear()
        self._done = len(self._producer.produced)

    def _acked(self, first: int, end: int) -> None:
        heappush(self._ahead, (first, end))
        while self._ahead and self._ahead[0][0] == self._done:
            self._done = heappop(self._ahead)[1]
        while self._waiting and self._waiting[0][0] < self._done:
            self._finish(self._waiting.popleft()[1], self._clock.now)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, attempt: int) -> bool:
        return attempt in list(self)

    def __iter__(self) -> Iterator[int]:
        return (attempt for _, attempt in self._waiting)


Acks = OwnAck | Flush
