"""The consumer: one loop that polls, handles records one by one, and hands them on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import nan
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from bpsim.distributions import Constant, Distribution
from bpsim.faults import Conditions
from bpsim.kernel.buffer import Buffer, Range
from bpsim.kernel.clock import Clock
from bpsim.kernel.servers import TimedServers
from bpsim.kernel.stage import Stage
from bpsim.spec import Spec
from bpsim.streams import Draws, Streams
from bpsim.tiers.broker import Broker
from bpsim.units import Bytes, PositiveSeconds


class ConsumerSpec(Spec):
    """One poll loop: fetch up to `max_poll_records`, handle them one by one, hand them on, poll again."""

    not_yet: ClassVar[dict[str, str]] = {
        "max_poll_interval": "eviction from the group and rebalancing come with issue 5",
        "group": "several consumers come with issue 5",
    }
    max_poll_records: int = Field(default=500, ge=1, le=1_000_000)
    fetch_latency: Distribution = Field(default=Constant(value=0.001), description="time of one poll that finds records")
    service: Distribution = Field(default=Constant(value=0.0), description="time the loop spends on each record")
    when_full: Literal["pause", "block"] = Field(
        default="pause",
        description="downstream full: do not poll before there is room (blocking before service), "
        "or poll and wait with the records in hand (blocking after service)",
    )
    commit_interval: PositiveSeconds = Field(
        default=5.0, description="how often the position up to which all is delivered is committed (auto.commit.interval.ms)"
    )
    heap: Bytes | None = Field(
        default=None,
        description="memory of the consuming process: records it has read (in Flink's buffers, too) and not yet delivered",
    )
    overhead: int = Field(default=0, ge=0, le=10**9, description="bytes that one record takes there beyond its size")
    restart_after: PositiveSeconds | None = Field(
        default=None, description="from an out-of-memory crash to reading again; none: it stays down"
    )

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> ConsumerSpec:
        for name in ("overhead", "restart_after"):
            if getattr(self, name) and self.heap is None:
                raise ValueError(f"{name} needs a heap that can run out; add heap")
        return self


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
        self.on_read: Callable[[list[Range]], None] = lambda ranges: None
        self._paused = False
        self._row = row
        self._mark = mark
        self._hand: deque[tuple[int, int, float, float]] = deque()
        self._loop: Stage | None = None
        if spec.service.mean > 0:
            self._loop = Stage(clock, 1, Buffer(1 << 62), outbox, work, row)
            self._loop.on_empty = self._done
        broker.log.on_item = self.poll
        self._resume: Callable[[], None] = self._loop.resume if self._loop else self._hand_on
        outbox.on_room = self._on_room

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
        ranges = self.broker.read(count)
        self._fetching.begin(self.clock.now, latency, (self._polls, self.clock.now, ranges))
        self.on_read(ranges)

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
