"""The database: inserts at work slow each other down, wait for locks, and are cancelled when they take too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from bpsim.faults import Conditions
from bpsim.kernel.buffer import Range
from bpsim.kernel.clock import Alarm, Clock
from bpsim.kernel.servers import TimedServers
from bpsim.streams import to_grid
from bpsim.tiers.writer.spec import WriterSpec


class Insert(NamedTuple):
    """A batch on its way into the database. Its number comes first, so that inserts which end together end in order."""

    number: int
    ranges: list[Range]
    tries: int
    """How often it has failed."""
    since: float
    """When it began, or began to wait for a connection."""

    @property
    def rows(self) -> int:
        """How many."""
        return sum(end - first for first, end, _ in self.ranges)


class Database:
    """`work(insert)` is how long an insert takes alone and `hot(insert)` whether it updates the hot row, which it then holds
    to its end. Calls `committed(insert)` or, after the statement timeout, `cancelled(insert)`."""

    def __init__(
        self,
        clock: Clock,
        spec: WriterSpec,
        work: Callable[[Insert], float],
        hot: Callable[[Insert], bool],
        committed: Callable[[Insert], None],
        cancelled: Callable[[Insert], None],
    ) -> None:
        self._clock = clock
        self._spec = spec
        self._work = work
        self._hot = hot
        self._committed = committed
        self._cancelled = cancelled
        self._servers = TimedServers(clock, self._ended)
        self._slows = spec.contention > 0 or spec.coherency > 0
        self._speed = 1.0
        self._locked_out: list[Insert] | None = None
        """While the table is locked: those that wait."""
        self._holder: Insert | None = None
        """Who holds the hot row."""
        self._queue: deque[Insert] = deque()
        """Who waits for it."""
        self._timeout = to_grid(spec.statement_timeout) if spec.statement_timeout is not None else None
        self._begun: deque[Insert] = deque()
        """With a timeout: in order of beginning."""
        self._alarm = Alarm(clock, self._cancel_late)

    def begin(self, insert: Insert) -> None:
        """The statement is sent."""
        if self._timeout is not None:
            self._begun.append(insert)
            self._watch()
        self._start(insert)

    def _start(self, insert: Insert) -> None:
        if self._locked_out is not None:
            self._locked_out.append(insert)
        elif self._spec.hot_row and self._hot(insert):
            self._queue.append(insert)
            self._next_holder()
        else:
            self._go_to_work(insert)

    def _next_holder(self) -> None:
        if self._holder is None and self._queue:
            self._holder = self._queue.popleft()
            self._go_to_work(self._holder)

    def _go_to_work(self, insert: Insert) -> None:
        self._adapt(1)
        self._servers.begin(self._clock.now, self._work(insert), insert)

    def _adapt(self, more: int = 0) -> None:
        """The speed of each, with `more` of them than now."""
        if self._slows:
            at_work = len(self._servers.ongoing) + len(self._servers.frozen) + more
            self._servers.set_speed(self._clock.now, self._speed / self._spec.slowing(max(1, at_work)))

    def _ended(self, insert: Insert) -> None:
        self._adapt()
        if self._timeout is not None:
            self._begun.remove(insert)
            self._watch()
        self._release(insert)
        self._committed(insert)

    def _release(self, insert: Insert) -> None:
        if insert is self._holder:
            self._holder = None
            self._next_holder()

    def _watch(self) -> None:
        assert self._timeout is not None
        if self._begun:
            self._alarm.set(self._begun[0].since + self._timeout)
        else:
            self._alarm.cancel()

    def _cancel_late(self) -> None:
        """The first has reached the timeout: it is rolled back."""
        insert = self._begun.popleft()
        self._watch()
        if insert in self._queue:
            self._queue.remove(insert)
        elif self._locked_out is not None and insert in self._locked_out:
            self._locked_out.remove(insert)
        else:
            self._servers.cancel(insert)
            self._adapt()
        self._release(insert)
        self._cancelled(insert)

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or lock the table."""
        self._speed = now.speed if now.reachable else 0.0
        self._servers.set_speed(self._clock.now, self._speed)
        self._adapt()
        waited = [] if now.locked or self._locked_out is None else self._locked_out
        self._locked_out = (self._locked_out or []) if now.locked else None
        for insert in waited:
            self._start(insert)

    def inserts(self) -> list[Insert]:
        """Everything that has begun: at work, or waiting for a lock."""
        return [*self._servers.jobs(), *(self._locked_out or ()), *self._queue]

    def clear(self) -> None:
        """Connections are gone, and everything begun is rolled back."""
        self._servers.clear()
        self._queue.clear()
        self._begun.clear()
        self._alarm.cancel()
        self._holder = None
        if self._locked_out:
            self._locked_out = []
