"""The consuming process: consumer, Flink and the rows on their way to the database live and die together. What it had not
committed it reads again, so what had been written since the last commit is written twice (at-least-once)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import floor
from typing import Protocol

import numpy as np

from bpsim.kernel.buffer import Range, Sink
from bpsim.kernel.clock import URGENT, Clock
from bpsim.kernel.ledger import cover_of
from bpsim.result import Column
from bpsim.streams import to_grid
from bpsim.tiers.broker import Broker
from bpsim.tiers.consumer import Consumer, ConsumerSpec
from bpsim.tiers.flink import FlinkJob


class Part(Protocol):
    """A tier of the process."""

    def abandon(self, now: float) -> None:
        """Forget everything that is inside."""


class Job:
    """Watches what is read and delivered, for the memory and for what a crash costs."""

    def __init__(
        self,
        clock: Clock,
        spec: ConsumerSpec,
        record_bytes: int,
        broker: Broker,
        parts: Sequence[Part],
        sink: Sink,
        mark: Callable[[str, float], None],
    ) -> None:
        self.clock = clock
        self.replayed: list[tuple[int, int]] = []
        """Records that were put back for reading again."""
        self._spec = spec
        self._bytes_each = record_bytes + spec.overhead
        self._broker = broker
        self._parts = parts
        self._sink = sink
        self._mark = mark
        self._reads: list[Range] = []
        self._delivered_before = 0
        self._read = 0
        self._dying = False
        self._flink: FlinkJob | None = None

    def follow(self, flink: FlinkJob) -> None:
        """A Flink job fails as a whole, and with checkpoints it is they that say what is read again."""
        self._flink = flink
        flink.on_failure = self._fail

    def _fail(self, delay: float | None) -> None:
        self.crash()
        self._set_alive(False)
        if delay is not None:
            self.clock.call_at(self.clock.now + to_grid(delay), self.restart)

    def _set_alive(self, alive: bool) -> None:
        consumer = self._parts[0]
        assert isinstance(consumer, Consumer)
        consumer.set_alive(alive)

    def note_read(self, ranges: list[Range]) -> None:
        """Records come into the process; at the limit of its heap it dies before anything else happens."""
        self._reads.extend(ranges)
        self._read += sum(end - first for first, end, _ in ranges)
        if self._spec.heap is not None and self.held_bytes > self._spec.heap:
            self.die(self._spec.restart_after)

    @property
    def held(self) -> int:
        """Records inside the process."""
        return self._read - (self._sink.count - self._delivered_before)

    @property
    def held_bytes(self) -> int:
        """Memory they take."""
        return self.held * self._bytes_each

    def die(self, restart_after: float | None) -> None:
        """The process ends at this instant, and is started again after a while, if ever."""
        if not self._dying:
            self._dying = True
            self.clock.call_at(self.clock.now, partial(self._fail, restart_after), URGENT)

    def crash(self) -> None:
        """Everything inside is forgotten, and the broker gives out again what was not committed."""
        now = self.clock.now
        self._mark("crash", float(self.held_bytes))
        inside = self._not_in_a_checkpoint()
        for part in self._parts:
            part.abandon(now)
        again = self._uncommitted(now) if inside is None else self._in_order_of_reading(inside)
        self.replayed += again
        self._broker.put_back(again, now)
        self._reads = []
        self._read = 0
        self._delivered_before = self._sink.count
        self._dying = False

    def restart(self) -> None:
        """The process is there again."""
        self._mark("restart", 0.0)
        self._set_alive(True)
        if self._flink is not None:
            self._flink.restart()

    def _uncommitted(self, now: float) -> list[tuple[int, int]]:
        """What was read from the first record on that was not done with (delivered or dropped) at the last commit, as
        ranges in the order of reading. Commits fall on multiples of the interval."""
        if not self._reads:
            return []
        commit = floor(now / self._spec.commit_interval) * self._spec.commit_interval
        done = (np.frombuffer(log, dtype=np.float64).reshape(-1, 3) for log in (self._sink.delivered, self._sink.dropped))
        log = np.concatenate(list(done))
        order = self._order()
        count = max(int(order.max()) + 1, int(log[:, 1].max(initial=0)))
        delivered: Column = cover_of(count, log[log[:, 2] <= commit, :2])[order] > 0
        return [] if delivered.all() else _ranges(order[int(np.argmin(delivered)) :])

    def _order(self) -> Column:
        """Records in the order of reading."""
        return np.concatenate([np.arange(first, end) for first, end, _ in self._reads])

    def _not_in_a_checkpoint(self) -> list[tuple[int, int]] | None:
        """What a Flink job reads again from its last completed checkpoint; None when it makes none."""
        taken = self._flink.uncommitted if self._flink is not None else None
        if taken is None or self._flink is None:
            return None
        consumer = self._parts[0]
        assert isinstance(consumer, Consumer)
        fetched = [(int(row[0]), int(row[0] + row[1])) for row in consumer.unfinished()]
        return taken + fetched + [(first, end) for first, end, _ in self._flink.inbox.ranges]

    def _in_order_of_reading(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        if not ranges:
            return []
        order = self._order()
        wanted = cover_of(int(order.max()) + 1, ranges)[order] > 0
        return _ranges(order[wanted])


def _ranges(order: Column) -> list[tuple[int, int]]:
    """Records as ranges of neighbours."""
    breaks = np.flatnonzero(np.diff(order) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(order, breaks) if len(run)]
