"""The consumer: one loop that polls, handles records one by one, and hands them on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import nan

from bpsim.faults import Conditions
from bpsim.kernel.buffer import Buffer, Range
from bpsim.kernel.clock import Clock
from bpsim.kernel.servers import TimedServers
from bpsim.kernel.stage import Stage
from bpsim.streams import Draws, Streams
from bpsim.tiers.broker import Broker
from bpsim.tiers.consumer.spec import ConsumerSpec

Poll = tuple[int, float, list[Range]]
"""Its number, when it was sent, what it found."""


class Consumer:
    """Polls when its hands are empty; with `when_full: pause` only what fits downstream, so it never stands blocked."""

    def __init__(
        self,
        clock: Clock,
        spec: ConsumerSpec,
        streams: Streams,
        broker: Broker,
        outbox: Buffer,
        work: Callable[[int], float],
        row: Callable[[tuple[float, ...]], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.spec = spec
        self.broker = broker
        self.outbox = outbox
        self._fetching = TimedServers(clock, self._fetched)
        self._latency = Draws(streams.rng("consumer.fetch"), spec.fetch_latency.sample)
        self._polls = 0
        self._free = True
        self._conditions = Conditions()
        self.alive = True
        self.on_read: Callable[[int, list[Range]], None] = lambda partition, ranges: None
        self._unread: dict[int, None] = {}
        """Partitions with something to read, in the order of their turns."""
        self._paused = False
        self._row = row
        self._mark = mark
        self._hand: deque[tuple[int, int, float, float]] = deque()
        self._loop: Stage | None = None
        if spec.service.mean > 0:
            self._loop = Stage(clock, 1, Buffer(1 << 62), outbox, work, row)
            self._loop.on_empty = self._done
        broker.log.on_item = self._note_item
        self._resume: Callable[[], None] = self._loop.resume if self._loop else self._hand_on
        outbox.on_room = self._on_room

    def _note_item(self, partition: int) -> None:
        self._unread[partition] = None
        self.poll()

    def _on_room(self) -> None:
        self._resume()
        self.poll()

    def poll(self) -> None:
        """Fetch if the loop is free, there is something to read and, with `pause`, room for it."""
        if not self._free or not self._accepting or not self.broker.log.held:
            return
        count = self.spec.max_poll_records
        if self.spec.when_full == "pause":
            count = min(count, self.outbox.room)
            self._note_pause(count <= 0)
            self.outbox.wanted |= count <= 0
        if count <= 0 or self._fetching.speed == 0:
            return
        self._free = False
        latency = self._latency[self._polls]
        self._polls += 1
        self._fetching.begin(self.clock.now, latency, (self._polls, self.clock.now, self._read(count)))

    def _read(self, count: int) -> list[Range]:
        """Up to `count` records, from one partition after the other."""
        log, found = self.broker.log, []
        while count > 0 and log.held:
            if not self._unread:  # after a crash
                self._unread = {number: None for number, one in enumerate(log.partitions) if one.unread}
            partition = next(iter(self._unread))
            del self._unread[partition]
            ranges = log.read(partition, count)
            count -= sum(end - first for first, end, _ in ranges)
            if log.partitions[partition].unread:
                self._unread[partition] = None
            if ranges:
                self.on_read(partition, ranges)
            found += ranges
        return found

    def _note_pause(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._mark("pause_begins" if paused else "pause_ends", float(self.broker.log.held))

    def _fetched(self, poll: Poll) -> None:
        _, polled_at, ranges = poll
        if self._loop is not None:
            self._row((ranges[0][0], 0, polled_at, polled_at, self.clock._now, self.clock._now))
            for first, end, _ in ranges:
                self._loop.inbox.put(first, end, polled_at)
            return
        now = self.clock.now
        self._hand.extend((first, end, polled_at, now) for first, end, _ in ranges)
        self._hand_on()

    def _hand_on(self) -> None:
        if self._free or not self._hand:
            return
        now = self.clock.now
        while self._hand and (room := self.outbox.room) > 0:
            first, end, polled_at, fetched_at = self._hand.popleft()
            if end - first > room:
                self._hand.appendleft((first + room, end, polled_at, fetched_at))
                end = first + room
            self._row((first, end - first, polled_at, polled_at, fetched_at, now))
            self.outbox.put(first, end, now)
        self.outbox.wanted |= bool(self._hand)
        if not self._hand:
            self._done()

    def _done(self) -> None:
        if not self._free:
            self._free = True
            self.poll()

    @property
    def _accepting(self) -> bool:
        return self._conditions.accepting and self._conditions.reachable and self.alive

    def set_alive(self, alive: bool) -> None:
        """The process is gone, or there again."""
        self.alive = alive
        self.poll()

    def abandon(self, now: float) -> None:
        """The process died: forget everything fetched."""
        for first, count, entered, started, served, _ in self._in_hand():
            self._row((first, count, entered, started, served if served == served else now, now))
        self._fetching.clear()
        self._hand.clear()
        self._note_pause(False)
        if self._loop is not None:
            self._loop.abandon(now)
        self._free = True

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or stop polling."""
        self._conditions = now
        self._fetching.set_speed(self.clock.now, now.speed)
        if self._loop is not None:
            self._loop.servers.set_speed(self.clock.now, now.speed)
        self.poll()

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what was fetched and not handed on."""
        return self._in_hand() + (self._loop.unfinished() if self._loop else [])

    def _in_hand(self) -> list[tuple[float, ...]]:
        rows: list[tuple[float, ...]] = [
            (first, end - first, polled_at, polled_at, nan, nan)
            for _, polled_at, ranges in self._fetching.jobs()
            for first, end, _ in ranges
        ]
        rows += [(first, end - first, polled, polled, fetched, nan) for first, end, polled, fetched in self._hand]
        return rows
