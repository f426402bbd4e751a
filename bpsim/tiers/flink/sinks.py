"""The ends of a job: that of the last operator, whose writing delivers a record, and those of sinks beside it."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bpsim.distributions import Distribution
from bpsim.kernel.buffer import Buffer, Sink
from bpsim.result import Table
from bpsim.tiers.flink.async_io import Service
from bpsim.tiers.flink.async_sink import AsyncSinkEnd, Destination
from bpsim.tiers.flink.ends import BlockingEnd, End, TransactionalEnd
from bpsim.tiers.flink.graph import OperatorSpec

Law = Callable[[str, Distribution], Callable[[int], float] | float]
"""(what takes the time, how long) -> seconds by record; a number when they are all the same."""


@dataclass(frozen=True)
class SideSink:
    """What a sink beside the last operator has written: copies of records, which the ledger of the pipeline does not know."""

    sink: Sink = field(default_factory=Sink)
    rows: array[float] = field(default_factory=lambda: array("d"))
    """As in `hops`: record, 1, entered the job, started, served, written."""


class Sinks:
    """Makes the ends of a job that runs once; what the sinks beside have written stays."""

    def __init__(
        self,
        law: Law,
        entered: array[float],
        outbox: Buffer,
        rows: Callable[[bytes], None],
        exactly_once: bool,
        beside: dict[str, SideSink],
    ) -> None:
        self._law = law
        self._entered = entered
        self._outbox = outbox
        self._rows = rows
        self._exactly_once = exactly_once
        self._beside = beside
        self._waiting: deque[BlockingEnd] = deque()
        self.ends: list[End] = []
        self.main: list[End] = []
        """Those of the last operator."""
        outbox.on_room = self._on_room

    def of(self, operator: OperatorSpec, record_bytes: int, is_main: bool) -> Callable[[], End]:
        """Makes the ends of an operator that nobody reads."""
        outbox, rows = self._outbox, self._rows
        if not is_main:
            side = self._beside.setdefault(operator.name, SideSink())
            outbox, rows = side.sink, side.rows.frombytes
        make = self._maker(operator, record_bytes, outbox, rows)

        def end() -> End:
            made = make()
            self.ends.append(made)
            if is_main:
                self.main.append(made)
            return made

        return end

    def _maker(
        self, operator: OperatorSpec, record_bytes: int, outbox: Buffer, rows: Callable[[bytes], None]
    ) -> Callable[[], End]:
        entered, spec = self._entered, operator.async_sink
        if not isinstance(outbox, Sink):
            return lambda: BlockingEnd(entered, rows, outbox, self._waiting)
        sink = outbox
        if spec is not None:
            service = Service(lambda what: self._law(f"{operator.name}.{what}", spec.latency))
            destination = Destination(spec, service.latency)
            return lambda: AsyncSinkEnd(entered, rows, sink, spec, destination, record_bytes)
        kind = TransactionalEnd if self._exactly_once else End
        return lambda: kind(entered, rows, sink)

    def _on_room(self) -> None:
        outbox, waiting = self._outbox, self._waiting
        for _ in range(len(waiting)):
            if outbox.room <= 0:
                break
            waiting.popleft().subtask.look_again()
        outbox.wanted |= bool(waiting)

    def clear(self) -> None:
        """The job died: forget everything inside."""
        self._waiting.clear()
        for end in self.ends:
            end.clear()


def side_table(beside: dict[str, SideSink]) -> Table:
    """The table `side_sinks`."""
    flat = [np.array(side.rows).reshape(-1, 6) for side in beside.values()]
    rows = np.concatenate([np.empty((0, 6)), *flat])
    return {
        "operator": np.repeat(np.array(list(beside), dtype=object), np.array([len(part) for part in flat], dtype=np.int64)),
        "record": rows[:, 0].astype(np.int32),
        "entered_s": rows[:, 2],
        "started_s": rows[:, 3],
        "written_s": rows[:, 5],
    }
