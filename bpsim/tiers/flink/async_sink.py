"""The Async sink: rows are buffered and sent in batches, several at once, as fast as the destination takes them (AIMD)."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from math import nan
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from bpsim.distributions import Distribution
from bpsim.kernel.buffer import Sink
from bpsim.spec import Spec
from bpsim.streams import to_grid
from bpsim.tiers.flink.buffers import InFlight
from bpsim.tiers.flink.ends import End
from bpsim.units import PerSecond, PositiveSeconds


class AsyncSinkSpec(Spec):
    """AsyncSinkBase (FLIP-171), on which the sinks of Kinesis, DynamoDB and Elasticsearch stand, and its destination. Flink has
    no defaults for the first four. A full buffer blocks inside user code, which is busy time; an aligned barrier waits
    for the answers in flight, an unaligned one does not; the rest is kept in the checkpoint."""

    not_yet: ClassVar[dict[str, str]] = {
        "request_timeout": "a request is waited for as long as it takes; Flink gives up after 10 min",
        "max_batch_bytes": "batches are bounded by their records only",
    }
    max_batch_size: int = Field(ge=1, le=1_000_000, description="records in a request, at most")
    max_in_flight_requests: int = Field(ge=1, le=100_000, description="requests of a subtask under way at once")
    max_buffered_requests: int = Field(ge=2, le=10_000_000, description="records in the buffer of a subtask; full, it blocks")
    max_time_in_buffer: PositiveSeconds = Field(description="after so long the first record has the whole buffer sent")
    latency: Distribution = Field(description="from a request to its answer; a slowdown of flink is one of it, too")
    throughput: PerSecond | None = Field(
        default=None, description="records a second that the destination takes of all subtasks (a second's worth at once, when "
        "it was idle); it fails those above, which are sent again; none: all"
    )  # fmt: skip

    @model_validator(mode="after")
    def _a_batch_fits_the_buffer(self) -> AsyncSinkSpec:
        if self.max_buffered_requests <= self.max_batch_size:
            raise ValueError("The maximum number of buffered requests should be strictly greater than maxBatchSize.")
        if self.throughput is not None and self.latency.mean == 0:
            raise ValueError("with a throughput the latency has to be above 0, else what fails is sent for ever at one instant")
        return self

    @property
    def seconds_per_record(self) -> float:
        """Of a subtask that has everything in flight that it may."""
        return self.latency.mean / (self.max_batch_size * self.max_in_flight_requests)


class AIMD:
    """How many records may be in flight: 10 more after a request that succeeded, half as many after one of which a record
    failed (AIMDScalingStrategy, FLIP-242)."""

    INCREASE = 10
    FACTOR = 0.5

    def __init__(self, batch: int, requests: int) -> None:
        self.limit = batch
        self.batch = batch
        self.requests = requests
        self.messages_in_flight = 0
        self.requests_in_flight = 0

    @property
    def next_batch(self) -> int:
        """Records of a full request."""
        return min(self.batch, self.limit)

    def blocks(self, batch: int) -> bool:
        """Whether a request of so many records has to wait."""
        return self.requests_in_flight >= self.requests or self.messages_in_flight + batch > self.limit

    def sent(self, batch: int) -> None:
        """A request goes off."""
        self.requests_in_flight += 1
        self.messages_in_flight += batch

    def answered(self, batch: int, failed: int) -> None:
        """It is back, with so many records of it failed."""
        self.requests_in_flight -= 1
        self.messages_in_flight -= batch
        if failed:
            self.limit = max(1, int(self.limit * self.FACTOR + 0.5))
        else:
            self.limit = min(self.limit + self.INCREASE, self.batch * self.requests)


class Destination:
    """What the subtasks of a sink write to."""

    def __init__(self, spec: AsyncSinkSpec, latency: Callable[[int], float]) -> None:
        self.latency = latency
        """Seconds of a request, by its first record."""
        self._rate = spec.throughput
        self._left = self._most = max(1.0, spec.throughput or 0.0)
        self._at = 0.0

    def takes(self, count: int, now: float) -> int:
        """How many of so many records it takes; the rest fail."""
        if self._rate is None:
            return count
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        taken = min(count, int(self._left))
        self._left -= taken
        return taken


Written = tuple[int, float, float]
"""A record, when the subtask began with it, and when it was in the buffer."""


class Request:
    """A batch under way."""

    __slots__ = ("failed", "records", "size")

    def __init__(self, records: list[Written], taken: int) -> None:
        self.size = len(records)
        self.records = records[:taken]
        """Those that the destination takes, until it says so."""
        self.failed = records[taken:]


class AsyncSinkEnd(End):
    """AsyncSinkWriter.java."""

    def __init__(
        self,
        entered: array[float],
        rows: Callable[[bytes], None],
        sink: Sink,
        spec: AsyncSinkSpec,
        destination: Destination,
        record_bytes: int,
    ) -> None:
        super().__init__(entered, rows, sink)
        self.limits = AIMD(spec.max_batch_size, spec.max_in_flight_requests)
        self._done = sink
        self._spec = spec
        self._destination = destination
        self._record_bytes = record_bytes
        self._most_time = to_grid(spec.max_time_in_buffer)
        self.clear()

    def clear(self) -> None:
        super().clear()
        spec = self._spec
        self.limits = AIMD(spec.max_batch_size, spec.max_in_flight_requests)
        self._buffered: deque[Written] = deque()
        self._in_flight: dict[Request, None] = {}
        self._held: Written | None = None
        """What waits for room in the buffer."""
        self._timer: object | None = None
        self._draining = False
        """Whether the time is up: the whole buffer is to go."""
        self._after_flush: Callable[[], None] | None = None

    def next_turn(self) -> int:
        """Every record needs attention."""
        return self._cursor

    def write_turn(self, position: int) -> bool:
        """Write the record at `position`; False: the buffer is full."""
        self._cursor = position + 1
        self._held = self._records[position], self.free_at, self.subtask.clock._now
        return self.go_on()

    def go_on(self) -> bool:
        """Do what waits for an answer: send a buffer whose time is up, write a record, wait for all answers."""
        while self._draining and self._buffered:
            if not self._flush():
                return False
        self._draining = False
        if self._held is not None:
            while len(self._buffered) >= self._spec.max_buffered_requests:
                if not self._flush():
                    return False
            self._buffer(*self._held[:2])
            self._held = None
            self._flush_full()
        if self._after_flush is not None:
            if self._in_flight:
                return False
            then, self._after_flush = self._after_flush, None
            then()
        return True

    def flush(self, then: Callable[[], None]) -> None:
        """A barrier has come: it passes, `then`, when nothing is in flight."""
        self._after_flush = then
        if not self.go_on():
            self.subtask.stand_still()

    def _buffer(self, record: int, started: float) -> None:
        self._start_timer()
        self.free_at = self.subtask.clock._now
        self._buffered.append((record, started, self.free_at))

    def _start_timer(self) -> None:
        """The time of an empty buffer begins with what is about to be put into it."""
        if not self._buffered and self._timer is None:
            self._timer, clock = object(), self.subtask.clock
            clock.call_small(clock._now + self._most_time, self._time_up, self._timer)

    def _time_up(self, timer: object) -> None:
        if timer is not self._timer:
            return
        if self.subtask.standing:
            self._drain()
            self.subtask.look_again()
        else:
            self.subtask.post(self._send_all)

    def _drain(self) -> None:
        self._timer = None
        self._draining = True

    def _send_all(self) -> None:
        """A mail: the time of the buffer is up."""
        self._drain()
        if not self.go_on():
            self.subtask.stand_still()

    def _flush_full(self) -> None:
        """Send what fills a request, as far as may be sent now."""
        while len(self._buffered) >= self.limits.next_batch and self._flush():
            pass

    def _flush(self) -> bool:
        """Send the next request; False: it has to wait."""
        size = min(self.limits.next_batch, len(self._buffered))
        if self.limits.blocks(size):
            return False
        clock, destination = self.subtask.clock, self._destination
        batch = [self._buffered.popleft() for _ in range(size)]
        self.limits.sent(size)
        request = Request(batch, destination.takes(size, clock._now))
        self._in_flight[request] = None
        latency, speed = destination.latency(batch[0][0]), self.subtask.speed
        if speed not in (0.0, 1.0):
            latency = to_grid(latency / speed)
        clock.call_small(clock._now + latency, self._answer, request)
        return True

    def _answer(self, request: Request) -> None:
        if request not in self._in_flight:
            return  # of a run of the job that is over
        self._confirm(request.records)
        request.records = []
        if self.subtask.standing:
            self._complete(request)
            self.subtask.look_again()
        else:
            self.subtask.post(lambda: self._complete(request))

    def _confirm(self, written: list[Written]) -> None:
        """The destination has these."""
        now = self.subtask.clock._now
        self.records_out += len(written)
        for record, started, served in written:
            self._rows(np.array([record, 1, self._entered[record], started, served, now]).tobytes())
            self._done.put(record, record + 1, now)

    def _complete(self, request: Request) -> None:
        """The task hears of it: what failed is put in front of the buffer."""
        del self._in_flight[request]
        self.limits.answered(request.size, len(request.failed))
        if request.failed:
            self._start_timer()
        self._buffered.extendleft(reversed(request.failed))
        self._flush_full()

    @property
    def state(self) -> InFlight:
        """What a checkpoint keeps: what is not known to be written."""
        state, records = InFlight(), [record for record, _, _ in self._waiting]
        state.add(self.subtask.place, records, self._record_bytes * len(records))
        return state

    @property
    def _waiting(self) -> list[Written]:
        in_flight = [written for request in self._in_flight for written in (*request.records, *request.failed)]
        return [*in_flight, *self._buffered]

    @property
    def pending(self) -> list[tuple[float, ...]]:
        inside = self._waiting + ([] if self._held is None else [self._held])
        return [(record, 1, self._entered[record], started, served, nan) for record, started, served in inside]
