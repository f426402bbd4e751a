"""A running job: its subtasks, the network between them, and what all of them have to do together."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan

from bpsim.distributions import Uniform
from bpsim.kernel.buffer import Buffer
from bpsim.kernel.clock import Clock
from bpsim.streams import Draws, Streams
from bpsim.tiers.flink.async_io import AsyncWait, Service
from bpsim.tiers.flink.async_sink import AsyncSinkEnd
from bpsim.tiers.flink.broadcast import Broadcast, shared_out
from bpsim.tiers.flink.buffers import Place
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.ends import BlockingEnd, End
from bpsim.tiers.flink.gate import InputGate
from bpsim.tiers.flink.graph import rate_limit, task_name
from bpsim.tiers.flink.network import FRAMING, OVERSLEPT, OutputFlusher, input_gate, result_partition
from bpsim.tiers.flink.operator import OperatorSubtask
from bpsim.tiers.flink.partition import ResultPartition, Route, by_key, rebalance
from bpsim.tiers.flink.placement import shares, subpartitions
from bpsim.tiers.flink.sinks import Law, SideSink, Sinks
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.times import Spent
from bpsim.tiers.flink.topology import Topology

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
    law: Law
    outbox: Buffer
    rows: Callable[[bytes], None]
    subtasks_of: Callable[[list[int], int], list[int]]
    """(records, parallelism) -> where their keys live"""
    exactly_once: bool = False
    """Whether the sink is transactional."""
    entered: array[float] = field(default_factory=lambda: array("d"))
    """When each record entered the job."""
    beside: dict[str, SideSink] = field(default_factory=dict)
    """By operator, the sinks beside the last one."""


@dataclass
class Vertex:
    """A task and its parallel subtasks."""

    name: str
    subtasks: list[Subtask]


class JobGraph:
    """Every subtask of a job, wired."""

    def __init__(self, clock: Clock, topology: Topology, conf: FlinkConf, around: Surroundings, source: MakeSource) -> None:
        self.clock = clock
        self.conf = conf
        self.topology = topology
        self.entered = around.entered
        self._around = around
        self._source = source
        self._shares = shares(topology, conf)
        self._slots = topology.slots
        self._bytes_out: list[int] = []
        self._sinks = Sinks(around.law, around.entered, around.outbox, around.rows, around.exactly_once, around.beside)
        self.on_failure: Callable[[], None] = lambda: None
        """An operator has failed, and the job with it."""
        self._flushers: list[OutputFlusher] = []
        self.waits: list[AsyncWait] = []
        """Of async I/O."""
        self._draws: dict[int, Callable[[int], float] | float] = {}
        """By task, what shares its records out."""
        self.vertices: list[Vertex] = []
        for index in range(len(topology.tasks)):
            self._add(index)

    @property
    def ends(self) -> list[End]:
        """Of all its sinks."""
        return self._sinks.ends

    def _add(self, index: int) -> None:
        task, inputs = self.topology.tasks[index], self.topology.inputs[index]
        vertex = Vertex(task_name(task), [])
        self.vertices.append(vertex)
        bytes_in = self._bytes_out[inputs[0]] if inputs else self._around.record_bytes
        self._bytes_out.append(next((o.record_size for o in reversed(task) if o.record_size is not None), bytes_in))
        work = works([self._around.law(operator.name, operator.service) for operator in task])
        outputs = self._outputs(index, bytes_in)
        for number in range(task[0].parallelism):
            gates = [self._gate(index, number, sender) for sender in range(len(inputs))]
            partitions = [self._partition(index, number, reader) for reader in range(len(self.topology.outputs[index]))]
            output = outputs(partitions)
            if gates:
                subtask: Subtask = OperatorSubtask(self.clock, output, work, gates, self.conf.debloating, rate_limit(task))
            else:
                subtask = self._source(number, output, work, self.entered)
            subtask.place = index, number
            vertex.subtasks.append(subtask)
            self._connect(subtask, output, partitions)

    def _outputs(self, index: int, bytes_in: int) -> Callable[[list[ResultPartition]], Output]:
        """Makes what a subtask writes into, out of its partitions."""
        task = self.topology.tasks[index]
        spec, name = task[0].async_io, task[0].name
        if not self.topology.outputs[index]:
            end = self._sinks.of(task[-1], self._bytes_out[index], index == len(self.topology.tasks) - 1)
            return lambda partitions: end()
        if spec is None:
            return _onward
        service = Service(lambda what: self._around.law(f"{name}.{what}", spec.latency))

        def wait(partitions: list[ResultPartition]) -> AsyncWait:
            self.waits.append(AsyncWait(spec, service, _onward(partitions), bytes_in, lambda: self.on_failure()))
            return self.waits[-1]

        return wait

    def _connect(self, subtask: Subtask, output: Output, partitions: list[ResultPartition]) -> None:
        subtask.partitions = partitions
        vertex, number = self.vertices[subtask.place[0]].name, subtask.place[1]
        for position, partition in enumerate(partitions):
            partition.pool.on_recycle = subtask.on_room
            timeout = self.conf.buffer_timeout
            if timeout:
                name = f"flink.flush.{vertex}.{number}" + (f".{position}" if position else "")
                late = Draws(self._around.streams.rng(name), lambda rng, n: rng.uniform(*OVERSLEPT, n))
                self._flushers.append(OutputFlusher(self.clock, partition, subtask.settle, timeout, late))
        if isinstance(output, AsyncWait):
            assert isinstance(subtask, OperatorSubtask)
            output.subtask = subtask
        elif isinstance(output, End):
            output.subtask = subtask
            if isinstance(output, BlockingEnd | AsyncSinkEnd):
                subtask.standing_is = Spent.BUSY

    def _partition(self, index: int, number: int, position: int) -> ResultPartition:
        """The output to the reader at `position`."""
        reader = self.topology.outputs[index][position]
        task = self.topology.tasks[reader]
        size = self._shares[index, number].outputs[position].size
        settle = _late(self.vertices[index].subtasks, number)
        framed = self._bytes_out[index] + FRAMING
        return result_partition(self.conf, size, subpartitions(task), framed, self._route(index, reader), settle)

    def _route(self, index: int, reader: int) -> Route:
        task = self.topology.tasks[reader]
        exchange, parallelism = task[0].exchange, task[0].parallelism
        if exchange == "hash":
            subtasks_of = self._around.subtasks_of
            route = by_key(parallelism, lambda records: subtasks_of(records, parallelism))
        else:
            route = rebalance(subpartitions(task))
        if task[0].share is None:
            return route
        sender = self.topology.tasks[index][-1]
        if index not in self._draws:
            self._draws[index] = self._around.law(f"{sender.name}.share", UNIFORM)
        draw = self._draws[index]
        assert callable(draw)
        return shared_out(draw, *self.topology.part(index, reader), route)

    def _gate(self, index: int, number: int, position: int) -> InputGate:
        """The input from the sender at `position`."""
        sender = self.topology.inputs[index][position]
        output = self.topology.outputs[sender].index(index)
        per_manager = self.conf.task_slots
        here = (self._slots[index] + number) // per_manager
        senders = []
        for other, subtask in enumerate(self.vertices[sender].subtasks):
            local = (self._slots[sender] + other) // per_manager == here
            if self.topology.tasks[index][0].exchange != "forward":
                senders.append((subtask.partitions[output], number, local))
            elif other == number:
                senders.append((subtask.partitions[output], 0, local))
        floating = self._shares[index, number].floating[position]
        return input_gate(self.conf, floating.size, (index, number), senders)

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
            subtasks, by_key = self.vertices[index].subtasks, self.topology.tasks[index][0].exchange == "hash"
            count = len(subtasks)
            homes = self._around.subtasks_of(records, count) if by_key else [number % count] * len(records)
            for home in sorted(set(homes)):
                subtasks[home].restore([record for record, its in zip(records, homes, strict=True) if its == home])
            for record in records:
                self.entered[record] = self.clock._now

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what is inside on its way to the last operator, of which there is one of each record; copies for sinks
        beside it are not among them."""
        self.settle()
        inside: list[int] = []
        rows: list[tuple[float, ...]] = []
        for index in sorted(self.topology.main):
            for subtask in self.vertices[index].subtasks:
                for reader, partition in zip(self.topology.outputs[index], subtask.partitions, strict=True):
                    inside += partition.unsent if reader in self.topology.main else []
            for subtask in self.vertices[index].subtasks:
                for gate in subtask.gates:
                    for part in gate.received:
                        inside += part.records
            for subtask in self.vertices[index].subtasks:
                inside += subtask.unfinished
        for wait in self.waits:
            inside += wait.unfinished if wait.subtask.place[0] in self.topology.main else []
        for end in self._sinks.main:
            rows += end.pending
        return [(record, 1, self.entered[record], nan, nan, nan) for record in inside] + rows

    def clear(self) -> None:
        """The job died: forget everything inside."""
        for subtask in self.subtasks:
            subtask.clear()
            for partition in subtask.partitions:
                partition.clear()
        for wait in self.waits:
            wait.clear()
        self._sinks.clear()

    def stop(self) -> None:
        """Another graph takes its place: nothing of it happens any more."""
        for flusher in self._flushers:
            flusher.stop()
        for subtask in self.subtasks:
            if isinstance(subtask, OperatorSubtask):
                subtask.stop()


UNIFORM = Uniform(low=0.0, high=1.0)


def _onward(partitions: list[ResultPartition]) -> Output:
    """Every record goes to all of them."""
    return partitions[0] if len(partitions) == 1 else Broadcast(partitions)


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
