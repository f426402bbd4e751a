"""The faults of a run: what begins, changes and ends when; also of those that are added while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bpsim.faults import Conditions, Fault, conditions
from bpsim.kernel.clock import URGENT, Clock, Event
from bpsim.streams import to_grid


@dataclass(frozen=True)
class Hands:
    """What the faults act on."""

    mark: Callable[[str, str, float], None]
    """(tier, kind, value): write down that something happened."""
    crash: Callable[[str], None]
    restart: Callable[[str], None]
    change: Callable[[str, Conditions], None]
    """(tier, conditions): work under them from now on."""


class Trouble:
    """Calls `hands` at the moments at which a fault begins, changes or ends."""

    def __init__(self, clock: Clock, faults: Sequence[Fault], hands: Hands) -> None:
        self.faults = list(faults)
        self._clock = clock
        self._hands = hands
        self._due: list[list[Event]] = [[] for _ in faults]
        for number in range(len(faults)):
            self._schedule_marks(number)
        for number, fault in enumerate(faults):
            self._schedule_changes(number, fault.moments())

    def add(self, fault: Fault) -> int:
        """One more fault, which begins now or later; returns its number."""
        number = len(self.faults)
        self.faults.append(fault)
        self._due.append([])
        self._schedule_marks(number)
        self._schedule_changes(number, fault.moments())
        return number

    def replace(self, number: int, fault: Fault) -> None:
        """`fault`, which began as the one of that number did, takes its place: what the latter was still to do is called
        off, and what of `fault` is still to come is done instead."""
        for event in self._due[number]:
            event.callbacks = []
        self._due[number].clear()
        self.faults[number] = fault
        now = self._clock.now
        self._schedule_ends(number, [end for _, end in fault.windows if to_grid(end) >= now])
        self._schedule_changes(number, [moment for moment in fault.moments() if to_grid(moment) >= now])

    def _schedule_marks(self, number: int) -> None:
        fault = self.faults[number]
        for begin, end in fault.windows:
            self._at(number, begin, partial(self._begin, number))
            self._schedule_ends(number, [end])

    def _schedule_ends(self, number: int, ends: Sequence[float]) -> None:
        for end in ends:
            self._at(number, end, partial(self._end, number))

    def _schedule_changes(self, number: int, moments: Sequence[float]) -> None:
        target = self.faults[number].target
        for moment in moments if target != "client" else ():
            self._at(number, moment, partial(self._change, target, moment))

    def _at(self, number: int, moment: float, action: Callable[[], None]) -> None:
        self._due[number].append(self._clock.call_at(to_grid(moment), action, URGENT))

    def _begin(self, number: int) -> None:
        fault = self.faults[number]
        self._hands.mark(fault.target, "fault_begins", float(number))
        if fault.kind == "crash":
            self._hands.crash(fault.target)

    def _end(self, number: int) -> None:
        fault = self.faults[number]
        self._hands.mark(fault.target, "fault_ends", float(number))
        if fault.kind == "crash":
            self._hands.restart(fault.target)

    def _change(self, target: str, moment: float) -> None:
        self._hands.change(target, conditions(self.faults, target, moment))
