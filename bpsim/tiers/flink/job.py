"""A Flink job as one tier of the pipeline: subtasks, network, checkpoints and gauges."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from math import nan

from bpsim.faults import Conditions
from bpsim.kernel.buffer import Buffer
from bpsim.kernel.clock import Clock
from bpsim.result import Table
from bpsim.streams import Streams
from bpsim.tiers.flink.buffers import Place
from bpsim.tiers.flink.checkpoints import Checkpoint, Coordinator, Hands, Snapshots
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.ends import TransactionalEnd
from bpsim.tiers.flink.flink import FlinkSpec
from bpsim.tiers.flink.graph import OperatorSpec, rate_limit, state_bytes
from bpsim.tiers.flink.jobgraph import JobGraph, Surroundings, Work
from bpsim.tiers.flink.placement import shares
from bpsim.tiers.flink.scaling import ControlLoop, rescaled
from bpsim.tiers.flink.sinks import side_table
from bpsim.tiers.flink.source import QueueSource
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.table import Gauges, checkpoint_table
from bpsim.tiers.flink.topology import Topology
from bpsim.tiers.flink.values import FlinkError


class FlinkJob:
    """The tier between the consumer, which fetches for its sources, and the writer."""

    def __init__(
        self,
        clock: Clock,
        spec: FlinkSpec,
        streams: Streams,
        batch: int,
        around: Surroundings,
        rows: Callable[[tuple[float, ...]], None],
        mark: Callable[[str, float], None],
        partitions: int,
        lag: Callable[[], int],
    ) -> None:
        self.clock = clock
        self.conf: FlinkConf = spec.resolved
        self.inbox = Buffer(self.conf.source_queue_capacity * batch)
        self.on_failure: Callable[[float | None], None] = lambda delay: None
        """The job fails; it is to run again after so many seconds, or never."""
        self.on_rescale: Callable[[float], None] = lambda delay: None
        """The job is stopped, to run again after so many seconds."""
        self._row = rows
        self._mark = mark
        self._sources: list[QueueSource] = []
        self._in_flight: dict[Place, list[int]] = {}
        """What the last completed checkpoint holds, and each subtask starts anew with."""
        self._batch = batch
        self._alive = True
        self._around = around
        self._operators: Sequence[OperatorSpec] = spec.operators
        self._planned: Sequence[OperatorSpec] = spec.operators
        """With which the job starts the next time."""
        self._storage = spec.storage
        self._speed = 1.0
        self._recovery = spec.recovery
        self._restarts = self.conf.restart.build()
        self._jitter = streams.rng("flink.restart")
        self.graph = self._build()
        self.inbox.on_item = self._on_item
        self.gauges = Gauges(clock, lambda: self.graph)
        self.coordinator = self._coordinator(streams)
        self._scaling: ControlLoop | None = None
        if spec.autoscaler is not None:
            self._scaling = ControlLoop(clock, spec.autoscaler, spec.operators, partitions, lag, self._rescale)
            self._scaling.on_start(self.graph)

    def _build(self) -> JobGraph:
        self._topology = Topology.of(self._operators)
        graph = JobGraph(self.clock, self._topology, self.conf, self._around, self._source)
        graph.on_failure = self._fail
        return graph

    def _source(self, number: int, output: Output, work: Work, entered: array[float]) -> Subtask:
        limit = rate_limit(self._topology.tasks[0])
        self._sources.append(QueueSource(self.clock, output, work, self.inbox, self._batch, entered, limit))
        return self._sources[-1]

    def _on_item(self) -> None:
        for source in self._sources:
            source.on_item()

    def _coordinator(self, streams: Streams) -> Coordinator | None:
        options = self.conf.checkpointing
        if options is None:
            return None
        hands = Hands(self._begin_epoch, self._complete, self._fail)
        return Coordinator(self.clock, self.graph, options, streams, self._snapshots, hands)

    @property
    def _snapshots(self) -> Snapshots:
        return Snapshots(state_bytes(self._topology.tasks), self._storage)

    def _begin_epoch(self, source: int, checkpoint: int) -> None:
        self._sources[source].begin_epoch(checkpoint)

    def _complete(self, checkpoint: Checkpoint) -> None:
        self._in_flight = checkpoint.in_flight
        for source in self._sources:
            source.complete(checkpoint.number)
        for end in self.graph.ends:
            if isinstance(end, TransactionalEnd):
                end.commit(checkpoint.number)

    def _fail(self) -> None:
        delay = self._restarts.on_failure(self.clock.now, float(self._jitter.random()))
        self._mark("job_fails", float(self.coordinator.failures if self.coordinator else 0))
        self.on_failure(None if delay is None else delay + self._recovery)

    def _rescale(self, parallelism: list[int]) -> None:
        """Stop, and start anew from the last completed checkpoint; for good when the new tasks have not buffers enough."""
        self._planned = rescaled(self._operators, parallelism)
        self._mark("rescale", float(max(parallelism)))
        try:
            shares(Topology.of(self._planned), self.conf)
        except FlinkError:
            self._planned = self._operators
            self._mark("job_fails", 0.0)
            self.on_failure(None)
        else:
            self.on_rescale(self._recovery)

    def _deploy(self) -> None:
        """Put another graph in the place of the one that was stopped."""
        self.graph.stop()
        self._operators = self._planned
        self._sources = []
        self.graph = self._build()
        self.graph.set_speed(self._speed)
        if self.coordinator is not None:
            self.coordinator.deploy(self.graph, self._snapshots)

    @property
    def in_flight(self) -> list[int]:
        """Records that the last completed checkpoint holds on their way to the last operator: the job starts anew with them."""
        main = self._topology.main
        return [record for place, records in self._in_flight.items() if place[0] in main for record in records]

    @property
    def uncommitted(self) -> list[tuple[int, int]] | None:
        """What was taken from the queue and is in no completed checkpoint; None when the job makes none."""
        if self.coordinator is None:
            return None
        return [taken for source in self._sources for taken in source.uncommitted]

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or take nothing in."""
        self._speed = now.speed
        self.graph.set_speed(now.speed)
        self.inbox.set_open(now.accepting)

    def abandon(self, now: float) -> None:
        """The process died: forget everything inside."""
        for first, count, entered, started, served, _ in self.unfinished():
            self._row((first, count, entered, started, served, now))
        self._alive = False
        self.inbox.clear()
        self.graph.clear()
        if self.coordinator is not None:
            self.coordinator.clear()
        if self._scaling is not None:
            self._scaling.on_stop()

    def restart(self) -> None:
        """The job runs again, from the last completed checkpoint."""
        self._alive = True
        if self._planned is not self._operators:
            self._deploy()
        self.graph.restore(self._in_flight)
        if self.coordinator is not None:
            self.coordinator.restart()
        if self._scaling is not None:
            self._scaling.on_start(self.graph)

    def unfinished(self) -> list[tuple[float, ...]]:
        """Rows of what is inside."""
        waiting: list[tuple[float, ...]] = [(a, b - a, entered, nan, nan, nan) for a, b, entered in self.inbox.ranges]
        if not self._alive:
            waiting += [(record, 1, self.graph.entered[record], nan, nan, nan) for record in self.in_flight]
        return waiting + self.graph.unfinished()

    def tables(self) -> dict[str, Table]:
        """What only a Flink job tells."""
        checkpoints = self.coordinator.all if self.coordinator is not None else []
        beside = {"side_sinks": side_table(self._around.beside)} if self._around.beside else {}
        return {"flink": self.gauges.table(), "checkpoints": checkpoint_table(checkpoints), **beside}
