"""Async I/O: an operator that asks a service about each record and goes on while it waits (AsyncWaitOperator.java)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import Field

from bpsim.distributions import Distribution
from bpsim.spec import Spec
from bpsim.streams import to_grid
from bpsim.tiers.flink.answers import Entry, OrderedStreamElementQueue, StreamElementQueue, UnorderedStreamElementQueue
from bpsim.tiers.flink.buffers import InFlight
from bpsim.tiers.flink.operator import OperatorSubtask
from bpsim.tiers.flink.subtask import Output
from bpsim.tiers.flink.times import Spent
from bpsim.units import PositiveSeconds


class AsyncIOSpec(Spec):
    """AsyncDataStream.orderedWait and unorderedWait. A subtask asks about at most `capacity` records at once, so it passes at
    most capacity / latency of them a second (Little's law), and less in order: places whose answer waits for an earlier one are
    taken, too. With a full queue it waits inside user code, which is busy time."""

    not_yet: ClassVar[dict[str, str]] = {"retry": "a request is made once, as in Flink unless an AsyncRetryStrategy is set"}
    capacity: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="records of a subtask under way, until their answers have been sent on",
    )
    latency: Distribution = Field(description="from a request to its answer; a slowdown of flink is one of the service, too")
    ordered: bool = Field(
        default=True, description="answers leave in the order of their records, so a slow one holds back those behind it"
    )
    timeout: PositiveSeconds | None = Field(
        default=None, description="a request that takes longer fails the job (TimeoutException); none waits for ever"
    )

    @cached_property
    def seconds_per_record(self) -> float:
        """With a full queue. In order, record n takes the place of record n − c, and leaves behind record n − 1:
        Dₙ = max(Dₙ₋₁, Dₙ₋꜀ + Sₙ), which is followed for some thousand records."""
        free = self.latency.mean / self.capacity
        if not self.ordered or self.capacity == 1 or self.latency.scv == 0:
            return free
        places = min(self.capacity, MOST_PLACES)
        took = self.latency.sample(np.random.default_rng(0), ROUNDS * places + LEAST_RECORDS)
        leaves, last = deque([0.0] * places), 0.0
        for seconds in took.tolist():
            last = max(last, leaves.popleft() + seconds)
            leaves.append(last)
        return free * last * places / float(took.sum())


MOST_PLACES, ROUNDS, LEAST_RECORDS = 10_000, 20, 20_000
"""Of a queue with more places as large a share is taken to work as with so many; how often each is filled; and how many records
besides."""


class Service:
    """What the subtasks of an operator ask: how long each answer takes, by record."""

    def __init__(self, law: Callable[[str], Callable[[int], float] | float]) -> None:
        self._law = law
        self._laws = [law("latency")]
        self._tries: dict[int, int] = {}

    def latency(self, record: int) -> float:
        """Seconds: the same in every variant, and another once a request was cut off by a failure of the job."""
        number = self._tries.get(record, 0)
        while number >= len(self._laws):
            self._laws.append(self._law(f"latency.{len(self._laws)}"))
        law = self._laws[number]
        return law if isinstance(law, float) else law(record)

    def cut_off(self, records: list[int]) -> None:
        """Their requests will never be answered."""
        for record in records:
            self._tries[record] = min(self._tries.get(record, 0) + 1, MOST_LAWS - 1)


MOST_LAWS = 16
"""A record that is cut off more often meets the last one's luck again."""


class AsyncWait:
    """The queue between a task and its output. Answers go out in the task's thread: between two records, or while it waits
    for room in the queue (the mailbox's `yield`)."""

    def __init__(
        self,
        spec: AsyncIOSpec,
        service: Service,
        onward: Output,
        record_bytes: int,
        fail: Callable[[], None],
    ) -> None:
        self.subtask: OperatorSubtask
        self.records_out = 0
        self._onward = onward
        self._spec = spec
        self._service = service
        self._record_bytes = record_bytes
        self._fail = fail
        self._timeout = None if spec.timeout is None else to_grid(spec.timeout)
        self._records: list[int] = []
        self._cursor = 0
        self._held: int | None = None
        """The record that waits for room in the queue."""
        self._sending = False
        """Whether the task stands still in the middle of an answer: there is no buffer."""
        self._asked = self._queue()

    def _queue(self) -> StreamElementQueue:
        return OrderedStreamElementQueue() if self._spec.ordered else UnorderedStreamElementQueue()

    @property
    def available(self) -> bool:
        """As the network says."""
        return self._onward.available

    def begin(self, records: list[int]) -> None:
        """These are the next records."""
        self._records = records
        self._cursor = 0

    def next_turn(self) -> int:
        """Every record needs attention."""
        return self._cursor

    def write_upto(self, end: int) -> None:
        """Never asked for."""
        raise AssertionError(f"{end} records of an operator that asks about each")

    def write_turn(self, position: int) -> bool:
        """Ask about the record at `position`; False: the queue is full."""
        self._cursor = position + 1
        self._held = self._records[position]
        return self.go_on()

    def go_on(self) -> bool:
        """Ask about the record at hand, if there is one, and send every answer that may leave. False: it has to wait, for a
        buffer (hard back pressured) or for an answer that makes room in the queue (busy)."""
        if self._sending:
            if not self._onward.go_on():
                return False
            self._sent()
        self._ask()
        while self._asked.ready:
            if not self._send():
                return False
            self._ask()
        self.subtask.standing_is = Spent.BUSY
        return self._held is None

    def _ask(self) -> None:
        """About the record at hand, if there is one, and room in the queue."""
        if self._held is None or len(self._asked) >= self._spec.capacity:
            return
        entry, clock = Entry(self._held), self.subtask.clock
        self._held = None
        self._asked.put(entry)
        latency, speed = self._service.latency(entry.record), self.subtask.speed
        if speed not in (0.0, 1.0):
            latency = to_grid(latency / speed)
        if self._timeout is not None and latency > self._timeout:
            clock.call_small(clock._now + self._timeout, self._time_out, self._asked)
        clock.call_small(clock._now + latency, self._answer, (self._asked, entry))

    def _answer(self, answered: tuple[StreamElementQueue, Entry]) -> None:
        queue, entry = answered
        if queue is not self._asked:
            return  # of a run of the job that is over
        queue.complete(entry)
        if not queue.ready:
            return
        if not self.subtask.standing:
            self.subtask.post(self._send_all)
        elif not self._sending:
            self.subtask.look_again()

    def _time_out(self, queue: StreamElementQueue) -> None:
        if queue is self._asked:
            self._fail()

    def _send_all(self) -> None:
        """A mail: let every answer out that may leave."""
        if not self.go_on():
            self.subtask.stand_still()

    def _send(self) -> bool:
        """Send the next answer; False: there is no buffer."""
        onward = self._onward
        onward.begin([self._asked.poll().record])
        if onward.next_turn() > 0:
            onward.write_upto(1)
        elif not onward.write_turn(0):
            self._sending = True
            self.subtask.standing_is = Spent.HARD
            return False
        self._sent()
        return True

    def _sent(self) -> None:
        self._sending = False
        self.records_out += 1

    @property
    def state(self) -> InFlight:
        """What a checkpoint keeps of the queue: its records are asked about anew when the job is restored."""
        state, records = InFlight(), self._asked.records
        state.add(self.subtask.place, records, self._record_bytes * len(records))
        return state

    @property
    def unfinished(self) -> list[int]:
        """Records asked about, and the one that waits to be."""
        return self._asked.records + ([] if self._held is None else [self._held])

    def clear(self) -> None:
        """Forget everything."""
        self._service.cut_off(self._asked.records)
        self._asked = self._queue()
        self._records = []
        self._cursor = 0
        self._held = None
        self._sending = False
