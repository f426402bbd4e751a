"""Workers that hold a produced record and wait for the broker: for its ack, or for those of everything before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from bpsim.kernel.clock import Clock
from bpsim.tiers.producer import Producer

Finish = Callable[[int, float], None]


class OwnAck:
    """`reply: on_ack`: each waits until its own record is acknowledged, or has failed."""

    def __init__(self, clock: Clock, producer: Producer, finish: Finish, give_up: Finish) -> None:
        self._clock = clock
        self._attempt = producer.attempt
        self._waiting: set[int] = set()
        producer.ends.on_ack = partial(self._heard, finish)
        producer.ends.on_failure = partial(self._heard, give_up)

    def join(self, attempt: int) -> None:
        """Its record has just been produced."""
        self._waiting.add(attempt)

    def remove(self, attempt: int) -> None:
        """Wait no longer. Raises `KeyError` for one that does not."""
        self._waiting.remove(attempt)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()

    def _heard(self, then: Finish, first: int, end: int) -> None:
        now, waiting = self._clock.now, self._waiting
        for attempt in self._attempt[first:end]:
            if attempt in waiting:
                waiting.remove(attempt)
                then(attempt, now)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, attempt: int) -> bool:
        return attempt in self._waiting

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)


class Flush:
    """`reply: on_flush`: each waits until every batch begun up to its own record is acknowledged or has failed, whoever
    produced it. While anybody does, no batch lingers (KafkaProducer.flush). It does not say which have failed."""

    def __init__(self, clock: Clock, producer: Producer, finish: Finish) -> None:
        self._clock = clock
        self._producer = producer
        self._finish = finish
        self.waiting: deque[tuple[float, int]] = deque()
        """Since when, and attempt."""
        producer.ends.on_ack = producer.ends.on_failure = self._heard

    def join(self, attempt: int) -> None:
        """Its record has just been produced: send everything."""
        self.waiting.append((self._clock.now, attempt))
        self._producer.send()

    def remove(self, attempt: int) -> None:
        """Wait no longer. Raises `ValueError` for one that does not."""
        del self.waiting[list(self).index(attempt)]

    def clear(self) -> None:
        """The process died, and with it everybody who waits."""
        self.waiting.clear()

    def _heard(self, first: int, end: int) -> None:
        oldest = self._producer.oldest() if self.waiting else 0.0
        done = []
        while self.waiting and self.waiting[0][0] < oldest:
            done.append(self.waiting.popleft()[1])
        for attempt in done:  # who is finished may make room for the next to flush
            self._finish(attempt, self._clock.now)

    def __len__(self) -> int:
        return len(self.waiting)

    def __contains__(self, attempt: int) -> bool:
        return attempt in list(self)

    def __iter__(self) -> Iterator[int]:
        return (attempt for _, attempt in self.waiting)


Acks = OwnAck | Flush
