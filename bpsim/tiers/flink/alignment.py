"""What a subtask does with the barriers of a checkpoint: waits for all of them, or lets them pass the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bpsim.kernel.clock import Clock
from bpsim.tiers.flink.buffers import Barrier, InFlight
from bpsim.tiers.flink.gate import InputChannel, InputGate
from bpsim.tiers.flink.partition import ResultPartition


@dataclass(frozen=True)
class Ack:
    """What a subtask tells the coordinator. Seconds and bytes."""

    began: float
    """The first barrier was there."""
    aligned: float
    """The last one was."""
    persisted: InFlight | None = None
    """In-flight data that is part of the checkpoint (unaligned)."""
    state: InFlight | None = None
    """Records that the operator had in hand at the barrier."""


class Alignment:
    """The barriers of one subtask (SingleCheckpointBarrierHandler.java)."""

    def __init__(
        self,
        clock: Clock,
        gate: InputGate,
        outputs: Sequence[ResultPartition],
        unread: Callable[[], InFlight],
        state: Callable[[], InFlight],
        flush: Callable[[Callable[[], None]], None],
        is_current: Callable[[int], bool],
        acknowledge: Callable[[int, Ack], None],
    ) -> None:
        self._clock = clock
        self._gate = gate
        self._outputs = outputs
        self._unread = unread
        self._state_now = state
        self._flush = flush
        self._state: InFlight | None = None
        """The operator's, once a barrier has overtaken data."""
        self._is_current = is_current
        self._acknowledge = acknowledge
        self._done = 0
        self._checkpoint = 0
        self._seen: list[InputChannel] = []
        self._began = 0.0
        self._persisted: InFlight | None = None
        """What barriers have overtaken, once the first has."""

    def _first(self, checkpoint: int) -> None:
        if checkpoint != self._checkpoint:
            self._checkpoint = checkpoint
            self._began = self._clock._now
            self._seen = []
            self._persisted = self._state = None

    def on_barrier(self, channel: InputChannel, barrier: Barrier) -> None:
        """One that has queued behind the data."""
        if not self._is_current(barrier.checkpoint) or self._done == barrier.checkpoint:
            channel.subpartition.resume()
            return
        self._first(barrier.checkpoint)
        self._seen.append(channel)
        if self._persisted is not None:
            channel.subpartition.resume()
            self._overtake([channel])
        elif len(self._seen) == len(self._gate.channels):
            self._flush(lambda: self._pass(Barrier(barrier.checkpoint, barrier.blocks)))

    def _pass(self, barrier: Barrier) -> None:
        """All barriers are there, and the operator has no more to wait for."""
        for output in self._outputs:
            output.broadcast(barrier)
        self._finish()
        for seen in self._seen:
            seen.subpartition.resume()

    def on_overtaking(self, channel: InputChannel, barrier: Barrier) -> None:
        """One that has come in front of all data."""
        if self._is_current(barrier.checkpoint) and self._done != barrier.checkpoint:
            self._first(barrier.checkpoint)
            self._seen.append(channel)
            self._overtake([channel])

    def switch(self, checkpoint: int) -> None:
        """The checkpoint has taken `aligned-checkpoint-timeout`: its barriers overtake the data from now on."""
        if self._done == checkpoint:
            for output in self._outputs:
                self._acknowledge(checkpoint, Ack(self._began, self._began, output.overtake(checkpoint)))
            return
        waiting = self._seen if self._checkpoint == checkpoint else []
        found = [channel for channel in self._gate.channels if channel.overtake(checkpoint)]
        if waiting or found:
            self._first(checkpoint)
            for channel in self._seen:
                channel.subpartition.resume()
            self._seen += found
            self._overtake(self._seen)

    def abort(self, checkpoint: int) -> None:
        """The checkpoint has expired: channels that wait for the barriers of others go on."""
        if self._checkpoint == checkpoint and self._done != checkpoint:
            self._done = checkpoint
            for channel in self._gate.channels:
                channel.recording = None
            for channel in self._seen:
                channel.subpartition.resume()

    def _overtake(self, channels: Sequence[InputChannel]) -> None:
        """The barriers of these channels have overtaken their data."""
        if self._persisted is None:
            self._persisted, self._state = self._unread(), self._state_now()
            for part in self._gate.received:
                self._persisted.add(part)
            for output in self._outputs:
                self._persisted.add(output.broadcast(Barrier(self._checkpoint, False, True)))
            for channel in self._gate.channels:
                channel.recording = InFlight()
        for channel in channels:
            if channel.recording is not None:
                self._persisted.add(channel.recording)
                channel.recording = None
        if len(self._seen) == len(self._gate.channels):
            self._finish()

    def _finish(self) -> None:
        self._done = self._checkpoint
        state = self._state_now() if self._persisted is None else self._state
        self._acknowledge(self._checkpoint, Ack(self._began, self._clock._now, self._persisted, state))

    def clear(self) -> None:
        """The job died."""
        self._checkpoint = self._done = 0
        self._seen = []
        self._persisted = self._state = None
