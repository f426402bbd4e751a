"""Input channels: one within a TaskManager, and one over the network with its credits."""

from __future__ import annotations

from collections import deque

from bpsim.tiers.flink.buffers import Barrier, Slice, Subpartition
from bpsim.tiers.flink.gate import Element, InputGate, Journal


class LocalInputChannel:
    """A channel within one TaskManager: the task reads the sender's queue, there are no buffers on this side."""

    __slots__ = ("gate", "journal", "place", "ready", "subpartition")

    def __init__(self, gate: InputGate, subpartition: Subpartition) -> None:
        self.gate = gate
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
            self.gate.on_overtaking(self, barrier)
        if subpartition.readable:
            self.gate.notify(self)

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
        "_queue", "_sending", "_waiting", "credit", "exclusive", "floating", "gate", "initial", "journal", "place", "ready",
        "required", "subpartition",
    )  # fmt: skip

    def __init__(self, gate: InputGate, subpartition: Subpartition, exclusive: int) -> None:
        self.gate = gate
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
                self.gate.on_overtaking(self, element)
                continue
            self._queue.append(element)
            self.gate.notify(self)
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
            if self.gate.lend(self):
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
            self.gate.stop_waiting()
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
            self.gate.give_back()
            return
        self.exclusive += 1
        if self.exclusive + self.floating > self.required and self.floating > 0:
            self.floating -= 1
            self.gate.give_back()
            return
        self.credit += 1
        self.on_data()

    @property
    def in_use(self) -> int:
        return len(self._queue) + max(0, self.required - self.initial)

    @property
    def received(self) -> list[Slice]:
        return [element for element in self._queue if isinstance(element, Slice)]
