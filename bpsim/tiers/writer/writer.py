"""The writer: makes batches of rows, finds each a connection, and tries again what failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from math import nan

from bpsim.faults import Conditions
from bpsim.kernel.buffer import Buffer, Range, Sink, nothing
from bpsim.kernel.clock import Alarm, Clock
from bpsim.streams import Draws, Streams, to_grid
from bpsim.tiers.writer.database import Database, Insert
from bpsim.tiers.writer.spec import InsertRetry, WriterSpec


class Writer:
    """Rows are committed together at the end of their insert. A batch keeps one of the `inserters` from the moment it is
    made until it is committed or dropped, and a connection only while its statement runs."""

    def __init__(
        self,
        clock: Clock,
        spec: WriterSpec,
        streams: Streams,
        record_bytes: int,
        row_time: Callable[[int], float],
        row: Callable[[Iterable[float]], None],
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.inbox = Buffer(max(1, spec.buffer.in_records(record_bytes)))
        self.done = Sink()
        self.on_exhausted: Callable[[], None] = nothing
        """The last try of an insert has failed, and the process cannot go on."""
        self._spec = spec
        self._retry = spec.retry or InsertRetry()
        self._spare = spec.in_hand
        self._idle = spec.connections
        self._batch = min(spec.batch_rows, self.inbox.capacity)
        self._interval = to_grid(spec.batch_interval)
        self._pool_timeout = to_grid(spec.pool_timeout) if spec.pool_timeout is not None else None
        self._fixed = Draws(streams.rng("writer.insert"), spec.per_insert.sample)
        self._luck = Draws(streams.rng("writer.hot_row"), lambda rng, n: rng.random(n))
        self._row_time = row_time if spec.per_row.scv > 0 else None
        self._constant_row_time = spec.per_row.mean if spec.per_row.scv == 0 else 0.0
        self._inserts = 0
        self._database = Database(clock, spec, self._work, self._hot, self._committed, self._cancelled)
        self._waiting: deque[Insert] = deque()
        """For a connection."""
        self._pausing: dict[int, Insert] = {}
        """By number: those that will be tried again."""
        self._filling = Alarm(clock, self.insert)
        self._patience = Alarm(clock, self._lose_patience)
        self._row = row
        self._mark = mark
        self.inbox.on_item = self.insert

    def insert(self) -> None:
        """Make a batch for every spare inserter: a full one, or one that has waited long enough."""
        inbox = self.inbox
        if inbox.held < self._batch and self._filling.at is not None:
            return
        while self._spare and inbox.held:
            now = self.clock._now
            due = inbox.oldest + self._interval
            if inbox.held < self._batch and now < due:
                self._filling.set(due)
                return
            ranges = inbox.take(self._batch)
            self._spare -= 1
            number = self._inserts
            self._inserts += 1
            self._find_connection(Insert(number, ranges, 0, now))
            inbox.made_room()

    def _find_connection(self, insert: Insert) -> None:
        if self._idle:
            self._idle -= 1
            self._database.begin(insert)
        else:
            self._waiting.append(insert)
            self._watch()

    def _give_back_connection(self) -> None:
        if self._waiting:
            insert = self._waiting.popleft()
            self._watch()
            self._database.begin(insert._replace(since=self.clock._now))
        else:
            self._idle += 1

    def _watch(self) -> None:
        if self._pool_timeout is None:
            return
        if self._waiting:
            self._patience.set(self._waiting[0].since + self._pool_timeout)
        else:
            self._patience.cancel()

    def _lose_patience(self) -> None:
        insert = self._waiting.popleft()
        self._watch()
        self._failed(insert, "pool_timeout")

    def _work(self, insert: Insert) -> float:
        work = self._fixed[insert.number] + to_grid(insert.rows * self._constant_row_time)
        if self._row_time is not None:
            work += sum(self._row_time(record) for first, end, _ in insert.ranges for record in range(first, end))
        return work

    def _hot(self, insert: Insert) -> bool:
        return self._luck[insert.number] < self._spec.touches_hot_row(insert.rows)

    def _committed(self, insert: Insert) -> None:
        now, since = self.clock._now, insert.since
        rows: list[float] = []
        for first, end, entered in insert.ranges:
            rows += (first, end - first, entered, since, now, now)
        self._row(rows)
        self.done.put_all(insert.ranges, now)
        self._spare += 1
        self._give_back_connection()
        self.insert()

    def _cancelled(self, insert: Insert) -> None:
        ranges = self._roll_back(insert)
        self._give_back_connection()
        self._failed(insert._replace(ranges=ranges), "statement_timeout")

    def _roll_back(self, insert: Insert) -> list[Range]:
        """The connection's time is spent, and the rows are where they were."""
        now = self.clock.now
        for first, end, entered in insert.ranges:
            self._row((first, end - first, entered, insert.since, now, now))
        return [(first, end, now) for first, end, _ in insert.ranges]

    def _failed(self, insert: Insert, why: str) -> None:
        self._mark(why, float(insert.rows))
        tries = insert.tries + 1
        if tries < self._retry.max_attempts:
            self._pausing[insert.number] = insert = insert._replace(tries=tries)
            again = self.clock.now + to_grid(self._retry.wait(tries))
            self.clock.call_at(again, partial(self._try_again, insert))
        elif self._retry.exhausted == "drop":
            self._drop(insert)
        else:
            self._pausing[insert.number] = insert
            self.on_exhausted()

    def _try_again(self, insert: Insert) -> None:
        if self._pausing.get(insert.number) is insert:
            del self._pausing[insert.number]
            self._find_connection(insert._replace(since=self.clock.now))

    def _drop(self, insert: Insert) -> None:
        now = self.clock.now
        self._mark("dropped", float(insert.rows))
        for first, end, entered in insert.ranges:
            self._row((first, end - first, entered, nan, nan, now))
            self.done.drop(first, end, now)
        self._spare += 1
        self.insert()

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, lock the table, or take nothing in."""
        self._database.set_conditions(now)
        self.inbox.set_open(now.accepting)

    def crash(self) -> None:
        """The database died: inserts under way are rolled back, and their rows wait for another."""
        under_way = sorted(self._database.inserts(), key=lambda insert: insert.number)
        for insert in reversed(under_way):
            self.inbox.put_back([(first, end) for first, end, _ in self._roll_back(insert)], self.clock.now)
        self._database.clear()
        self._filling.cancel()
        self._spare += len(under_way)
        for _ in under_way:
            self._give_back_connection()
        self.insert()

    def abandon(self, now: float) -> None:
        """The consuming process died: rows that wait are forgotten, inserts under way are rolled back."""
        for first, count, entered, started, _, _ in self.unfinished():
            self._row((first, count, entered, started, now if started == started else nan, now))
        for place in (self._database, self._waiting, self._pausing, self.inbox):
            place.clear()
        for alarm in (self._filling, self._patience):
            alarm.cancel()
        self._spare, self._idle = self._spec.in_hand, self._spec.connections

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what waits or is being inserted."""
        rows: list[tuple[float, ...]] = [(a, b - a, entered, nan, nan, nan) for a, b, entered in self.inbox.ranges]
        for insert in (*self._waiting, *self._pausing.values()):
            rows += [(first, end - first, entered, nan, nan, nan) for first, end, entered in insert.ranges]
        for insert in self._database.inserts():
            rows += [(first, end - first, entered, insert.since, nan, nan) for first, end, entered in insert.ranges]
        return rows
