"""One parallel instance of an operator: works through lists of records, one after the other, and writes them out."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

from bpsim.kernel.clock import Clock
from bpsim.streams import to_grid
from bpsim.tiers.flink.buffers import InFlight, Place
from bpsim.tiers.flink.gate import InputChannel, InputGate
from bpsim.tiers.flink.partition import ResultPartition
from bpsim.tiers.flink.times import Spent, TimeSpent


class Output(Protocol):
    """Where a subtask's records go: a result partition, or the end of the job."""

    records_out: int

    @property
    def available(self) -> bool:
        """Whether the task may begin another record."""

    def begin(self, records: list[int]) -> None:
        """These are the next records."""

    def next_turn(self) -> int:
        """Position of the first record that needs the task's attention; the number of records when none does."""

    def write_upto(self, end: int) -> None:
        """Write the records before position `end`, none of which needs attention."""

    def write_turn(self, position: int) -> bool:
        """Write the record at `position`; False when the task has to stand still in the middle of it."""

    def go_on(self) -> bool:
        """Write what is left of that record; False when it has to stand still once more."""


class Permits:
    """A rate limiter (Guava's, which keeps the permits of `burst` seconds): when each of a list of records may pass."""

    def __init__(self, rate: float, now: float, burst: float = 1.0) -> None:
        self._every = to_grid(1 / rate)
        self._burst = burst
        self._due = now
        self._dues: list[float] = []

    def begin(self) -> None:
        """Another list of records."""
        self._dues = []

    def times(self, position: int, now: float, works: list[float], speed: float) -> list[float]:
        """When the records from `position` on are done, each `works` after its permit, when the first may begin now."""
        due = self._dues[position] if position < len(self._dues) else self._due
        del self._dues[position:]
        times, every = [], self._every if speed == 1.0 else to_grid(self._every / speed)
        for work in works:
            begin = max(now, due)
            self._dues.append(due)
            due = max(due, begin - self._burst) + every
            now = begin + work
            times.append(now)
        self._due = due
        return times


class Subtask:
    """The task loop (StreamTask.java): mail, output available, input available, next record.

    What happens between two records that the output takes note of can be seen by nobody, so there is an event for those
    and for the last of a list only, and every record still has its own time (Lindley). Who looks in between calls `settle`.
    """

    def __init__(
        self, clock: Clock, output: Output, work: Callable[[list[int]], list[float]], rate_limit: float | None = None
    ) -> None:
        self.clock = clock
        self.output = output
        self._permits = None if rate_limit is None else Permits(rate_limit, clock._now)
        self.time = TimeSpent(clock._now)
        self.place: Place = (0, 0)
        self.gates: Sequence[InputGate] = ()
        """Its inputs, when it is not a source."""
        self.channels: Sequence[InputChannel] = ()
        """All of theirs."""
        self.partitions: Sequence[ResultPartition] = ()
        """Its outputs, when it is not at the end of the job."""
        self.records_in = 0
        self.records: list[int] = []
        self.finish: list[float] = []
        """When each of them is done, or was."""
        self.position = 0
        """The first that is not."""
        self.standing = False
        """Whether it stands still in the middle of a record."""
        self.standing_is = Spent.HARD
        """What that time counts as."""
        self._work = work
        self._works: list[float] = []
        self._aim = 0
        self._aim_matters = False
        """Whether the output takes note of that record (asked once: half the calls of `next_turn`)."""
        self._turn = 0
        self._release_early = False
        self._mails: deque[Callable[[], None]] = deque()
        self.speed = 1.0
        """1 is normal."""
        self._frozen: float | None = None
        """Work left of the record at hand while the speed is 0."""
        self._restored: list[int] = []
        self.restoring = False
        """Whether there is still in-flight data of the checkpoint it was restored from (initialising): until it is done with,
        the job makes no other."""

    def restore(self, records: list[int]) -> None:
        """In-flight data of the checkpoint comes before anything else."""
        self._restored += records
        self.restoring = True
        self.clock.call_small(self.clock._now, self.wake, None)

    def _take_restored(self) -> bool:
        self.restoring = bool(self._restored)
        if self.restoring:
            records, self._restored = self._restored, []
            self.take(records)
        return self.restoring

    def fetch(self) -> bool:
        """Take in the next records by `take`; False when there are none."""
        raise NotImplementedError

    def release(self) -> None:
        """The buffer the records came in has been read."""

    def take(self, records: list[int], release_early: bool = False) -> None:
        """Work through these records from now on; `release_early`: the buffer is done with when its last record begins."""
        self.records = records
        self.position = 0
        self.records_in += len(records)
        self._release_early = release_early
        self._works = self._work(records)
        self.finish = []
        if self._permits is not None:
            self._permits.begin()
        self.output.begin(records)
        self.plan(None)

    def plan(self, first: float | None) -> None:
        """Set the times of all records from `position` on, which begins now, or has `first` seconds of work left."""
        works = self._works[self.position :] if self.position else self._works
        if first is not None:
            works = [first, *works[1:]]
        if self.speed == 0:
            self._frozen = works[0]
            return
        if self.speed != 1.0:
            works = [to_grid(work / self.speed) for work in works]
        if self._permits is not None:
            self.finish[self.position :] = self._permits.times(self.position, self.clock._now, works, self.speed)
        else:
            self.finish[self.position :] = list(accumulate(works, initial=self.clock._now))[1:]

    def wake(self, _: object = None) -> None:
        """There may be input, or room for output."""
        if self.time.now_in != Spent.BUSY and not self.standing:
            self._go_on()

    def _go_on(self) -> None:
        """Go from record to record until there is something to wait for."""
        now, resumed = self.clock._now, self.time.now_in == Spent.SOFT
        while True:
            while self._mails:
                self._mails.popleft()()
                if self.standing:
                    return
            if not self.output.available:
                self.time.go(Spent.SOFT, now)
                return
            count = len(self.records)
            if self._release_early and self.position >= count - 1:
                self._release_early = False
                self.release()
                count = count if self.position < count else self._forget()
            elif count and self.position >= count:
                self.release()
                count = self._forget()
            if not count:
                if not self._take_restored() and not self.fetch():
                    if not self.standing:
                        self.time.go(Spent.IDLE, now)
                    return
                resumed = False
                continue
            if resumed:
                resumed = False
                self.plan(None)
            if self._frozen is not None or self._under_way(now):
                self.time.go(Spent.BUSY, now)
                return
            if not self._write(self._aim):
                return

    def _forget(self) -> int:
        self.records = []
        return 0

    def _under_way(self, now: float) -> bool:
        """Aim at the next record that matters; False when it is done already."""
        last = len(self.records) - 1
        aim = self.output.next_turn()
        if self._release_early:
            last -= 1
        self._aim_matters = aim <= last
        self._aim = aim = min(aim, last)
        at = self.finish[aim]
        if at <= now:
            return False
        self._turn += 1
        self.clock.call_small(at, self._ring, self._turn)
        return True

    def _ring(self, turn: int) -> None:
        if turn == self._turn and self._write(self._aim):
            self._go_on()

    def _write(self, position: int) -> bool:
        """Write the records up to and with `position`; False: it stands still in the middle of the last of them."""
        output = self.output
        if not self._aim_matters:
            output.write_upto(position + 1)
            self.position = position + 1
            return True
        if position > self.position:
            output.write_upto(position)
        self.position = position + 1
        self._turn += 1
        if output.write_turn(position):
            return True
        self.stand_still()
        return False

    def stand_still(self) -> None:
        """Wait in the middle of a record until the output can `go_on`."""
        self.standing = True
        self.time.go(self.standing_is, self.clock._now)

    def on_room(self) -> None:
        """The output may have room again."""
        if self.standing or self.time.now_in == Spent.SOFT:
            self.clock.call_small(self.clock._now, self.look_again, None)

    def look_again(self, _: object = None) -> None:
        """Go on if there is room now."""
        if not self.standing:
            if self.time.now_in == Spent.SOFT and self.output.available:
                self._go_on()
        elif self.output.go_on():
            self.standing = False
            if self.position < len(self.records):
                self.plan(None)
            self._go_on()
        else:
            self.time.go(self.standing_is, self.clock._now)

    def post(self, mail: Callable[[], None]) -> None:
        """Have `mail` done between two records."""
        self._mails.append(mail)
        if self.standing or self._frozen is not None:
            return
        if self.time.now_in != Spent.BUSY:
            self._go_on()
            return
        self.settle()
        boundary = bisect_right(self.finish, self.clock._now, self.position, self._aim)
        if boundary < self._aim:
            self._aim = boundary
            self._aim_matters = False
            self._turn += 1
            self.clock.call_small(self.finish[boundary], self._ring, self._turn)

    def settle(self) -> None:
        """Write the records that are done by now and that nobody had to be told of."""
        if self.time.now_in == Spent.BUSY and self.position < self._aim and not self.standing and self._frozen is None:
            end = bisect_right(self.finish, self.clock._now, self.position, self._aim)
            if end > self.position:
                self.output.write_upto(end)
                self.position = end

    def set_speed(self, speed: float) -> None:
        """From now on work gets done at `speed`."""
        self.settle()
        now, before = self.clock._now, self.speed
        self.speed = speed
        if self.time.now_in != Spent.BUSY or self.standing:
            return
        left = self._frozen if self._frozen is not None else (self.finish[self.position] - now) * before
        if self._permits is not None:
            left = min(left, self._works[self.position])
        self._frozen = None
        self._turn += 1
        self.plan(left)
        if self._frozen is None:
            self._go_on()

    def spent(self, now: float) -> list[float]:
        """Seconds it has been idle, busy, softly and hard back pressured."""
        return self.time.upto(now)

    def clear(self) -> None:
        """Forget everything inside."""
        self.time.go(Spent.IDLE, self.clock._now)
        self.records, self.finish, self._works = [], [], []
        self.position = self._aim = 0
        self._turn += 1
        self.standing = self._release_early = False
        self._frozen = None
        self._mails.clear()
        self._restored, self.restoring = [], False

    @property
    def unread(self) -> InFlight:
        """The records still to come of the buffer at hand; a source reads none."""
        return InFlight()

    @property
    def unfinished(self) -> list[int]:
        """Records taken in and not yet written."""
        return self.records[self.position :] + self._restored
