"""A consumer that fetches ahead: what a fetch brings stays in its memory until polls have taken it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import nan
from typing import Any

from bpsim.kernel.buffer import Range
from bpsim.kernel.servers import TimedServers
from bpsim.tiers.consumer.member import Member

Answer = tuple[int, float, list[tuple[int, Range]]]
"""The number of a fetch, when the broker answered it, and what it brings of which partition."""


class PrefetchingMember(Member):
    """Java sends the next fetch in poll(), just before that returns, for partitions of which it has nothing left; so one is
    under way while records are handled. librdkafka's own thread fetches at any time, until `queued_min` records of every
    partition or `queued_bytes` are there, and throws them away when the application pauses (librdkafka #2703)."""

    SERVERS = TimedServers

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._java = self._spec.client == "java"
        self._buffers: dict[int, deque[Range]] = {}
        self._buffered: dict[int, int] = {}
        self._held = 0
        """Records in the buffers."""
        self._asked: list[int] = []
        """The partitions that the fetch at the broker asks for."""
        self._taking = False

    def poll(self) -> None:
        """Go on as far as possible: with fetching, and with records if the loop is free."""
        if not self._group.polling:
            return
        if self.free:
            self._look_downstream()
        if self.free or not self._java:
            self._ask()
        self._answer()
        self._take()

    def _look_downstream(self) -> None:
        if self._pauses and (self._held or self.unread):
            self._note_pause(self._outbox.room <= 0)
            if self._paused and not self._java:
                self._give_back(list(self._buffers))

    def _wants(self, partition: int) -> bool:
        there = self._buffered.get(partition, 0)
        return there == 0 if self._java else there < self._spec.queued_min

    def _ask(self) -> None:
        """Send a fetch, unless one is under way or the buffers are full."""
        if self._asked or self._paused or self._fetching.jobs() or (not self._java and self._held >= self._limits.queued):
            return
        self._asked = [partition for partition in sorted(self.partitions) if self._wants(partition)]
        self._sent_at = self._clock._now

    def _answer(self) -> None:
        """The broker answers the fetch once there is enough."""
        if not self._asked or self._fetching.speed == 0:
            return
        there = [partition for partition in self.unread if partition in self._asked]
        if not there or (self._waits and self._is_waiting(there)):
            return
        self._asked = []
        found: list[tuple[int, Range]] = []
        room = self._limits.most_of_a_fetch
        for partition in there:
            ranges = self._read_one(partition, min(room, self._limits.most_of_a_partition)) if room else []
            room -= sum(end - first for first, end, _ in ranges)
            found += [(partition, ranged) for ranged in ranges]
        self._begin_fetch(found)

    def _fetched(self, poll: Any) -> None:
        _, answered, found = poll
        now = self._clock._now
        if found:
            self._row((found[0][1][0], 0, answered, answered, now, now))
        for partition, (first, end, _) in found:
            self._buffers.setdefault(partition, deque()).append((first, end, answered))
            self._buffered[partition] = self._buffered.get(partition, 0) + end - first
            self._held += end - first
        self.poll()

    def _take(self) -> None:
        """Polls return what is there, for as long as the loop is free."""
        if self._taking:
            return
        self._taking = True
        while self.free and self._held and self._group.polling and not self._paused:
            count = self._spec.max_poll_records
            if self._pauses:
                count = min(count, self._outbox.room)
            self._begin_poll()
            taken = self._pop(count)
            if self._java:
                self._ask()
            self._handle(taken)
            if self.free:
                self._look_downstream()
        self._taking = False
        self._answer()

    def _handle(self, taken: list[Range]) -> None:
        now = self._clock._now
        if self._loop is not None:
            for first, end, since in taken:
                self._loop.inbox.put(first, end, since)
        else:
            self._hand.extend((first, end, since, now, now) for first, end, since in taken)
            self._hand_on()

    def _pop(self, count: int) -> list[Range]:
        """Up to `count` of the buffered records, partition by partition, each until it is empty (FetchCollector)."""
        taken: list[Range] = []
        while count > 0 and self._buffers:
            partition, buffer = next(iter(self._buffers.items()))
            first, end, since = buffer.popleft()
            if end - first > count:
                buffer.appendleft((first + count, end, since))
                end = first + count
            taken.append((first, end, since))
            count -= end - first
            self._held -= end - first
            self._buffered[partition] -= end - first
            if not buffer:
                del self._buffers[partition]
        return taken

    def own(self, partitions: set[int]) -> None:
        """What it has of other partitions it forgets: their next owner reads it."""
        self._asked = [partition for partition in self._asked if partition in partitions]
        self._give_back(self.partitions - partitions)
        super().own(partitions)

    def _give_back(self, partitions: Iterable[int]) -> None:
        now = self._clock._now
        for partition in sorted(partitions):
            gone = list(self._buffers.pop(partition, ()))
            self._held -= self._buffered.pop(partition, 0)
            for _, answered, found in self._fetching.jobs():
                gone += [(first, end, answered) for where, (first, end, _) in found if where == partition]
                found[:] = [entry for entry in found if entry[0] != partition]
            if gone:
                for first, end, since in gone:
                    self._row((first, end - first, since, nan, nan, now))
                self._group.on_given_back(partition, [(first, end) for first, end, _ in gone])
                self.unread[partition] = None

    def abandon(self, now: float) -> None:
        """The process died: forget everything fetched."""
        super().abandon(now)
        self._buffers.clear()
        self._buffered.clear()
        self._held, self._asked = 0, []

    def _in_hand(self) -> list[tuple[float, ...]]:
        waiting = [entry for buffer in self._buffers.values() for entry in buffer]
        waiting += [(a, b, since) for _, since, found in self._fetching.jobs() for _, (a, b, _) in found]
        return [(first, end - first, since, nan, nan, nan) for first, end, since in waiting] + self._handed()
