"""The checkpoint coordinator: triggers, waits for every subtask, gives up after a time (CheckpointCoordinator.java)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import nan

from bpsim.kernel.clock import Clock
from bpsim.result import Ended
from bpsim.streams import Streams, to_grid
from bpsim.tiers.flink.alignment import Ack, Alignment
from bpsim.tiers.flink.async_io import AsyncWait
from bpsim.tiers.flink.async_sink import AsyncSinkEnd
from bpsim.tiers.flink.buffers import Barrier, InFlight, Place
from bpsim.tiers.flink.conf import Checkpointing
from bpsim.tiers.flink.ends import TransactionalEnd
from bpsim.tiers.flink.jobgraph import JobGraph
from bpsim.tiers.flink.operator import OperatorSubtask
from bpsim.tiers.flink.subtask import Output, Subtask


@dataclass(frozen=True)
class Snapshots:
    """What a checkpoint has to write."""

    state_bytes: list[int]
    """By subtask."""
    storage: float | None = None
    """Bytes a second that one subtask writes of its state and of in-flight data; None: it takes no time."""


@dataclass(frozen=True)
class Hands:
    """Who is told."""

    on_source: Callable[[int, int], None] = lambda source, number: None
    """(subtask, checkpoint): a source sends its barriers."""
    on_complete: Callable[[Checkpoint], None] = lambda checkpoint: None
    on_failure: Callable[[], None] = lambda: None
    """More checkpoints in a row have failed than is tolerated."""


@dataclass
class Checkpoint:
    """One checkpoint; a row of the table `checkpoints`. Seconds and bytes."""

    number: int
    triggered: float
    waits_for: set[int]
    ended: float = nan
    how: Ended = Ended.IN_PROGRESS
    start_delay: float = 0.0
    """Longest time from the trigger to a subtask's first barrier."""
    alignment: float = 0.0
    """Longest time from a subtask's first barrier to its last."""
    written: int = 0
    """Bytes of state, beside `state`."""
    writing: int = 0
    """Subtasks that write."""
    state: InFlight = field(default_factory=InFlight)
    """What operators had in hand."""
    persisted: InFlight = field(default_factory=InFlight)
    sent: InFlight = field(default_factory=InFlight)

    @property
    def persisted_bytes(self) -> int:
        """Of in-flight data."""
        return self.persisted.size + self.sent.size

    @property
    def state_bytes(self) -> int:
        """Of the operators."""
        return self.written + self.state.size

    @property
    def in_flight(self) -> dict[Place, list[int]]:
        """With which every subtask begins when the job is restored, what was furthest first."""
        found = InFlight()
        for part in (self.state, self.persisted, self.sent):
            found.merge(part)
        return found.records


class Coordinator:
    """Triggers checkpoints of a job, one at a time."""

    def __init__(
        self,
        clock: Clock,
        graph: JobGraph,
        options: Checkpointing,
        streams: Streams,
        snapshots: Snapshots,
        hands: Hands | None = None,
    ) -> None:
        self.clock = clock
        self.done: list[Checkpoint] = []
        self.failures = 0
        """Checkpoints in a row that failed."""
        self._options = options
        self._hands = hands or Hands()
        self._current: Checkpoint | None = None
        self._number = 0
        self._round = 0
        self._overdue = False
        self._delays = streams.rng("flink.checkpoints")
        self.deploy(graph, snapshots)
        self._schedule_first()

    def deploy(self, graph: JobGraph, snapshots: Snapshots) -> None:
        """From its next checkpoint on it takes them of this graph."""
        self._snapshots = snapshots
        self._subtasks = graph.subtasks
        self._alignments = [self._alignment(index, subtask) for index, subtask in enumerate(self._subtasks)]

    def _alignment(self, index: int, subtask: Subtask) -> Alignment:
        alignment = Alignment(
            self.clock,
            subtask.channels,
            subtask.partitions,
            lambda: subtask.unread,
            lambda checkpoint: _snapshot(subtask.output, checkpoint),
            lambda then: output.flush(then) if isinstance(output := subtask.output, AsyncSinkEnd) else then(),
            self.is_current,
            lambda checkpoint, ack: self._write(index, checkpoint, ack),
        )
        if isinstance(subtask, OperatorSubtask):
            subtask.on_barrier = alignment.on_barrier
            for gate in subtask.gates:
                gate.on_overtaking = lambda channel, barrier: subtask.post(lambda: alignment.on_overtaking(channel, barrier))
        return alignment

    def is_current(self, checkpoint: int) -> bool:
        """Whether it is still wanted."""
        return self._current is not None and self._current.number == checkpoint

    def _schedule_first(self) -> None:
        """By chance within an interval, as Flink does."""
        options = self._options
        delay = float(self._delays.uniform(options.min_pause, max(options.min_pause, options.interval)))
        self.clock.call_small(self.clock._now + to_grid(delay), self._due, self._round)

    def _due(self, round_: int) -> None:
        if round_ != self._round:
            return
        self.clock.call_small(self.clock._now + to_grid(self._options.interval), self._due, round_)
        if any(subtask.restoring for subtask in self._subtasks):
            return
        if self._current is None and self._rested:
            self._trigger()
        else:
            self._overdue = True

    @property
    def _rested(self) -> bool:
        since = self.done[-1].ended if self.done else -self._options.min_pause
        return self.clock._now - since >= self._options.min_pause

    def _trigger(self) -> None:
        options, now = self._options, self.clock._now
        self._overdue = False
        self._number += 1
        number = self._number
        self._current = Checkpoint(number, now, set(range(len(self._subtasks))), written=sum(self._snapshots.state_bytes))
        self.clock.call_small(now + to_grid(options.timeout), self._expire, number)
        if options.unaligned and options.aligned_timeout:
            self.clock.call_small(now + to_grid(options.aligned_timeout), self._switch, number)
        for index, subtask in enumerate(self._subtasks):
            if not isinstance(subtask, OperatorSubtask):
                subtask.post(partial(self._emit, index, number))

    def _emit(self, index: int, number: int) -> None:
        """A source sends the barriers off."""
        if not self.is_current(number):
            return
        assert self._current is not None
        options = self._options
        late = self.clock._now - self._current.triggered >= options.aligned_timeout
        overtakes = options.unaligned and late
        self._hands.on_source(index, number)
        self._alignments[index].inject(Barrier(number, options.exactly_once and not overtakes, overtakes))

    def _switch(self, number: int) -> None:
        if not self.is_current(number):
            return
        for alignment, subtask in zip(self._alignments, self._subtasks, strict=True):
            subtask.post(partial(self._switch_one, alignment, number))

    def _switch_one(self, alignment: Alignment, number: int) -> None:
        if self.is_current(number):
            alignment.switch(number)

    def _write(self, index: int, number: int, ack: Ack) -> None:
        """A subtask writes its state, in the background, and then says so."""
        if self._current is not None and self._current.number == number:
            self._current.writing += 1
        rate = self._snapshots.storage
        if rate is None:
            self._acknowledge((index, number, ack))
        else:
            state = 0 if ack.further else self._snapshots.state_bytes[index]
            takes = to_grid((state + ack.state.size + ack.persisted.size + ack.sent.size) / rate)
            self.clock.call_small(self.clock._now + takes, self._acknowledge, (index, number, ack))

    def _acknowledge(self, said: tuple[int, int, Ack]) -> None:
        index, number, ack = said
        current = self._current
        if current is None or current.number != number:
            return
        current.start_delay = max(current.start_delay, ack.began - current.triggered)
        current.alignment = max(current.alignment, ack.aligned - ack.began)
        current.state.merge(ack.state)
        current.persisted.merge(ack.persisted)
        current.sent.merge(ack.sent)
        current.waits_for.discard(index)
        current.writing -= 1
        if not current.waits_for and not current.writing:
            self.failures = 0
            self._end(Ended.COMPLETED)
            self._hands.on_complete(current)
            self._go_on()

    def _go_on(self) -> None:
        if self._overdue and self._current is None:
            pause = 0.0 if self._rested else self.done[-1].ended + self._options.min_pause - self.clock._now
            self.clock.call_small(self.clock._now + pause, self._make_up, self._round)

    def _make_up(self, round_: int) -> None:
        if self._overdue and self._current is None and round_ == self._round:
            self._trigger()

    def _expire(self, number: int) -> None:
        if not self.is_current(number):
            return
        self._end(Ended.EXPIRED)
        for alignment, subtask in zip(self._alignments, self._subtasks, strict=True):
            subtask.post(partial(alignment.abort, number))
        self.failures += 1
        if self.failures > self._options.tolerable_failures:
            self._hands.on_failure()
        else:
            self._go_on()

    def _end(self, how: Ended) -> None:
        current = self._current
        assert current is not None
        current.ended = self.clock._now
        current.how = how
        self.done.append(current)
        self._current = None

    def clear(self) -> None:
        """The job died: what is under way is aborted, and nothing is triggered before `restart`."""
        if self._current is not None:
            self._end(Ended.ABORTED)
        self._round += 1
        self._overdue = False
        self.failures = 0
        for alignment in self._alignments:
            alignment.clear()

    def restart(self) -> None:
        """The job runs again."""
        self._schedule_first()

    @property
    def all(self) -> list[Checkpoint]:
        """Those that ended, and the one under way."""
        return self.done + ([self._current] if self._current is not None else [])


def _snapshot(output: Output, checkpoint: int) -> InFlight:
    """What the checkpoint keeps of an operator, at this moment."""
    if isinstance(output, TransactionalEnd):
        output.seal(checkpoint)
    return output.state if isinstance(output, AsyncWait | AsyncSinkEnd) else InFlight()
