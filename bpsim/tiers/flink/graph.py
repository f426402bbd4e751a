"""The job as its author sees it: operators, how many of each, and how records get from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bpsim.distributions import Constant, Distribution
from bpsim.spec import Spec
from bpsim.tiers.flink.async_io import AsyncIOSpec
from bpsim.tiers.flink.async_sink import AsyncSinkSpec
from bpsim.units import Bytes, PerSecond


class OperatorSpec(Spec):
    """One operator. The first is the source, the last the sink whose writing delivers a record; others that nobody reads are
    sinks of their own, counted apart. With `exchange: forward` and the parallelism of the only one it reads, it is chained
    to that one: they share a task, and there are no buffers between them."""

    name: str = Field(min_length=1, max_length=80)
    inputs: tuple[str, ...] = Field(
        default=(),
        description="operators above it that it reads, each giving a copy of a record to every reader; none: the one before",
    )
    share: float | None = Field(
        default=None, gt=0, lt=1, description="it gets no copies but this share of its input's records, by chance, and others "
        "get the rest (side outputs, filters)"
    )  # fmt: skip
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


Task = tuple[OperatorSpec, ...]
"""Operators chained to each other."""


def rate_limit(task: Task) -> float | None:
    """Records a second that the task lets pass."""
    return min((operator.rate_limit for operator in task if operator.rate_limit is not None), default=None)


def state_bytes(tasks: Sequence[Task]) -> list[int]:
    """What each subtask writes of its state, task by task."""
    return [sum(operator.state or 0 for operator in task) for task in tasks for _ in range(task[0].parallelism)]


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
