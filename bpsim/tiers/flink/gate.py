"""The receiving side: input channels with their credits, and the gate a task reads them through."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from bpsim.kernel.buffer import nothing
from bpsim.tiers.flink.buffers import Barrier, Place, Slice, Subpartition

Element = Slice | Barrier


class InputChannel(Protocol):
    """One sender's channel."""

    subpartition: Subpartition
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
        self._waiting: deque[RemoteInputChannel] = deque()
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

    def lend(self, channel: RemoteInputChannel) -> bool:
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


class LocalInputChannel:
    """A channel within one TaskManager: the task reads the sender's queue, there are no buffers on this side."""

    __slots__ = ("_gate", "journal", "place", "ready", "subpartition")

    def __init__(self, gate: InputGate, subpartition: Subpartition) -> None:
        self._gate = gate
        self.place = gate.place
        self.subpartition = subpartition
        self.ready = False
        self.journal = Journal()
        subpartition.reader = self

    def on_data(self) -> None:
        subpartition = self.subpartition
        while subpartition.overtaken:
            barrier = subpartition.take()
            assert isinstance(barrier, Barrier)
            self.journal.on_barrier(barrier.checkpoint, [])
            self._gate.on_overtaking(self, barrier)
        if subpartition.readable:
            self._gate.notify(self)

    def has_data(self) -> bool:
        return self.subpartition.readable

    def poll(self) -> Element | None:
        element = self.subpartition.take()
        if isinstance(element, Slice):
            self.journal.add(element)
        return element

    def release(self, part: Slice) -> None:
        if part.segment is not None:
            self.subpartition.recycle()

    def overtake(self, checkpoint: int) -> bool:
        return False

    def clear(self) -> None:
        self.ready = False
        self.journal.clear()

    @property
    def in_use(self) -> int:
        return len(self.subpartition.queue)

    @property
    def received(self) -> list[Slice]:
        return []


class RemoteInputChannel:
    """A channel over the network. Each buffer sent costs a credit, which stands for a free buffer here: exclusive ones of its
    own, and floating ones as the sender's backlog asks for (RemoteInputChannel.java, BufferManager.java)."""

    __slots__ = (
        "_gate", "_queue", "_sending", "_waiting", "credit", "exclusive", "floating", "initial", "journal", "place", "ready",
        "required", "subpartition",
    )  # fmt: skip

    def __init__(self, gate: InputGate, subpartition: Subpartition, exclusive: int) -> None:
        self._gate = gate
        self.place = gate.place
        self.subpartition = subpartition
        self.initial = exclusive
        self._queue: deque[Element] = deque()
        self._sending = False
        self.journal = Journal()
        subpartition.reader = self
        self._reset()

    def _reset(self) -> None:
        self.exclusive = self.credit = self.required = self.initial
        self.floating = 0
        self._waiting = self.ready = False

    def clear(self) -> None:
        self._queue.clear()
        self.journal.clear()
        self._reset()

    def on_data(self) -> None:
        """Send what there is while there is credit; barriers need none."""
        if self._sending:
            return
        self._sending = True
        subpartition = self.subpartition
        while self.credit > 0 or subpartition.barrier_first:
            element = subpartition.take()
            if element is None:
                break
            if isinstance(element, Slice):
                self._receive(element)
            elif element.overtakes:
                self.journal.on_barrier(element.checkpoint, self.received)
                self._gate.on_overtaking(self, element)
                continue
            self._queue.append(element)
            self._gate.notify(self)
            self._on_backlog(subpartition.backlog)
        if self.credit == 0 and self.initial == 0 and subpartition.readable:
            self._on_backlog(subpartition.backlog)
        self._sending = False

    def _receive(self, part: Slice) -> None:
        self.journal.add(part)
        self.credit -= 1
        self.required -= 1
        part.floating = self.floating > 0
        if part.floating:
            self.floating -= 1
        else:
            self.exclusive -= 1
        if part.segment is not None:
            self.subpartition.recycle()

    def _on_backlog(self, backlog: int) -> None:
        self.required = backlog + self.initial
        self._ask()

    def _ask(self) -> None:
        while self.exclusive + self.floating < self.required and not self._waiting:
            if self._gate.lend(self):
                self.floating += 1
                self.credit += 1
            else:
                self._waiting = True

    def offer(self) -> bool:
        """Whether it takes a floating buffer that has become free, being first in line."""
        if self.exclusive + self.floating >= self.required:
            self._waiting = False
            return False
        self.floating += 1
        if self.exclusive + self.floating >= self.required:
            self._waiting = False
            self._gate.stop_waiting()
        self.credit += 1
        self.on_data()
        return True

    def has_data(self) -> bool:
        return bool(self._queue)

    def poll(self) -> Element | None:
        return self._queue.popleft() if self._queue else None

    def overtake(self, checkpoint: int) -> bool:
        for position, element in enumerate(self._queue):
            if isinstance(element, Barrier) and element.checkpoint == checkpoint:
                del self._queue[position]
                return True
        return False

    def release(self, part: Slice) -> None:
        if part.floating:
            self._gate.give_back()
            return
        self.exclusive += 1
        if self.exclusive + self.floating > self.required and self.floating > 0:
            self.floating -= 1
            self._gate.give_back()
            return
        self.credit += 1
        self.on_data()

    @property
    def in_use(self) -> int:
        return len(self._queue) + max(0, self.required - self.initial)

    @property
    def received(self) -> list[Slice]:
        return [element for element in self._queue if isinstance(element, Slice)]
