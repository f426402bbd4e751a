"""The queue in front of the workers: one class an order. All append at the end and give the next with `popleft`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

from bpsim.result import CRITICALITIES
from bpsim.tiers.api.spec import ApiSpec
from bpsim.tiers.client import Client


class Lifo(deque[int]):
    """The last to come is next: under overload, somebody who may still be waiting (facts A3)."""

    def popleft(self) -> int:
        """The next."""
        return self.pop()


class AdaptiveLifo(deque[int]):
    """First come first served while few wait, last come first served while more than `above` do (ACM Queue 2839461)."""

    def __init__(self, above: int) -> None:
        super().__init__()
        self.above = above

    def popleft(self) -> int:
        """The next."""
        return self.pop() if len(self) > self.above else super().popleft()


class CriticalFirst:
    """A queue for each criticality; within one, first come first served."""

    def __init__(self, criticality: Callable[[int], int]) -> None:
        self._criticality = criticality
        self._queues: list[deque[int]] = [deque() for _ in CRITICALITIES]
        self._count = 0

    def append(self, attempt: int) -> None:
        """Join the queue of its class."""
        self._queues[self._criticality(attempt)].append(attempt)
        self._count += 1

    def popleft(self) -> int:
        """The next. Raises `IndexError` when nobody waits."""
        for queue in self._queues:
            if queue:
                self._count -= 1
                return queue.popleft()
        raise IndexError("nobody waits")

    def push_out(self, attempt: int) -> int | None:
        """Remove the last to come of the least critical class, if that is less critical than `attempt`; None when not."""
        for rank in range(len(self._queues) - 1, self._criticality(attempt), -1):
            if self._queues[rank]:
                self._count -= 1
                return self._queues[rank].pop()
        return None

    def remove(self, attempt: int) -> None:
        """Take `attempt` out, wherever it stands. Raises `ValueError` when it is not here."""
        self._queues[self._criticality(attempt)].remove(attempt)
        self._count -= 1

    def clear(self) -> None:
        """Nobody waits any more."""
        for queue in self._queues:
            queue.clear()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._queues)


Queue = deque[int] | CriticalFirst


def queue(spec: ApiSpec, criticality: Callable[[int], int]) -> Queue:
    """An empty queue with the order that `spec` asks for; `criticality` is that of an attempt."""
    if spec.order == "critical_first":
        return CriticalFirst(criticality)
    if spec.order == "adaptive_lifo":
        return AdaptiveLifo(spec.at_once if spec.lifo_above is None else spec.lifo_above)
    return Lifo() if spec.order == "lifo" else deque()


NOBODY = -1


class Line:
    """The queue, and who is dropped from it when the turn comes: those whose clients have left, with `expired: skip`, and
    those that the shedding policy picks. `came(attempt)` is when it joined; `shed(attempt, now)` is told of each drop."""

    def __init__(self, spec: ApiSpec, client: Client, came: Callable[[int], float], shed: Callable[[int, float], None]) -> None:
        self.queue = queue(spec, lambda attempt: client.criticality(client.request[attempt]))
        self._shedding = spec.shedding.build() if spec.shedding is not None else None
        self._skips = spec.expired == "skip"
        self.picky = self._skips or self._shedding is not None
        """Whether it matters more than whose turn it is."""
        self._client = client
        self._came = came
        self._shed = shed

    def following(self, now: float) -> int:
        """The next to be served; `NOBODY` when none is left."""
        while self.queue:
            attempt = self.queue.popleft()
            if not self._dropped(attempt, now):
                return attempt
            self._shed(attempt, now)
        if self._shedding is not None:
            self._shedding.emptied(now)
        return NOBODY

    def _dropped(self, attempt: int, now: float) -> bool:
        if self._skips and self._client.due(attempt) <= now:
            return True
        return self._shedding is not None and self._shedding.drop(now, now - self._came(attempt), not self.queue)
