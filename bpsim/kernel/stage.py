"""Servers between two buffers: records are served one by one, and a server whose record finds no room downstream keeps
it (blocking after service)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import nan

from bpsim.kernel.buffer import Buffer, nothing
from bpsim.kernel.clock import Clock
from bpsim.kernel.servers import LaneServers

Job = tuple[int, float, float]
"""A record, when it entered, when its service began."""


class Stage:
    """`count` servers that take records from `inbox`, FIFO, and put them into `outbox`.

    Every record has its own start and end, so a batch is never served as one job: with one server the ends follow
    Lindley's recursion, with several Kiefer and Wolfowitz's.
    """

    def __init__(
        self,
        clock: Clock,
        count: int,
        inbox: Buffer,
        outbox: Buffer,
        work: Callable[[int], float],
        row: Callable[[tuple[float, ...]], None],
    ) -> None:
        self.clock = clock
        self.inbox = inbox
        self.outbox = outbox
        self.count = self.idle = count
        self.servers = LaneServers(clock, self._end)
        self.blocked: deque[tuple[int, float, float, float]] = deque()
        self.on_empty: Callable[[], None] = nothing
        self._work = work
        self._row = row
        inbox.on_item = self.start
        outbox.on_room = self.resume

    def start(self) -> None:
        """Give records to idle servers."""
        inbox = self.inbox
        if not (self.idle and inbox.held):
            return
        now, work, begin = self.clock._now, self._work, self.servers.begin
        while self.idle and inbox.held:
            record, entered = inbox.take_one()
            self.idle -= 1
            begin(now, work(record), (record, entered, now))
        if inbox.wanted:
            inbox.made_room()

    def _end(self, job: Job) -> None:
        record, entered, started = job
        now = self.clock._now
        outbox = self.outbox
        if self.blocked or outbox.held >= outbox.limit:
            self.blocked.append((record, entered, started, now))
            outbox.wanted = True
            return
        self.idle += 1  # `_leave` and `_go_on` without their calls: with that in front.py 5 % of a run
        self._row((record, 1, entered, started, now, now))
        outbox.put(record, record + 1, now)
        if self.inbox.held:
            self.start()
        elif self.idle == self.count:
            self.on_empty()

    def _leave(self, record: int, entered: float, started: float, served: float) -> None:
        now = self.clock._now
        self.idle += 1
        self._row((record, 1, entered, started, served, now))
        self.outbox.put(record, record + 1, now)

    def resume(self) -> None:
        """Room downstream: servers that held a finished record let it go, in the order they finished."""
        if not self.blocked:
            return
        while self.blocked and self.outbox.room > 0:
            self._leave(*self.blocked.popleft())
        self.outbox.wanted = bool(self.blocked)
        self._go_on()

    def _go_on(self) -> None:
        self.start()
        if self.idle == self.count:
            self.on_empty()

    def abandon(self, now: float) -> None:
        """The process died: forget everything inside."""
        for first, count, entered, started, served, _ in self.unfinished():
            over = now if started == started and served != served else served
            self._row((first, count, entered, started, over, now))
        self.inbox.clear()
        self.servers.clear()
        self.blocked.clear()
        self.idle = self.count

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what is inside: waiting, in service, or blocked."""
        rows: list[tuple[float, ...]] = [(a, b - a, entered, nan, nan, nan) for a, b, entered in self.inbox.ranges]
        rows += [(record, 1, entered, started, nan, nan) for record, entered, started in self.servers.jobs()]
        rows += [(record, 1, entered, started, served, nan) for record, entered, started, served in self.blocked]
        return rows
