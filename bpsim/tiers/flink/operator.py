"""The subtasks of an operator behind an exchange, and its debloating."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpsim.kernel.clock import Clock
from bpsim.streams import to_grid
from bpsim.tiers.flink.buffers import Barrier, InFlight, Slice
from bpsim.tiers.flink.debloat import BufferDebloater, Debloating
from bpsim.tiers.flink.gate import InputChannel, InputGate, UnionInputGate
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.times import Spent


class OperatorSubtask(Subtask):
    """A subtask that reads buffers from its input gates."""

    def __init__(
        self,
        clock: Clock,
        output: Output,
        work: Callable[[list[int]], list[float]],
        gates: Sequence[InputGate],
        debloating: Debloating | None,
        rate_limit: float | None = None,
    ) -> None:
        super().__init__(clock, output, work, rate_limit)
        self.gates = gates
        self.channels = [channel for gate in gates for channel in gate.channels]
        self.bytes_in = 0
        self.on_barrier: Callable[[InputChannel, Barrier], None]
        """A barrier has queued behind the data, and it is its turn."""
        self.debloaters: list[tuple[BufferDebloater, Sequence[InputGate]]] = []
        """And the gates each decides for."""
        self._input = gates[0] if len(gates) == 1 else UnionInputGate(gates)
        self._input.on_item = self._on_item
        self._reading: tuple[InputChannel, Slice] | None = None
        self._over = False
        self._pauses = False
        if debloating is not None:
            self._begin_debloating(debloating)

    def _begin_debloating(self, debloating: Debloating) -> None:
        """A union does not ask a gate again that has run dry, so its gates count the time without input, too."""
        together = [[gate] for gate in self.gates] if debloating.per_gate else [self.gates]
        self._pauses = len(together) == 1
        for gates in together:
            meter = debloating.meter()
            for gate in gates:
                gate.meter = meter
            self.debloaters.append((debloating.debloater(), gates))
        self._period = to_grid(debloating.period)
        self.clock.call_small(self.clock._now + self._period, self._due, None)

    def _on_item(self) -> None:
        if self.time.now_in == Spent.IDLE:
            self.clock.call_small(self.clock._now, self.wake, None)

    def fetch(self) -> bool:
        source, now = self._input, self.clock._now
        while (found := source.poll()) is not None:
            channel, element = found
            if isinstance(element, Barrier):
                self.on_barrier(channel, element)
                if self.standing:
                    return False
                continue
            self.bytes_in += element.size
            if (meter := channel.gate.meter) is not None:
                meter.incoming(now, element.size)
            self._reading = channel, element
            if element.records:
                self.take(element.records, not element.ends_in_record)
                return True
            self.release()
        if self._pauses and (meter := self.gates[0].meter) is not None:
            meter.pause(now)
        return False

    def release(self) -> None:
        if self._reading is not None:
            channel, part = self._reading
            self._reading = None
            channel.release(part)

    @property
    def unread(self) -> InFlight:
        unread, records, size = InFlight(), self.records[self.position :], 0
        if self._reading is not None and self.records:
            size = self._reading[1].size * len(records) // len(self.records)
        unread.add(self.place, records, size)
        return unread

    def _due(self, _: object) -> None:
        if not self._over:
            self.post(self._debloat)

    def stop(self) -> None:
        """The task is gone for good."""
        self._over = True

    def _debloat(self) -> None:
        """Decide how much a buffer should hold, and begin the next period."""
        now = self.clock._now
        for debloater, gates in self.debloaters:
            meter = gates[0].meter
            assert meter is not None
            size = debloater.recalculate(meter.calculate(now), sum(max(1, gate.in_use) for gate in gates))
            if size is not None:
                for gate in gates:
                    gate.announce(size)
        self.clock.call_small(now + self._period, self._due, None)

    def clear(self) -> None:
        super().clear()
        self._reading = None
        for gate in self.gates:
            gate.clear()
        self._input.clear()
