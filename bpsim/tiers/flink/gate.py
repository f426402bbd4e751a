"""The gates a task reads its input channels through, and what a checkpoint keeps of a channel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from bpsim.kernel.buffer import nothing
from bpsim.tiers.flink.buffers import Barrier, Place, Slice, Subpartition
from bpsim.tiers.flink.debloat import ThroughputMeter

Element = Slice | Barrier


class InputChannel(Protocol):
    """One sender's channel."""

    subpartition: Subpartition
    gate: InputGate
    place: Place
    """Whose it is."""
    ready: bool
    journal: Journal
    """Of what a checkpoint has to keep."""

    def poll(self) -> Element | None:
        """The next element for the task."""

    def release(self, part: Slice) -> None:
        """The task has read it."""

    def has_data(self) -> bool:
        """Whether `poll` would find something."""

    def clear(self) -> None:
        """Forget everything."""

    def on_data(self) -> None:
        """The sender may have something."""

    def overtake(self, checkpoint: int) -> bool:
        """Take a checkpoint's barrier out of the line, if it is there."""

    @property
    def in_use(self) -> int:
        """Buffers that count for debloating."""

    @property
    def received(self) -> list[Slice]:
        """Buffers of this side that wait to be read."""


class Borrower(Protocol):
    """A channel that needs floating buffers."""

    def offer(self) -> bool:
        """Whether it takes one that has become free."""


class Journal:
    """What a checkpoint has to keep of a channel, once barriers have overtaken data: what its task has not begun of all that
    came before the channel's own barrier (ChannelStatePersister.java)."""

    __slots__ = ("_checkpoint", "_kept", "_open")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._checkpoint, self._open = 0, False
        self._kept: list[Slice] = []

    def begin(self, checkpoint: int, received: list[Slice]) -> None:
        """The task has heard of a barrier, of whichever channel: what comes in from now on is kept, too."""
        if checkpoint != self._checkpoint:
            self._checkpoint, self._kept, self._open = checkpoint, received, True

    def add(self, part: Slice) -> None:
        """This has come in."""
        if self._open:
            self._kept.append(part)

    def on_barrier(self, checkpoint: int, received: list[Slice]) -> None:
        """The channel's own barrier has come in front of all data, and what follows is after it."""
        self.begin(checkpoint, received)
        self._open = False

    def close(self) -> list[Slice]:
        """All of it; the channel's barrier has come."""
        self._open = False
        kept, self._kept = self._kept, []
        return kept

    def forget(self, checkpoint: int) -> None:
        """That checkpoint is not wanted any more."""
        if checkpoint == self._checkpoint:
            self.close()


class InputGate:
    """A task's channels from one operator, read in turn, a buffer at a time; `floating` buffers go where the backlog is."""

    def __init__(self, floating: int, place: Place = (0, 0)) -> None:
        self.place = place
        self.channels: list[InputChannel] = []
        self.floating = self.floating_total = floating
        self.on_item: Callable[[], None] = nothing
        self.on_overtaking: Callable[[InputChannel, Barrier], None]
        """A barrier has come in front of all data."""
        self.meter: ThroughputMeter | None = None
        """Of what is read from it, when there is debloating."""
        self._waiting: deque[Borrower] = deque()
        self._ready: deque[InputChannel] = deque()

    def notify(self, channel: InputChannel) -> None:
        """A channel has something to read."""
        if not channel.ready:
            channel.ready = True
            self._ready.append(channel)
            self.on_item()

    def poll(self) -> tuple[InputChannel, Element] | None:
        """The next element of the channel whose turn it is."""
        ready = self._ready
        while ready:
            channel = ready.popleft()
            element = channel.poll()
            channel.ready = channel.has_data()
            if channel.ready:
                ready.append(channel)
            if element is not None:
                return channel, element
        return None

    @property
    def has_data(self) -> bool:
        """Whether `poll` may find something."""
        return bool(self._ready)

    def lend(self, channel: Borrower) -> bool:
        """A floating buffer, or a place in the line for one."""
        if self.floating:
            self.floating -= 1
            return True
        self._waiting.append(channel)
        return False

    def give_back(self) -> None:
        """A floating buffer is free: the first in line that still needs one gets it."""
        while self._waiting:
            if self._waiting[0].offer():
                return
            self._waiting.popleft()
        self.floating += 1

    def stop_waiting(self) -> None:
        """The first in line has all it needs."""
        self._waiting.popleft()

    def announce(self, size: int) -> None:
        """Tell every sender how much to put into a buffer."""
        for channel in self.channels:
            channel.subpartition.announced = size

    @property
    def in_use(self) -> int:
        """Buffers that count for debloating."""
        return sum(channel.in_use for channel in self.channels)

    @property
    def received(self) -> list[Slice]:
        """Buffers that wait to be read, on this side."""
        return [part for channel in self.channels for part in channel.received]

    def clear(self) -> None:
        """Forget everything."""
        self._ready.clear()
        self._waiting.clear()
        self.floating = self.floating_total
        for channel in self.channels:
            channel.clear()


class UnionInputGate:
    """Several gates of one task, read in turn, a buffer at a time (UnionInputGate.java)."""

    def __init__(self, gates: Sequence[InputGate]) -> None:
        self.on_item: Callable[[], None] = nothing
        self._ready: deque[InputGate] = deque()
        for gate in gates:
            gate.on_item = partial(self._notify, gate)

    def _notify(self, gate: InputGate) -> None:
        if gate not in self._ready:
            self._ready.append(gate)
            self.on_item()

    def poll(self) -> tuple[InputChannel, Element] | None:
        """The next element of the gate whose turn it is."""
        ready = self._ready
        while ready:
            gate = ready.popleft()
            found = gate.poll()
            if gate.has_data:
                ready.append(gate)
            if found is not None:
                return found
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._ready.clear()
