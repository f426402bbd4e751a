"""An operator that several read from: each record goes to every output, or to one of those among which they are shared out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpsim.tiers.flink.partition import ResultPartition, Route


class Broadcast:
    """Several outputs as one (BroadcastingOutputCollector.java): the task waits until each has room, and a record counts
    once however many copies of it are sent."""

    def __init__(self, outputs: Sequence[ResultPartition]) -> None:
        self.records_out = 0
        self._outputs = outputs
        self._cursor = 0
        self._next = 0
        """Output that the record at hand goes to next."""
        self._in_it = False
        """Whether the task stands still in the middle of it there."""

    @property
    def available(self) -> bool:
        """Whether all are."""
        return all(output.available for output in self._outputs)

    def begin(self, records: list[int]) -> None:
        """These are the next records."""
        self._cursor = 0
        for output in self._outputs:
            output.begin(records)

    def next_turn(self) -> int:
        """Position of the first record that needs attention somewhere."""
        return min(output.next_turn() for output in self._outputs)

    def write_upto(self, end: int) -> None:
        """Write the records before position `end`, which need attention nowhere."""
        for output in self._outputs:
            output.write_upto(end)
        self.records_out += end - self._cursor
        self._cursor = end

    def write_turn(self, position: int) -> bool:
        """Write the record at `position` everywhere; False: there is no buffer for it somewhere."""
        self._cursor = position
        self._next, self._in_it = 0, False
        return self.go_on()

    def go_on(self) -> bool:
        """Write it where it is still to be written."""
        while self._next < len(self._outputs):
            if not self._write(self._outputs[self._next]):
                self._in_it = True
                return False
            self._in_it = False
            self._next += 1
        self._cursor += 1
        self.records_out += 1
        return True

    def _write(self, output: ResultPartition) -> bool:
        if self._in_it:
            return output.go_on()
        if output.next_turn() == self._cursor:
            return output.write_turn(self._cursor)
        output.write_upto(self._cursor + 1)
        return True


def shared_out(draw: Callable[[int], float], begin: float, end: float, route: Route) -> Route:
    """The same route for those records only whose draw, uniform on [0, 1), lies between `begin` and `end`."""

    def part(records: list[int], before: int) -> list[Sequence[int]]:
        mine = [position for position, record in enumerate(records) if begin <= draw(record) < end]
        ways = route([records[position] for position in mine], before)
        return [[mine[position] for position in positions] for positions in ways]

    return part
