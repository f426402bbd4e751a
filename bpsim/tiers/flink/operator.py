"""The subtasks of an operator behind an exchange, and its debloating."""

from __future__ import annotations

from collections.abc import Callable

from bpsim.kernel.clock import Clock
from bpsim.streams import to_grid
from bpsim.tiers.flink.buffers import Barrier, InFlight, Slice
from bpsim.tiers.flink.debloat import Debloating
from bpsim.tiers.flink.gate import InputChannel, InputGate
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.times import Spent


class OperatorSubtask(Subtask):
    """A subtask that reads buffers from its input gate."""

    def __init__(
        self,
        clock: Clock,
        output: Output,
        work: Callable[[list[int]], list[float]],
        gate: InputGate,
        debloating: Debloating | None,
        rate_limit: float | None = None,
    ) -> None:
        super().__init__(clock, output, work, rate_limit)
        self.gate = gate
        self.channels = gate.channels
        self.bytes_in = 0
        self.on_barrier: Callable[[InputChannel, Barrier], None]
        """A barrier has queued behind the data, and it is its turn."""
        self.debloater = debloating.debloater() if debloating else None
        self._reading: tuple[InputChannel, Slice] | None = None
        self._over = False
        gate.on_item = self._on_item
        if debloating is not None:
            self._meter = debloating.meter()
            self._period = to_grid(debloating.period)
            clock.call_small(clock._now + self._period, self._due, None)

    def _on_item(self) -> None:
        if self.time.now_in == Spent.IDLE:
            self.clock.call_small(self.clock._now, self.wake, None)

    def fetch(self) -> bool:
        gate, now = self.gate, self.clock._now
        while (found := gate.poll()) is not None:
            channel, element = found
            if isinstance(element, Barrier):
                self.on_barrier(channel, element)
                if self.standing:
                    return False
                continue
            self.bytes_in += element.size
            if self.debloater is not None:
                self._meter.incoming(now, element.size)
            self._reading = found[0], element
            if element.records:
                self.take(element.records, not element.ends_in_record)
                return True
            self.release()
        if self.debloater is not None:
            self._meter.pause(now)
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
        assert self.debloater is not None
        now = self.clock._now
        size = self.debloater.recalculate(self._meter.calculate(now), self.gate.in_use)
        if size is not None:
            self.gate.announce(size)
        self.clock.call_small(now + self._period, self._due, None)

    def clear(self) -> None:
        super().clear()
        self._reading = None
        self.gate.clear()
