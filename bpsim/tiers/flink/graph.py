"""The job as its author sees it: operators, how many of each, and how records get from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from bpsim.distributions import Constant, Distribution
from bpsim.spec import Spec
from bpsim.tiers.flink.async_io import AsyncIOSpec
from bpsim.tiers.flink.async_sink import AsyncSinkSpec
from bpsim.units import Bytes, PerSecond


class OperatorSpec(Spec):
    """One operator. The first is the source; with `exchange: forward` and the parallelism of the one before, it is chained
    to that one: they share a task, and there are no buffers between them."""

    not_yet: ClassVar[dict[str, str]] = {
        "inputs": "a job is one chain of operators: each reads from the one before it",
    }
    name: str = Field(min_length=1, max_length=80)
    parallelism: int = Field(default=1, ge=1, le=32_768)
    service: Distribution = Field(default=Constant(value=0.0), description="time a subtask needs for one record")
    rate_limit: PerSecond | None = Field(
        default=None, description="records a second that a subtask lets pass, those of an idle second made up for (RateLimiter)"
    )
    exchange: Literal["forward", "rebalance", "hash"] = Field(
        default="rebalance", description="how records get here: from the subtask of the same number, in turn, or by key"
    )
    chained: bool = Field(default=True, description="whether forward means the same task; false keeps a network exchange")
    async_io: AsyncIOSpec | None = Field(
        default=None, description="what it asks a service about each record; service is then what a request costs the task"
    )
    async_sink: AsyncSinkSpec | None = Field(
        default=None, description="how it writes to a destination of its own; service is then what a record costs the task"
    )
    record_size: Bytes | None = Field(default=None, description="bytes of a record it emits; none: as they came")
    state: Bytes | None = Field(default=None, description="bytes that a subtask writes in a checkpoint")
    slot_sharing_group: str = Field(default="default", description="subtasks of one number and group share a slot")


def misfits(operators: Sequence[OperatorSpec]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What would be refused, or would do nothing: (path, what is wrong)."""
    if len(operators) == 1:
        yield ("operators",), "a job needs a source and a sink"
    for number, operator in enumerate(operators):
        here = ("operators", number)
        before = operators[number - 1] if number else None
        if operator.name in [other.name for other in operators[:number]]:
            yield (*here, "name"), f"there is another operator called {operator.name}"
        if before is None and operator.exchange != "rebalance":
            yield (*here, "exchange"), "the first operator is the source; nothing comes before it"
        if not operator.chained and operator.exchange != "forward":
            yield (*here, "chained"), f"only exchange: forward chains operators, not {operator.exchange}"
        if before is not None and operator.exchange == "forward" and operator.parallelism != before.parallelism:
            yield (
                (*here, "parallelism"),
                f"Forward partitioning does not allow change of parallelism: {before.parallelism} before it, here "
                f"{operator.parallelism}; rebalance would do",
            )
    yield from _misplaced_async_io(operators)


def _misplaced_async_io(operators: Sequence[OperatorSpec]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for number, operator in enumerate(operators):
        here = ("operators", number, "async_io")
        if operator.async_sink is not None and number < len(operators) - 1:
            yield ("operators", number, "async_sink"), "only the last operator is a sink"
        if operator.async_io is None:
            pass
        elif number == 0:
            yield here, "the first operator is the source; it has no records yet to ask about"
        elif number == len(operators) - 1:
            yield here, "its answers have nowhere to go; a job ends in a sink"
        elif is_chained(operators[number - 1], operator) or is_chained(operator, operators[number + 1]):
            yield here, "async I/O is a task of its own here; set chained: false, or another exchange, before and after it"


Task = tuple[OperatorSpec, ...]
"""Operators chained to each other."""


def tasks(operators: Sequence[OperatorSpec]) -> list[Task]:
    """The operators, those that are chained together as one."""
    found: list[list[OperatorSpec]] = []
    for operator in operators:
        if found and is_chained(found[-1][-1], operator):
            found[-1].append(operator)
        else:
            found.append([operator])
    return [tuple(task) for task in found]


def is_chained(before: OperatorSpec, operator: OperatorSpec) -> bool:
    """Whether they share a task."""
    together = before.slot_sharing_group == operator.slot_sharing_group
    return operator.exchange == "forward" and operator.chained and before.parallelism == operator.parallelism and together


def rate_limit(task: Task) -> float | None:
    """Records a second that the task lets pass."""
    return min((operator.rate_limit for operator in task if operator.rate_limit is not None), default=None)


def state_bytes(operators: Sequence[OperatorSpec]) -> list[int]:
    """What each subtask writes of its state, task by task."""
    found = tasks(operators)
    return [sum(operator.state or 0 for operator in task) for task in found for _ in range(task[0].parallelism)]


def task_seconds(task: Task) -> float:
    """Seconds per record with all subtasks at work."""
    limit = rate_limit(task)
    asked = [operator.async_io.seconds_per_record for operator in task if operator.async_io is not None]
    sink = task[-1].async_sink
    sent = 0.0 if sink is None else sink.seconds_per_record
    one = max(sum(operator.service.mean for operator in task), 0.0 if limit is None else 1 / limit, sent, *asked)
    return max(one / task[0].parallelism, 0.0 if sink is None or sink.throughput is None else 1 / sink.throughput)


def task_name(task: Task) -> str:
    """As Flink shows it."""
    return " -> ".join(operator.name for operator in task)


def slots(operators: list[Task]) -> list[int]:
    """The first slot of each task: tasks of one slot sharing group share theirs, groups lie side by side."""
    group = [task[0].slot_sharing_group for task in operators]
    width: dict[str, int] = {}
    for name, task in zip(group, operators, strict=True):
        width[name] = max(width.get(name, 0), task[0].parallelism)
    begins, first = {}, 0
    for name, count in width.items():
        begins[name] = first
        first += count
    return [begins[name] for name in group]
