"""The end of the job: what a sink subtask writes into."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from math import nan

import numpy as np

from bpsim.kernel.buffer import Buffer, Sink
from bpsim.streams import Floats
from bpsim.tiers.flink.subtask import Subtask


class End:
    """Where records leave the job: they are delivered when the sink is done with them."""

    available = True

    def __init__(self, entered: array[float], rows: Callable[[bytes], None], sink: Sink | None) -> None:
        self.subtask: Subtask
        self.records_out = 0
        self._entered = entered
        self._rows = rows
        self._sink = sink
        self._records: list[int] = []
        self._cursor = 0
        self.free_at = 0.0
        """When the subtask was done with the record before."""

    def begin(self, records: list[int]) -> None:
        """These are the next records."""
        self._records = records
        self._cursor = 0
        self.free_at = self.subtask.clock._now

    def next_turn(self) -> int:
        """No record needs attention."""
        return len(self._records)

    def write_upto(self, end: int) -> None:
        """Deliver the records before position `end`, each at the time it was done."""
        cursor = self._cursor
        finish = self.subtask.finish[cursor:end]
        self._deliver(self._records[cursor:end], [self.free_at, *finish[:-1]], finish)
        self._cursor = end
        self.free_at = finish[-1]

    def _deliver(self, records: list[int], started: list[float], done: list[float]) -> None:
        entered, count = self._entered, len(records)
        self.records_out += count
        rows = np.empty((count, 6))
        rows[:, 0] = records
        rows[:, 1] = 1.0
        rows[:, 2] = [entered[record] for record in records]
        rows[:, 3] = started
        rows[:, 4] = rows[:, 5] = done
        self._write_down(rows)

    def _write_down(self, rows: Floats) -> None:
        self._rows(rows.tobytes())
        if self._sink is not None:
            self._sink.put_each(rows[:, 0], rows[:, 5])

    def write_turn(self, position: int) -> bool:
        """Never asked for: no record needs attention."""
        raise AssertionError(f"record {position} of a sink that never waits")

    def go_on(self) -> bool:
        """Never asked for."""
        raise AssertionError("a sink that never waits")

    @property
    def pending(self) -> list[tuple[float, ...]]:
        """Rows of records it stands still with."""
        return []

    def clear(self) -> None:
        """Forget everything."""
        self._records = []
        self._cursor = 0


class TransactionalEnd(End):
    """An exactly-once sink: what was written since the last checkpoint becomes visible when that checkpoint is complete, and
    is rolled back when the job fails before (two-phase commit, TwoPhaseCommittingSink.java)."""

    def __init__(self, entered: array[float], rows: Callable[[bytes], None], sink: Sink) -> None:
        super().__init__(entered, rows, None)
        self._visible = sink
        self._open: list[Floats] = []
        self._sealed: dict[int, list[Floats]] = {}

    def _write_down(self, rows: Floats) -> None:
        self._open.append(rows)

    def seal(self, checkpoint: int) -> None:
        """The sink takes part in this checkpoint: its transaction is prepared."""
        self._sealed[checkpoint] = self._open
        self._open = []

    def commit(self, checkpoint: int) -> None:
        """The checkpoint is complete, and with it those before."""
        now = self.subtask.clock._now
        for number in [number for number in self._sealed if number <= checkpoint]:
            for rows in self._sealed.pop(number):
                rows[:, 5] = now
                self._rows(rows.tobytes())
                self._visible.put_each(rows[:, 0], rows[:, 5])

    @property
    def pending(self) -> list[tuple[float, ...]]:
        written = [*self._open, *(rows for sealed in self._sealed.values() for rows in sealed)]
        return [(*row[:5], nan) for rows in written for row in rows.tolist()]

    def clear(self) -> None:
        super().clear()
        self._open = []
        self._sealed = {}


class BlockingEnd(End):
    """Hands each record to the database's writer and waits, inside user code (busy), while that has no room."""

    def __init__(
        self, entered: array[float], rows: Callable[[bytes], None], outbox: Buffer, waiting: deque[BlockingEnd]
    ) -> None:
        super().__init__(entered, rows, None)
        self._outbox = outbox
        self._waiting = waiting
        self._held: tuple[int, float, float] | None = None

    def next_turn(self) -> int:
        """Every record needs attention."""
        return self._cursor

    def write_turn(self, position: int) -> bool:
        """Hand on the record at `position`; False: there is no room."""
        now = self.subtask.clock._now
        self._cursor = position + 1
        self._held = self._records[position], self.free_at, now
        if self._waiting:
            self._wait()
            return False
        return self.go_on()

    def go_on(self) -> bool:
        """Hand on the record at hand, if there is room."""
        assert self._held is not None
        if self._outbox.room <= 0:
            self._wait()
            return False
        (record, started, served), now = self._held, self.subtask.clock._now
        self._held = None
        self.free_at = now
        self.records_out += 1
        self._rows(np.array([record, 1, self._entered[record], started, served, now]).tobytes())
        self._outbox.put(record, record + 1, now)
        return True

    def _wait(self) -> None:
        self._waiting.append(self)
        self._outbox.wanted = True

    @property
    def pending(self) -> list[tuple[float, ...]]:
        if self._held is None:
            return []
        record, started, served = self._held
        return [(record, 1, self._entered[record], started, served, nan)]

    def clear(self) -> None:
        super().clear()
        self._held = None
