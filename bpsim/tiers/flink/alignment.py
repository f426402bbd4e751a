"""What a subtask does with the barriers of a checkpoint: waits for all of them, or lets them pass the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bpsim.kernel.clock import Clock
from bpsim.tiers.flink.buffers import Barrier
from bpsim.tiers.flink.gate import InputChannel, InputGate
from bpsim.tiers.flink.partition import ResultPartition


@dataclass(frozen=True)
class Ack:
    """What a subtask tells the coordinator. Seconds and bytes."""

    began: float
    """The first barrier was there."""
    aligned: float
    """The last one was."""
    persisted: int = 0
    """In-flight data that is part of the checkpoint (unaligned)."""


class Alignment:
    """The barriers of one subtask (SingleCheckpointBarrierHandler.java)."""

    def __init__(
        self,
        clock: Clock,
        gate: InputGate,
        outputs: Sequence[ResultPartition],
        unread: Callable[[], int],
        is_current: Callable[[int], bool],
        acknowledge: Callable[[int, Ack], None],
    ) -> None:
        self._clock = clock
        self._gate = gate
        self._outputs = outputs
        self._unread = unread
        self._is_current = is_current
        self._acknowledge = acknowledge
        self._done = 0
        self._checkpoint = 0
        self._seen: list[InputChannel] = []
        self._marks: dict[int, int] | None = None
        """Bytes that each channel without its barrier had received when the first barrier overtook the data."""
        self._began = 0.0
        self._persisted = 0

    def _first(self, checkpoint: int) -> None:
        if checkpoint != self._checkpoint:
            self._checkpoint = checkpoint
            self._began = self._clock._now
            self._seen = []
            self._marks = None
            self._persisted = 0

    def on_barrier(self, channel: InputChannel, barrier: Barrier) -> None:
        """One that has queued behind the data."""
        if not self._is_current(barrier.checkpoint) or self._done == barrier.checkpoint:
            channel.subpartition.resume()
            return
        self._first(barrier.checkpoint)
        self._seen.append(channel)
        if self._marks is not None:
            channel.subpartition.resume()
            self._complete_overtaking()
        elif len(self._seen) == len(self._gate.channels):
            barrier = Barrier(barrier.checkpoint, barrier.blocks)
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
            self._overtake()

    def switch(self, checkpoint: int) -> None:
        """The checkpoint has taken `aligned-checkpoint-timeout`: its barriers overtake the data from now on."""
        if self._done == checkpoint:
            extra = sum(output.overtake(checkpoint) for output in self._outputs)
            if extra:
                self._acknowledge(checkpoint, Ack(self._began, self._began, extra))
            return
        waiting = self._seen if self._checkpoint == checkpoint else []
        found = [channel for channel in self._gate.channels if channel.overtake(checkpoint)]
        if waiting or found:
            self._first(checkpoint)
            for channel in self._seen:
                channel.subpartition.resume()
            self._seen += found
            self._overtake()

    def _overtake(self) -> None:
        if self._marks is None:
            self._marks = {id(channel): channel.bytes_in for channel in self._gate.channels}
            self._persisted = self._unread() + sum(part.size for part in self._gate.received)
            for output in self._outputs:
                self._persisted += output.broadcast(Barrier(self._checkpoint, False, True))
        self._complete_overtaking()

    def _complete_overtaking(self) -> None:
        assert self._marks is not None
        channel = self._seen[-1]
        self._persisted += channel.bytes_in - self._marks[id(channel)]
        if len(self._seen) == len(self._gate.channels):
            self._finish()

    def _finish(self) -> None:
        self._done = self._checkpoint
        self._acknowledge(self._checkpoint, Ack(self._began, self._clock._now, self._persisted))

    def clear(self) -> None:
        """The job died."""
        self._checkpoint = self._done = 0
        self._seen = []
