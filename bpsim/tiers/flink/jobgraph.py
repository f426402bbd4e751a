"""A running job: its subtasks, the network between them, and what all of them have to do together."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

from bpsim.distributions import Distribution
from bpsim.kernel.buffer import Buffer, Sink
from bpsim.kernel.clock import Clock
from bpsim.streams import Draws, Streams
from bpsim.tiers.flink.async_io import AsyncWait, Service
from bpsim.tiers.flink.async_sink import AsyncSinkEnd, Destination
from bpsim.tiers.flink.buffers import Place, Segment
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.ends import BlockingEnd, End, TransactionalEnd
from bpsim.tiers.flink.gate import InputGate
from bpsim.tiers.flink.graph import OperatorSpec, Task, rate_limit, slots, task_name, tasks
from bpsim.tiers.flink.network import FRAMING, OVERSLEPT, OutputFlusher, input_gate, result_partition
from bpsim.tiers.flink.operator import OperatorSubtask
from bpsim.tiers.flink.partition import ResultPartition, Route, by_key, rebalance
from bpsim.tiers.flink.placement import shares
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.times import Spent

Work = Callable[[list[int]], list[float]]
"""Seconds of work of each record."""
MakeSource = Callable[[int, Output, Work, "array[float]"], Subtask]
"""(number of the subtask, its output, its work, when each record entered the job) -> the source."""


@dataclass(frozen=True)
class Surroundings:
    """What a job is connected to."""

    streams: Streams
    record_bytes: int
    """of a record as it comes in"""
    law: Callable[[str, Distribution], Callable[[int], float] | float]
    """(what takes the time, how long) -> seconds by record; a number when they are all the same"""
    outbox: Buffer
    rows: Callable[[bytes], None]
    subtasks_of: Callable[[list[int], int], list[int]]
    """(records, parallelism) -> where their keys live"""
    exactly_once: bool = False
    """Whether the sink is transactional."""
    entered: array[float] = field(default_factory=lambda: array("d"))
    """When each record entered the job."""


@dataclass
class Vertex:
    """A task and its parallel subtasks."""

    name: str
    subtasks: list[Subtask]
    partitions: list[ResultPartition]
    """Their outputs; none at the end of the job."""
    gates: list[InputGate]
    """Their inputs; none at its beginning."""


class JobGraph:
    """Every subtask of a job, wired."""

    def __init__(
        self, clock: Clock, operators: Sequence[OperatorSpec], conf: FlinkConf, around: Surroundings, source: MakeSource
    ) -> None:
        self.clock = clock
        self.conf = conf
        self.entered = around.entered
        self._around = around
        self._source = source
        self._shares = shares(operators, conf)
        self._waiting: deque[BlockingEnd] = deque()
        self.on_failure: Callable[[], None] = lambda: None
        """An operator has failed, and the job with it."""
        self._flushers: list[OutputFlusher] = []
        self.ends: list[End] = []
        self.waits: list[AsyncWait] = []
        """Of async I/O."""
        self.vertices: list[Vertex] = []
        self._tasks = chain = tasks(operators)
        first_slots = slots(chain)
        record_bytes = around.record_bytes
        for index, task in enumerate(chain):
            bytes_in = record_bytes
            record_bytes = next((o.record_size for o in reversed(task) if o.record_size is not None), record_bytes)
            after = chain[index + 1] if index + 1 < len(chain) else None
            self._add(task, after, (bytes_in, record_bytes), first_slots[index - 1 : index + 1])
        around.outbox.on_room = self._on_room

    def _add(self, task: Task, after: Task | None, record_bytes: tuple[int, int], first_slots: list[int]) -> None:
        vertex = Vertex(task_name(task), [], [], [])
        work = works([self._around.law(operator.name, operator.service) for operator in task])
        waits, sink = self._waits(task[0], record_bytes[0]), self._async_sink(task[-1], record_bytes[1])
        for number in range(task[0].parallelism):
            if self.vertices:
                vertex.gates.append(self._gate(task, number, *first_slots))
            output: Output = sink() if sink is not None else self._output(vertex, number, after, record_bytes[1])
            if waits is not None and isinstance(output, ResultPartition):
                output = waits(output)
            if self.vertices:
                gate, limit = vertex.gates[-1], rate_limit(task)
                subtask: Subtask = OperatorSubtask(self.clock, output, work, gate, self.conf.debloating, limit)
            else:
                subtask = self._source(number, output, work, self.entered)
            subtask.place = len(self.vertices), number
            vertex.subtasks.append(subtask)
            self._connect(subtask, output, f"{vertex.name}.{number}")
        self.vertices.append(vertex)

    def _waits(self, operator: OperatorSpec, record_bytes: int) -> Callable[[ResultPartition], AsyncWait] | None:
        """Puts async I/O in front of an output."""
        spec, law = operator.async_io, self._around.law
        if spec is None:
            return None
        service = Service(lambda what: law(f"{operator.name}.{what}", spec.latency))

        def wait(partition: ResultPartition) -> AsyncWait:
            self.waits.append(AsyncWait(spec, service, partition, record_bytes, lambda: self.on_failure()))
            return self.waits[-1]

        return wait

    def _async_sink(self, operator: OperatorSpec, record_bytes: int) -> Callable[[], AsyncSinkEnd] | None:
        """Makes the ends of an Async sink."""
        spec, around = operator.async_sink, self._around
        if spec is None:
            return None
        service = Service(lambda what: around.law(f"{operator.name}.{what}", spec.latency))
        destination, outbox = Destination(spec, service.latency), around.outbox
        assert isinstance(outbox, Sink)

        def sink() -> AsyncSinkEnd:
            end = AsyncSinkEnd(self.entered, around.rows, outbox, spec, destination, record_bytes)
            self.ends.append(end)
            return end

        return sink

    def _connect(self, subtask: Subtask, output: Output, name: str) -> None:
        if isinstance(output, AsyncWait):
            assert isinstance(subtask, OperatorSubtask)
            output.subtask = subtask
            output = output.partition
        if isinstance(output, ResultPartition):
            subtask.partitions = (output,)
            output.pool.on_recycle = subtask.on_room
            timeout = self.conf.buffer_timeout
            if timeout:
                late = Draws(self._around.streams.rng(f"flink.flush.{name}"), lambda rng, n: rng.uniform(*OVERSLEPT, n))
                self._flushers.append(OutputFlusher(self.clock, output, subtask.settle, timeout, late))
        elif isinstance(output, End):
            output.subtask = subtask
            if isinstance(output, BlockingEnd | AsyncSinkEnd):
                subtask.standing_is = Spent.BUSY

    def _output(self, vertex: Vertex, number: int, after: Task | None, record_bytes: int) -> Output:
        if after is None:
            return self._end()
        exchange, parallelism = after[0].exchange, after[0].parallelism
        channels = 1 if exchange == "forward" else parallelism
        size = self._shares[len(self.vertices), number].outputs[0].size
        route, settle = self._route(exchange, parallelism), _late(vertex.subtasks, number)
        partition = result_partition(self.conf, size, channels, record_bytes + FRAMING, route, settle)
        vertex.partitions.append(partition)
        return partition

    def _route(self, exchange: str, parallelism: int) -> Route:
        if exchange == "hash":
            subtasks_of = self._around.subtasks_of
            return by_key(parallelism, lambda records: subtasks_of(records, parallelism))
        return rebalance(1 if exchange == "forward" else parallelism)

    def _end(self) -> End:
        around = self._around
        if isinstance(around.outbox, Sink) and around.exactly_once:
            self.ends.append(TransactionalEnd(self.entered, around.rows, around.outbox))
        elif isinstance(around.outbox, Sink):
            self.ends.append(End(self.entered, around.rows, around.outbox))
        else:
            self.ends.append(BlockingEnd(self.entered, around.rows, around.outbox, self._waiting))
        return self.ends[-1]

    def _gate(self, task: Task, number: int, slot_before: int, slot: int) -> InputGate:
        per_manager = self.conf.task_slots
        here = (slot + number) // per_manager
        senders = []
        for sender, partition in enumerate(self.vertices[-1].partitions):
            local = (slot_before + sender) // per_manager == here
            if task[0].exchange != "forward":
                senders.append((partition, number, local))
            elif sender == number:
                senders.append((partition, 0, local))
        floating = self._shares[len(self.vertices), number].floating[0]
        return input_gate(self.conf, floating.size, (len(self.vertices), number), senders)

    def _on_room(self) -> None:
        outbox, waiting = self._around.outbox, self._waiting
        for _ in range(len(waiting)):
            if outbox.room <= 0:
                break
            waiting.popleft().subtask.look_again()
        outbox.wanted |= bool(waiting)

    @property
    def subtasks(self) -> list[Subtask]:
        """All of them, from the sources on."""
        return [subtask for vertex in self.vertices for subtask in vertex.subtasks]

    def settle(self) -> None:
        """Bring everything up to now, from the sources on."""
        for subtask in self.subtasks:
            subtask.settle()

    def set_speed(self, speed: float) -> None:
        """From now on everything takes 1 / speed times as long."""
        for subtask in self.subtasks:
            subtask.set_speed(speed)

    def restore(self, in_flight: Mapping[Place, list[int]]) -> None:
        """Give every subtask its in-flight data of a checkpoint. When there are others now than then it goes where its keys
        live, else in turn (SubtaskStateMapper.ROUND_ROBIN)."""
        for (index, number), records in in_flight.items():
            vertex, by_key = self.vertices[index], self._tasks[index][0].exchange == "hash"
            count = len(vertex.subtasks)
            homes = self._around.subtasks_of(records, count) if by_key and records else [number % count] * len(records)
            for home in set(homes):
                vertex.subtasks[home].restore([record for record, its in zip(records, homes, strict=True) if its == home])
            for record in records:
                self.entered[record] = self.clock._now

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what is inside."""
        self.settle()
        inside: list[int] = []
        rows: list[tuple[float, ...]] = []
        for vertex in self.vertices:
            for partition in vertex.partitions:
                inside += partition.pending
                for subpartition in partition.subpartitions:
                    for element in subpartition.queue:
                        inside += element.records if isinstance(element, Segment) else []
            for gate in vertex.gates:
                for part in gate.received:
                    inside += part.records
            for subtask in vertex.subtasks:
                inside += subtask.unfinished
        for wait in self.waits:
            inside += wait.unfinished
        for end in self.ends:
            rows += end.pending
        return [(record, 1, self.entered[record], nan, nan, nan) for record in inside] + rows

    def clear(self) -> None:
        """The job died: forget everything inside."""
        self._waiting.clear()
        for vertex in self.vertices:
            for subtask in vertex.subtasks:
                subtask.clear()
            for partition in vertex.partitions:
                partition.clear()
        for wait in self.waits:
            wait.clear()
        for end in self.ends:
            end.clear()

    def stop(self) -> None:
        """Another graph takes its place: nothing of it happens any more."""
        for flusher in self._flushers:
            flusher.stop()
        for subtask in self.subtasks:
            if isinstance(subtask, OperatorSubtask):
                subtask.stop()


def _late(subtasks: list[Subtask], number: int) -> Callable[[], None]:
    """Settles the subtask of this number, which is still to be made."""
    return lambda: subtasks[number].settle()


def works(laws: list[Callable[[int], float] | float]) -> Work:
    """The work of operators in one task: each a constant or a function of the record."""
    fixed = sum(law for law in laws if isinstance(law, float))
    drawn = [law for law in laws if not isinstance(law, float)]
    if not drawn:
        return lambda records: [fixed] * len(records)
    return lambda records: [fixed + sum(law(record) for law in drawn) for record in records]
