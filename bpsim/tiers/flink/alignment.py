"""What a subtask does with the barriers of a checkpoint: waits for all of them, or lets them pass the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bpsim.kernel.clock import Clock
from bpsim.tiers.flink.buffers import Barrier, InFlight
from bpsim.tiers.flink.gate import InputChannel
from bpsim.tiers.flink.partition import ResultPartition


@dataclass(frozen=True)
class Ack:
    """What a subtask tells the coordinator. Seconds and bytes."""

    began: float
    """The first barrier was there."""
    aligned: float
    """The last one was."""
    state: InFlight
    """Records that the operator had in hand at the barrier."""
    persisted: InFlight
    """In-flight data that is part of the checkpoint (unaligned), of the inputs."""
    sent: InFlight
    """The same, of the outputs."""
    further: bool = False
    """Whether it only adds to what the subtask has said before."""


class Alignment:
    """The barriers of one subtask (SingleCheckpointBarrierHandler.java)."""

    def __init__(
        self,
        clock: Clock,
        channels: Sequence[InputChannel],
        outputs: Sequence[ResultPartition],
        unread: Callable[[], InFlight],
        snapshot: Callable[[int], InFlight],
        flush: Callable[[Callable[[], None]], None],
        is_current: Callable[[int], bool],
        acknowledge: Callable[[int, Ack], None],
    ) -> None:
        self._clock = clock
        self._channels = channels
        self._outputs = outputs
        self._unread = unread
        self._snapshot = snapshot
        self._flush = flush
        self._is_current = is_current
        self._acknowledge = acknowledge
        self._done = 0
        self._checkpoint = 0
        self._seen: list[InputChannel] = []
        self._began = 0.0
        self._ack: Ack | None = None
        """What there is to say so far, once a barrier has overtaken data."""

    def _first(self, checkpoint: int) -> None:
        if checkpoint != self._checkpoint:
            self._checkpoint = checkpoint
            self._began = self._clock._now
            self._seen = []
            self._ack = None

    def inject(self, barrier: Barrier) -> None:
        """A source's checkpoint begins here."""
        self._first(barrier.checkpoint)
        self._flush(lambda: self._pass(barrier))

    def on_barrier(self, channel: InputChannel, barrier: Barrier) -> None:
        """One that has queued behind the data."""
        if not self._is_current(barrier.checkpoint) or self._done == barrier.checkpoint:
            channel.subpartition.resume()
            return
        self._first(barrier.checkpoint)
        self._seen.append(channel)
        if self._ack is not None:
            self._overtake([channel])
            channel.subpartition.resume()
        elif len(self._seen) == len(self._channels):
            self._flush(lambda: self._pass(Barrier(barrier.checkpoint, barrier.blocks)))

    def _pass(self, barrier: Barrier) -> None:
        """All barriers are there, and the operator has no more to wait for."""
        state = self._snapshot(barrier.checkpoint)
        self._ack = Ack(self._began, self._clock._now, state, InFlight(), self._broadcast(barrier))
        self._finish(self._ack)
        for seen in self._seen:
            seen.subpartition.resume()

    def _broadcast(self, barrier: Barrier) -> InFlight:
        """Returns what it overtakes of the outputs."""
        overtaken = InFlight()
        for output in self._outputs:
            overtaken.merge(output.broadcast(barrier))
        return overtaken

    def on_overtaking(self, channel: InputChannel, barrier: Barrier) -> None:
        """One that has come in front of all data."""
        if self._is_current(barrier.checkpoint) and self._done != barrier.checkpoint:
            self._first(barrier.checkpoint)
            self._seen.append(channel)
            self._overtake([channel])
        else:
            channel.journal.forget(barrier.checkpoint)

    def switch(self, checkpoint: int) -> None:
        """The checkpoint has taken `aligned-checkpoint-timeout`: its barriers overtake the data from now on."""
        if self._done == checkpoint:
            self._overtake_sent(checkpoint)
            return
        waiting = list(self._seen) if self._checkpoint == checkpoint else []
        found = [channel for channel in self._channels if channel.overtake(checkpoint)]
        if waiting or found:
            self._first(checkpoint)
            self._seen += found
            self._overtake(self._seen)
            for channel in (*waiting, *found):
                channel.subpartition.resume()

    def _overtake_sent(self, checkpoint: int) -> None:
        """The barriers that wait in the outputs overtake what is before them there."""
        sent = InFlight()
        for output in self._outputs:
            sent.merge(output.overtake(checkpoint))
        if sent.records or sent.size:
            self._acknowledge(checkpoint, Ack(self._began, self._began, InFlight(), InFlight(), sent, True))

    def abort(self, checkpoint: int) -> None:
        """The checkpoint has expired: channels that wait for the barriers of others go on."""
        for channel in self._channels:
            channel.journal.forget(checkpoint)
        if self._checkpoint == checkpoint and self._done != checkpoint:
            self._done = checkpoint
            for channel in self._seen:
                channel.subpartition.resume()

    def _overtake(self, channels: Sequence[InputChannel]) -> None:
        """The barriers of these channels have overtaken their data."""
        if self._ack is None:
            for channel in self._channels:
                channel.journal.begin(self._checkpoint, channel.received)
            overtaken = self._broadcast(Barrier(self._checkpoint, False, True))
            state = self._snapshot(self._checkpoint)
            self._ack = Ack(self._began, self._clock._now, state, self._unread(), overtaken)
        for channel in channels:
            for part in channel.journal.close():
                self._ack.persisted.add(channel.place, part.records, part.size)
        if len(self._seen) == len(self._channels):
            self._finish(replace(self._ack, aligned=self._clock._now))

    def _finish(self, ack: Ack) -> None:
        self._done = self._checkpoint
        self._acknowledge(self._checkpoint, ack)

    def clear(self) -> None:
        """The job died."""
        self._checkpoint = self._done = 0
        self._seen = []
        self._ack = None
