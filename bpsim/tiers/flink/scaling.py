"""The autoscaler's eyes and hands: it looks at a running job at intervals and has it started anew with other parallelism."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpsim.kernel.clock import Clock
from bpsim.streams import to_grid
from bpsim.tiers.flink.autoscaler import Autoscaler, AutoscalerSpec, Look, Seen, VertexSpec
from bpsim.tiers.flink.graph import OperatorSpec
from bpsim.tiers.flink.jobgraph import JobGraph, Vertex
from bpsim.tiers.flink.keygroups import max_parallelism
from bpsim.tiers.flink.subtask import Subtask
from bpsim.tiers.flink.times import Spent
from bpsim.tiers.flink.topology import Topology


class ControlLoop:
    """Looks at a job every `control_interval` while it runs."""

    def __init__(
        self,
        clock: Clock,
        spec: AutoscalerSpec,
        operators: Sequence[OperatorSpec],
        partitions: int,
        lag: Callable[[], int],
        rescale: Callable[[list[int]], None],
    ) -> None:
        self._clock = clock
        self._interval = to_grid(spec.control_interval)
        self._policy = Autoscaler(spec, vertices(operators, partitions))
        self._lag = lag
        self._rescale = rescale
        self._graph: JobGraph | None = None
        self._since = 0.0
        self._spent: dict[Subtask, list[float]] = {}
        clock.call_small(clock._now + self._interval, self._due, None)

    def on_start(self, graph: JobGraph) -> None:
        """The job runs."""
        self._graph, self._since = graph, self._clock._now
        self._spent = {subtask: subtask.spent(self._clock._now) for subtask in graph.subtasks}
        self._policy.on_start(self._clock._now)

    def on_stop(self) -> None:
        """It does not."""
        self._graph = None

    def _due(self, _: object) -> None:
        self._clock.call_small(self._clock._now + self._interval, self._due, None)
        if self._graph is None or self._clock._now == self._since:
            return
        self._graph.settle()
        current = [len(vertex.subtasks) for vertex in self._graph.vertices]
        seen = tuple(self._seen(vertex) for vertex in self._graph.vertices)
        wanted = self._policy.look(Look(self._clock._now, self._lag(), seen), current)
        if wanted is not None:
            self._rescale(wanted)

    def _seen(self, vertex: Vertex) -> Seen:
        shares = [self._shares(subtask) for subtask in vertex.subtasks]
        held_back = sum(times[Spent.SOFT] + times[Spent.HARD] for times in shares) / len(shares)
        records_in = sum(subtask.records_in - len(subtask.records) + subtask.position for subtask in vertex.subtasks)
        records_out = sum(subtask.output.records_out for subtask in vertex.subtasks)
        return Seen(max(times[Spent.BUSY] for times in shares), held_back, records_in, records_out)

    def _shares(self, subtask: Subtask) -> list[float]:
        """Of the time since the last look, by what it was spent on."""
        before, now = self._spent[subtask], subtask.spent(self._clock._now)
        self._spent[subtask] = now
        span = sum(now) - sum(before)
        return [(after - earlier) / span for after, earlier in zip(now, before, strict=True)]


def vertices(operators: Sequence[OperatorSpec], partitions: int) -> list[VertexSpec]:
    """What bounds the parallelism of each task."""
    found = []
    topology = Topology.of(operators)
    for index, task in enumerate(topology.tasks):
        inputs = tuple((sender, task[0].share or 1.0) for sender in topology.inputs[index])
        groups = max_parallelism(task[0].parallelism)
        hashed = index > 0 and task[0].exchange == "hash"
        found.append(VertexSpec(groups, groups if hashed else None if index else partitions, inputs))
    return found


def rescaled(operators: Sequence[OperatorSpec], parallelism: Sequence[int]) -> list[OperatorSpec]:
    """The same operators with that parallelism, task by task; their state is the same in all."""
    tasks = Topology.of(operators).tasks
    found = {operator.name: wanted for task, wanted in zip(tasks, parallelism, strict=True) for operator in task}
    return [
        operator.but(parallelism=found[operator.name], state=_share(operator, found[operator.name])) for operator in operators
    ]


def _share(operator: OperatorSpec, parallelism: int) -> int | None:
    return None if operator.state is None else -(-operator.state * operator.parallelism // parallelism)
