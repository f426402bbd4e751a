"""How the operators of a job hang together: who reads from whom, which share a task, and which records come where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from bpsim.tiers.flink.graph import OperatorSpec, Task

Way = frozenset[tuple[int, int]]
"""How some of the records come to an operator: where they were shared out, the operator they were then given to, as
(operator, reader). An empty way is that of all records."""


def inputs_of(operators: Sequence[OperatorSpec]) -> list[tuple[int, ...]]:
    """By operator, those it reads from; names that are none of an operator above it are left out."""
    names = [operator.name for operator in operators]
    found: list[tuple[int, ...]] = []
    for number, operator in enumerate(operators):
        above = [names.index(name) for name in operator.inputs if name in names[:number]]
        found.append(tuple(above) if operator.inputs else (number - 1,) if number else ())
    return found


def readers_of(operators: Sequence[OperatorSpec]) -> list[tuple[int, ...]]:
    """By operator, those that read from it."""
    inputs = inputs_of(operators)
    return [tuple(reader for reader, sources in enumerate(inputs) if number in sources) for number in range(len(operators))]


def ways_of(operators: Sequence[OperatorSpec]) -> list[list[Way]]:
    """By operator, how records come to it. Two ways that some records would take both are left standing side by side."""
    inputs, readers = inputs_of(operators), readers_of(operators)
    sharers = [frozenset(reader for reader in mine if operators[reader].share is not None) for mine in readers]
    found: list[list[Way]] = [[frozenset()]]
    for number, sources in enumerate(inputs[1:], 1):
        shared = operators[number].share is not None
        ways = [way | {(source, number)} if shared else way for source in sources for way in found[source]]
        found.append(_joined(ways, sharers))
    return found


def _joined(ways: list[Way], sharers: Sequence[frozenset[int]]) -> list[Way]:
    """Where records that were shared out have all come together again, it is as if they had never parted."""
    for way in ways:
        for splitter, _ in way:
            rest = frozenset(choice for choice in way if choice[0] != splitter)
            parts = [rest | {(splitter, reader)} for reader in sharers[splitter]]
            if all(part in ways for part in parts):
                return _joined([*(other for other in ways if other not in parts), rest], sharers)
    return ways


def overlap(one: Way, other: Way) -> bool:
    """Whether a record may come both ways."""
    given = dict(one)
    return all(given.get(splitter, reader) == reader for splitter, reader in other)


def is_chained(before: OperatorSpec, operator: OperatorSpec, sources: int = 1, readers: int = 1) -> bool:
    """Whether they share a task, the second with so many inputs, the first with so many readers."""
    together = before.slot_sharing_group == operator.slot_sharing_group and before.parallelism == operator.parallelism
    return operator.exchange == "forward" and operator.chained and together and sources == readers == 1


@dataclass(frozen=True)
class Topology:
    """The tasks of a job, each below those it reads from, with the last operator's at the end."""

    tasks: list[Task]
    inputs: list[tuple[int, ...]]
    """By task, those it reads from."""
    outputs: list[tuple[int, ...]]
    """By task, those that read from it: the one through which records come to the last operator first."""
    main: frozenset[int]
    """Those through which records come to the last operator."""
    volumes: list[float]
    """By task, the share of all records that comes to it."""

    @classmethod
    def of(cls, operators: Sequence[OperatorSpec]) -> Topology:
        """Of operators that fit together."""
        inputs, readers, ways = inputs_of(operators), readers_of(operators), ways_of(operators)
        chains: list[list[int]] = []
        for number, sources in enumerate(inputs):
            before = sources[0] if sources else number
            if sources and is_chained(operators[before], operators[number], len(sources), len(readers[before])):
                next(chain for chain in chains if chain[-1] == before).append(number)
            else:
                chains.append([number])
        chains.sort(key=lambda chain: chain[-1])
        task_of = {number: task for task, chain in enumerate(chains) for number in chain}
        task_inputs = [tuple(task_of[source] for source in inputs[chain[0]]) for chain in chains]
        main = _upstream(len(chains) - 1, task_inputs)
        return cls(
            [tuple(operators[number] for number in chain) for chain in chains],
            task_inputs,
            [
                tuple(sorted((task_of[reader] for reader in readers[chain[-1]]), key=lambda task: task not in main))
                for chain in chains
            ],
            main,
            [sum(prod(_share(operators[reader]) for _, reader in way) for way in ways[chain[0]]) for chain in chains],
        )

    def part(self, sender: int, reader: int) -> tuple[float, float]:
        """Which part of [0, 1] of the sender's records is shared out to the reader."""
        tasks = [task for task in sorted(self.outputs[sender]) if self.tasks[task][0].share is not None]
        ends = list(accumulate((_share(self.tasks[task][0]) for task in tasks), initial=0.0))
        at = tasks.index(reader)
        return ends[at], ends[at + 1] if at + 1 < len(tasks) else 1.0

    @property
    def exchanges(self) -> Iterable[tuple[Task, Task]]:
        """(sender, receiver) of each."""
        return ((self.tasks[sender], self.tasks[task]) for task, mine in enumerate(self.inputs) for sender in mine)

    @property
    def slots(self) -> list[int]:
        """The first slot of each task: tasks of one slot sharing group share theirs, groups lie side by side."""
        group = [task[0].slot_sharing_group for task in self.tasks]
        width: dict[str, int] = {}
        for name, task in zip(group, self.tasks, strict=True):
            width[name] = max(width.get(name, 0), task[0].parallelism)
        begins, first = {}, 0
        for name, count in width.items():
            begins[name] = first
            first += count
        return [begins[name] for name in group]


def _share(operator: OperatorSpec) -> float:
    assert operator.share is not None
    return operator.share


def _upstream(task: int, inputs: Sequence[tuple[int, ...]]) -> frozenset[int]:
    return frozenset({task}).union(*(_upstream(source, inputs) for source in inputs[task]))
