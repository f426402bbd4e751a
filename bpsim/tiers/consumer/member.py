"""One consumer of the group: a loop that polls its partitions, handles records one by one, and hands them on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import nan
from typing import Any, Protocol

from bpsim.kernel.buffer import Buffer, Range
from bpsim.kernel.clock import Alarm, Clock
from bpsim.kernel.servers import LaneServers, TimedServers
from bpsim.kernel.stage import Stage
from bpsim.streams import Draws, to_grid
from bpsim.tiers.broker.store import Store
from bpsim.tiers.consumer.fetch import FetchLimits
from bpsim.tiers.consumer.spec import ConsumerSpec

Poll = tuple[int, float, list[Range]]
"""Its number, when it was sent, what it found."""


class Group(Protocol):
    """What a member asks of its group, and tells it."""

    on_read: Callable[[int, list[Range]], None]
    on_given_back: Callable[[int, list[tuple[int, int]]], None]

    @property
    def polling(self) -> bool:
        """Whether anybody polls."""

    def note_pause(self, number: int, paused: bool) -> None:
        """Member `number` does not poll because there is no room downstream, or does again."""

    def came_back(self, member: Member) -> None:
        """The loop of `member` is about to poll."""

    def overran(self, member: Member) -> None:
        """`member` has not polled for `max_poll_interval`."""


class Member:
    """Polls when its hands are empty; with `when_full: pause` only what fits downstream, so it never stands blocked."""

    SERVERS: type[LaneServers | TimedServers] = LaneServers
    """Where fetches are under way: in the lane, which is quick, unless it matters whether there are any."""

    def __init__(
        self,
        clock: Clock,
        spec: ConsumerSpec,
        number: int,
        group: Group,
        store: Store,
        outbox: Buffer,
        latency: Draws,
        limits: FetchLimits,
        work: Callable[[int], float],
        row: Callable[[tuple[float, ...]], None],
    ) -> None:
        self.number = number
        self.unread: dict[int, None] = {}
        """Its partitions with something to read, in the order of their turns."""
        self.partitions: set[int] = set()
        self.free = True
        self._clock = clock
        self._spec = spec
        self._pauses = spec.when_full == "pause"
        self._paused = False
        self._group = group
        self._store = store
        self._outbox = outbox
        self._latency = latency
        self._limits = limits
        self._fetching = self.SERVERS(clock, self._fetched)
        self._waits = limits.may_wait
        self._sent_at = 0.0
        self._wait = Alarm(clock, self.poll)
        self._polls = 0
        self._polled_at = 0.0
        self._interval = to_grid(spec.max_poll_interval) if spec.max_poll_interval is not None else None
        self._watch = Alarm(clock, self._overrun)
        self._row = row
        self._hand: deque[tuple[int, int, float, float, float]] = deque()
        self._loop: Stage | None = None
        if spec.service.mean > 0:
            self._loop = Stage(clock, 1, Buffer(1 << 62), outbox, work, row)
            self._loop.on_empty = self._done

    def own(self, partitions: set[int]) -> None:
        """From now on it reads these."""
        self.partitions = partitions
        self.unread = {number: None for number in sorted(partitions) if self._store.partitions[number].unread}

    def poll(self) -> None:
        """Fetch if the loop is free, there is something to read and, with `pause`, room for it."""
        if not self.free or not self.unread or not self._group.polling:
            return
        count = self._limits.most
        if self._pauses:
            room = self._outbox.room
            if room < count:
                count = room
            self._note_pause(count <= 0)
        if count <= 0 or self._fetching.speed == 0 or (self._waits and self._is_waiting(self.unread)):
            return
        if not (ranges := self._read(count)):
            return
        self._begin_poll()
        self._begin_fetch(ranges)

    def _begin_poll(self) -> None:
        self.free = False
        now = self._polled_at = self._clock._now
        if self._interval is not None and self._watch.at is None:
            self._watch.set(now + self._interval)

    def _begin_fetch(self, found: list[Any]) -> None:
        latency = self._latency[self._polls]
        self._polls += 1
        now = self._clock._now
        self._fetching.begin(now, latency, (self._polls, now, found))

    def _is_waiting(self, partitions: Iterable[int]) -> bool:
        """Whether the fetch stays at the broker, which finds too little for an answer."""
        logs, now = self._store.partitions, self._clock._now
        if sum(logs[number].unread for number in partitions) >= self._limits.least:
            return False
        ends = self._limits.wait_ends(self._sent_at, now)
        if ends > now:
            self._wait.set(ends)
        return ends > now

    def _note_pause(self, paused: bool) -> None:
        if paused:
            self._outbox.wanted = True
        if paused != self._paused:
            self._paused = paused
            self._group.note_pause(self.number, paused)

    def _read(self, count: int) -> list[Range]:
        """Up to `count` records, from one partition after the other, so many of each at most."""
        found: list[Range] = []
        turns = len(self.unread)
        while count > 0 and turns > 0:
            turns -= 1
            ranges = self._read_one(next(iter(self.unread)), count)
            for first, end, _ in ranges:
                count -= end - first
            found += ranges
        return found

    def _read_one(self, partition: int, count: int) -> list[Range]:
        """Up to `count` records of a partition, whose turn is then over."""
        del self.unread[partition]
        ranges = self._store.read(partition, min(count, self._limits.most_of_a_partition))
        if self._store.partitions[partition].unread:
            self.unread[partition] = None
        if ranges:
            self._group.on_read(partition, ranges)
        return ranges

    def _overrun(self) -> None:
        assert self._interval is not None
        if self.free:
            return
        if self._polled_at + self._interval > self._clock._now:
            self._watch.set(self._polled_at + self._interval)
        else:
            self._group.overran(self)

    def _fetched(self, poll: Poll) -> None:
        _, polled_at, ranges = poll
        now = self._clock._now
        if self._loop is not None:
            self._row((ranges[0][0], 0, polled_at, polled_at, now, now))
            for first, end, _ in ranges:
                self._loop.inbox.put(first, end, polled_at)
            return
        self._hand.extend([(first, end, polled_at, polled_at, now) for first, end, _ in ranges])
        self._hand_on()

    def resume(self) -> None:
        """There is room downstream."""
        if self._loop is not None:
            self._loop.resume()
        else:
            self._hand_on()

    def _hand_on(self) -> None:
        if self.free or not self._hand:
            return
        now = self._clock._now
        while self._hand and (room := self._outbox.room) > 0:
            first, end, entered, started, fetched_at = self._hand.popleft()
            if end - first > room:
                self._hand.appendleft((first + room, end, entered, started, fetched_at))
                end = first + room
            self._row((first, end - first, entered, started, fetched_at, now))
            self._outbox.put(first, end, now)
        self._outbox.wanted |= bool(self._hand)
        if not self._hand:
            self._done()

    def _done(self) -> None:
        if not self.free:
            self.free = True
            self._sent_at = self._clock._now
            self._group.came_back(self)
            self.poll()

    def abandon(self, now: float) -> None:
        """The process died: forget everything fetched."""
        for first, count, entered, started, served, _ in self._in_hand():
            over = now if started == started and served != served else served
            self._row((first, count, entered, started, over, now))
        self._fetching.clear()
        self._hand.clear()
        self._watch.cancel()
        self._paused = False
        self._group.note_pause(self.number, False)
        if self._loop is not None:
            self._loop.abandon(now)
        self.free = True
        self._sent_at = now

    def set_speed(self, now: float, speed: float) -> None:
        """Fetch and handle records at another speed."""
        self._fetching.set_speed(now, speed)
        if self._loop is not None:
            self._loop.servers.set_speed(now, speed)

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what was fetched and not handed on."""
        return self._in_hand() + (self._loop.unfinished() if self._loop else [])

    def _in_hand(self) -> list[tuple[float, ...]]:
        rows: list[tuple[float, ...]] = [
            (first, end - first, polled_at, polled_at, nan, nan)
            for _, polled_at, ranges in self._fetching.jobs()
            for first, end, _ in ranges
        ]
        return rows + self._handed()

    def _handed(self) -> list[tuple[float, ...]]:
        return [(first, end - first, entered, started, fetched, nan) for first, end, entered, started, fetched in self._hand]
