"""Sources: one that reads what the consumer fetched (FLIP-27), and one that makes records at a rate."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from bpsim.kernel.buffer import Buffer
from bpsim.kernel.clock import Clock
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.times import Spent

AT_ONCE = 512
"""Records looked ahead at; their times do not depend on it."""
ELEMENTS = 2
"""source.reader.element.queue.capacity: batches of one poll between the fetcher and the reader."""


class QueueSource(Subtask):
    """Emits the records of the element queue; while it cannot, the queue fills and the fetcher blocks."""

    def __init__(
        self,
        clock: Clock,
        output: Output,
        work: Callable[[list[int]], list[float]],
        queue: Buffer,
        batch: int,
        entered: array[float],
        rate_limit: float | None = None,
    ) -> None:
        super().__init__(clock, output, work, rate_limit)
        self._queue = queue
        self._batch = batch
        self._entered = entered
        self._epochs: dict[int, list[tuple[int, int]]] = {0: []}
        """By checkpoint, what was taken after its barrier and is in none yet, as ranges."""

    def on_item(self) -> None:
        """There is something in the queue."""
        if self.time.now_in == Spent.IDLE:
            self.clock.call_small(self.clock._now, self.wake, None)

    def fetch(self) -> bool:
        queue, entered = self._queue, self._entered
        if not queue.held:
            return False
        records: list[int] = []
        epoch = next(reversed(self._epochs.values()))
        for first, end, since in queue.take(self._batch):
            if end > len(entered):
                entered.extend([0.0] * (2 * end - len(entered)))
            entered[first:end] = array("d", [since]) * (end - first)
            records += range(first, end)
            epoch.append((first, end))
        self.take(records)
        queue.made_room()
        return True

    def begin_epoch(self, checkpoint: int) -> None:
        """The barrier goes off: records not yet emitted are after it."""
        self._epochs[checkpoint] = [(record, record + 1) for record in self.records[self.position :]]

    def complete(self, checkpoint: int) -> None:
        """The checkpoint is complete: what came before its barrier is never read again."""
        self._epochs = {number: taken for number, taken in self._epochs.items() if number >= checkpoint}

    @property
    def uncommitted(self) -> list[tuple[int, int]]:
        """What a job that fails now has to read again of what this source took."""
        return [taken for epoch in self._epochs.values() for taken in epoch]

    def clear(self) -> None:
        super().clear()
        self._epochs = {0: []}


class GeneratorSource(Subtask):
    """Makes `rate` records a second, numbered first, first + step, …; what back pressure held back of the last second is
    made up for (RateLimiterStrategy.perSecond)."""

    def __init__(self, clock: Clock, output: Output, rate: float, first: int, step: int, entered: array[float]) -> None:
        super().__init__(clock, output, lambda records: [0.0] * len(records), rate)
        self._next = first
        self._step = step
        self._entered = entered
        clock.call_small(clock._now, self.wake, None)

    def fetch(self) -> bool:
        first, self._next = self._next, self._next + AT_ONCE * self._step
        if self._next > len(self._entered):
            self._entered.extend([0.0] * (2 * self._next - len(self._entered)))
        self.take(list(range(first, self._next, self._step)))
        return True

    def plan(self, first: float | None) -> None:
        super().plan(first)
        self._entered[self.records[self.position] : self.records[-1] + 1 : self._step] = array(
            "d", self.finish[self.position :]
        )

    def spent(self, now: float) -> list[float]:
        """Waiting for the next permit is idle."""
        idle, busy, soft, hard = super().spent(now)
        return [idle + busy, 0.0, soft, hard]
