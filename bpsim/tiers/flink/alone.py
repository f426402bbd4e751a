"""A Flink job by itself, between a source that makes records at a rate and nothing: what benchmarks of Flink run."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bpsim.distributions import Distribution
from bpsim.kernel.buffer import Sink
from bpsim.kernel.clock import Clock, SmallLane
from bpsim.keys import Keys
from bpsim.result import Table
from bpsim.streams import Draws, Streams, to_grid
from bpsim.tiers.flink.checkpoints import Coordinator, Snapshots
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.graph import OperatorSpec, state_bytes
from bpsim.tiers.flink.jobgraph import JobGraph, Surroundings, Work
from bpsim.tiers.flink.keygroups import key_router
from bpsim.tiers.flink.sinks import side_table
from bpsim.tiers.flink.source import GeneratorSource
from bpsim.tiers.flink.subtask import Output, Subtask
from bpsim.tiers.flink.table import Gauges, checkpoint_table
from bpsim.tiers.flink.topology import Topology


@dataclass(frozen=True)
class AloneResult:
    """What such a run leaves. `records`: one row each, in the order of their end within a subtask: number, `created_s`
    at the source, `started_s` and `done_s` at the sink."""

    records: Table
    beside: Table
    """The same of sinks beside the last operator, as in the table `side_sinks`."""
    flink: Table
    checkpoints: Table
    events: int


def run_alone(
    operators: Sequence[OperatorSpec],
    conf: FlinkConf,
    rate: float,
    record_bytes: int,
    duration: float,
    speeds: Sequence[tuple[float, float]] = (),
    keys: Keys | None = None,
    seed: int = 1,
) -> AloneResult:
    """Run a job of `operators`, the first of which makes `rate` records a second in all, for `duration` seconds. From each
    time of `speeds` on the last operator works at that speed (1 is normal). A failing checkpoint or request
    fails nothing here."""
    clock = Clock()
    lane = clock.lane = SmallLane(clock)
    streams, sink, rows = Streams(seed), Sink(), array("d")
    parallelism = operators[0].parallelism

    def source(number: int, output: Output, work: Work, entered: array[float]) -> Subtask:
        return GeneratorSource(clock, output, rate / parallelism, number, parallelism, entered)

    around = Surroundings(
        streams, record_bytes, partial(_law, streams), sink, rows.frombytes, key_router(streams, keys or Keys(distinct=1))
    )
    topology = Topology.of(operators)
    graph = JobGraph(clock, topology, conf, around, source)
    gauges = Gauges(clock, lambda: graph)
    coordinator = None
    if conf.checkpointing is not None:
        snapshots = Snapshots(state_bytes(topology.tasks))
        coordinator = Coordinator(clock, graph, conf.checkpointing, streams, snapshots)
    for moment, speed in speeds:
        for subtask in graph.vertices[-1].subtasks:
            clock.call_small(to_grid(moment), lambda change: change[0].set_speed(change[1]), (subtask, speed))
    clock.run(until=to_grid(duration))
    graph.settle()
    flat = np.array(rows).reshape(-1, 6)
    records: Table = {name: flat[:, index] for name, index in (("created_s", 2), ("started_s", 3), ("done_s", 5))}
    records["number"] = flat[:, 0].astype(np.int64)
    checkpoints = checkpoint_table(coordinator.all if coordinator else [])
    return AloneResult(records, side_table(around.beside), gauges.table(), checkpoints, lane.events)


def _law(streams: Streams, name: str, law: Distribution) -> Callable[[int], float] | float:
    return to_grid(law.mean) if law.scv == 0 else Draws(streams.rng(f"flink.{name}.service"), law.sample).__getitem__
