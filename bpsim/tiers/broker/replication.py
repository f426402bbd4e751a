"""Followers copy each leader's log: with acks=all those in sync are waited for, and who lags too long is in sync no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil

from bpsim.kernel.clock import Alarm, Clock
from bpsim.kernel.servers import TimedServers
from bpsim.streams import to_grid
from bpsim.tiers.batch import Request
from bpsim.tiers.broker.spec import BrokerSpec


class Replication:
    """A request is over once every follower in sync has its batches. Followers have them at once, except slow ones, which copy
    so many bytes a second from each leader; when they are slow no more they catch up at once. A follower that has not caught
    up for `replica_lag_max` leaves the ISR, at the next of the checks that come every half of that
    (ReplicaManager.maybeShrinkIsr); then nobody waits for it."""

    def __init__(
        self,
        clock: Clock,
        spec: BrokerSpec,
        record_bytes: int,
        commit: Callable[[Request], None],
        too_few: Callable[[Request], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self._clock = clock
        self._spec = spec
        self._size = record_bytes
        self._commit = commit
        self._too_few = too_few
        self._mark = mark
        self._slow = 0
        self._queues: list[deque[tuple[Request, float]]] = [deque() for _ in range(spec.brokers)]
        """By leader, requests that the slow followers have not copied, and since when."""
        self._shrunk: set[int] = set()
        """Leaders whose slow followers are out of sync."""
        self._copying = TimedServers(clock, self._copied)
        self._patience = to_grid(spec.replica_lag_max)
        self._check = Alarm(clock, self._shrink)

    def in_sync(self, leader: int) -> int:
        """Replicas in sync of the partitions that broker `leader` leads, itself among them."""
        return self._spec.replicas - (self._slow if leader in self._shrunk else 0)

    def too_few(self, leader: int) -> bool:
        """Whether it refuses to append (NOT_ENOUGH_REPLICAS)."""
        return self.in_sync(leader) < self._spec.min_insync

    def copy(self, request: Request) -> None:
        """The leader has appended `request`."""
        if not self._slow or request.broker in self._shrunk:
            self._commit(request)
            return
        queue = self._queues[request.broker]
        queue.append((request, self._clock._now))
        if len(queue) == 1:
            self._begin(request.broker)
        self._watch()

    def _begin(self, leader: int) -> None:
        request, _ = self._queues[leader][0]
        self._copying.begin(self._clock._now, float(request.records * self._size), leader)

    def _copied(self, leader: int) -> None:
        request, _ = self._queues[leader].popleft()
        if self._queues[leader]:
            self._begin(leader)
        self._commit(request)

    def _watch(self) -> None:
        if self._check.at is None and (since := [queue[0][1] for queue in self._queues if queue]):
            tick = self._patience / 2
            self._check.set(to_grid(ceil((min(since) + self._patience) / tick) * tick))

    def _shrink(self) -> None:
        late = self._clock._now - self._patience
        for leader, queue in enumerate(self._queues):
            if queue and queue[0][1] <= late:
                self._shrunk.add(leader)
                self._mark("isr_shrinks", float(self.in_sync(leader)))
                self._copying.cancel(leader)
                self._release(leader, self._too_few if self.too_few(leader) else self._commit)
        self._watch()

    def _release(self, leader: int, end: Callable[[Request], None]) -> None:
        waiting = list(self._queues[leader])
        self._queues[leader].clear()
        for request, _ in waiting:
            end(request)

    def set_slow(self, followers: int, throughput: float) -> None:
        """From now on so many followers of every partition copy so many bytes a second, 0 being none at all."""
        self._slow = followers
        self._copying.set_speed(self._clock.now, throughput if followers else 1.0)
        if followers:
            return
        for _ in self._shrunk:
            self._mark("isr_expands", float(self._spec.replicas))
        self._shrunk.clear()
        self._copying.clear()
        for leader in range(len(self._queues)):
            self._release(leader, self._commit)
