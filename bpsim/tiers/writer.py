"""The database writer: bulk inserts over a few connections."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import ClassVar

from pydantic import Field

from bpsim.distributions import Constant, Distribution
from bpsim.faults import Conditions
from bpsim.kernel.bound import Bound
from bpsim.kernel.buffer import Buffer, Range, Sink
from bpsim.kernel.clock import Alarm, Clock
from bpsim.kernel.servers import TimedServers
from bpsim.spec import Spec
from bpsim.streams import Draws, Streams, to_grid
from bpsim.units import Seconds


class WriterSpec(Spec):
    """The database writer: bulk inserts of up to `batch_rows` rows over `connections`; one takes a + b·rows."""

    not_yet: ClassVar[dict[str, str]] = {
        "pool_timeout": "inserts wait for a connection for ever; pool timeouts come with issue 5",
        "contention": "connections do not slow each other; USL contention comes with issue 5",
        "hot_row": "hot rows come with issue 5",
        "retry": "inserts do not fail; retries come with issue 5",
    }
    connections: int = Field(default=1, ge=1, le=100_000)
    batch_rows: int = Field(default=500, ge=1, le=1_000_000)
    batch_interval: Seconds = Field(default=0.0, description="how long the first row waits for the batch to fill")
    per_insert: Distribution = Field(default=Constant(value=0.005), description="a: round trip and commit of one insert")
    per_row: Distribution = Field(default=Constant(value=0.0), description="b: time each row adds")
    buffer: Bound = Field(default=Bound(records=5000), description="rows waiting for an insert")


Insert = tuple[int, list[Range], float]
"""Its number, its rows, when it began."""


class Writer:
    """Rows are committed together at the end of their insert, which takes a + b·rows."""

    def __init__(
        self,
        clock: Clock,
        spec: WriterSpec,
        streams: Streams,
        record_bytes: int,
        row_time: Callable[[int], float],
        row: Callable[[tuple[float, ...]], None],
    ) -> None:
        self.clock = clock
        self.inbox = Buffer(max(1, spec.buffer.in_records(record_bytes)))
        self.done = Sink()
        self._idle = spec.connections
        self._batch = min(spec.batch_rows, self.inbox.capacity)
        self._interval = to_grid(spec.batch_interval)
        self._fixed = Draws(streams.rng("writer.insert"), spec.per_insert.sample)
        self._row_time = row_time if spec.per_row.scv > 0 else None
        self._constant_row_time = spec.per_row.mean if spec.per_row.scv == 0 else 0.0
        self._inserts = 0
        self._servers = TimedServers(clock, self._committed)
        self._alarm = Alarm(clock, self.insert)
        self._locked_out: list[tuple[float, Insert]] | None = None
        """While the table is locked: (work, insert) of those that hold a connection and wait."""
        self._row = row
        self.inbox.on_item = self.insert

    def insert(self) -> None:
        """Begin an insert on every idle connection that has a batch: a full one, or one that has waited long enough."""
        inbox = self.inbox
        if inbox.held < self._batch and self._alarm.at is not None:
            return
        while self._idle and inbox.held:
            now = self.clock._now
            due = inbox.oldest + self._interval
            if inbox.held < self._batch and now < due:
                self._alarm.set(due)
                return
            ranges = inbox.take(self._batch)
            self._idle -= 1
            number = self._inserts
            self._inserts += 1
            work = self._work(number, ranges)
            if self._locked_out is None:
                self._servers.begin(now, work, (number, ranges, now))
            else:
                self._locked_out.append((work, (number, ranges, now)))
            inbox.made_room()

    def _work(self, number: int, ranges: list[Range]) -> float:
        rows = sum(end - first for first, end, _ in ranges)
        work = self._fixed[number] + to_grid(rows * self._constant_row_time)
        if self._row_time is not None:
            work += sum(self._row_time(record) for first, end, _ in ranges for record in range(first, end))
        return work

    def _committed(self, job: Insert) -> None:
        _, ranges, began = job
        now = self.clock._now
        for first, end, entered in ranges:
            self._row((first, end - first, entered, began, now, now))
            self.done.put(first, end, now)
        self._idle += 1
        self.insert()

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or take nothing in."""
        self._servers.set_speed(self.clock.now, now.speed if now.reachable else 0.0)
        waited = [] if now.locked or self._locked_out is None else self._locked_out
        self._locked_out = (self._locked_out or []) if now.locked else None
        for work, insert in waited:
            self._servers.begin(self.clock.now, work, insert)
        self.inbox.set_open(now.accepting)

    def _jobs(self) -> list[Insert]:
        return [*self._servers.jobs(), *(insert for _, insert in self._locked_out or ())]

    def crash(self) -> None:
        """The database died: inserts under way are rolled back, and their rows wait for another."""
        now = self.clock.now
        jobs = sorted(self._jobs())
        for _, ranges, began in reversed(jobs):
            for first, end, entered in ranges:
                self._row((first, end - first, entered, began, now, now))
            self.inbox.put_back([(first, end) for first, end, _ in ranges], now)
        self._forget(len(jobs))
        self.insert()

    def abandon(self, now: float) -> None:
        """The consuming process died: rows that wait are forgotten, inserts under way are rolled back."""
        for first, count, entered, started, _, _ in self.unfinished():
            self._row((first, count, entered, started, now if started == started else nan, now))
        self._forget(len(self._jobs()))
        self.inbox.clear()

    def _forget(self, inserts: int) -> None:
        self._idle += inserts
        self._servers.clear()
        self._alarm.cancel()
        if self._locked_out:
            self._locked_out = []

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what waits or is being inserted."""
        rows: list[tuple[float, ...]] = [(a, b - a, entered, nan, nan, nan) for a, b, entered in self.inbox.ranges]
        for _, ranges, began in self._jobs():
            rows += [(first, end - first, entered, began, nan, nan) for first, end, entered in ranges]
        return rows
