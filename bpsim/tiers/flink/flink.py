"""The Flink stage: subtasks behind bounded network buffers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from bpsim.distributions import Distribution
from bpsim.faults import Conditions
from bpsim.kernel.bound import Bound
from bpsim.kernel.buffer import Buffer
from bpsim.kernel.clock import Clock
from bpsim.kernel.stage import Stage
from bpsim.spec import Misfits, Spec
from bpsim.tiers.flink.autoscaler import AutoscalerSpec
from bpsim.tiers.flink.conf import BadConf, FlinkConf
from bpsim.tiers.flink.graph import OperatorSpec, task_seconds
from bpsim.tiers.flink.misfits import misfits
from bpsim.tiers.flink.options import OPTIONS
from bpsim.tiers.flink.placement import channels, shares
from bpsim.tiers.flink.topology import Topology
from bpsim.tiers.flink.values import FlinkError, as_text, in_words, shown, version_of
from bpsim.units import BytesPerSecond, Seconds

MOST_CHANNELS = 1_000_000
"""A job with more would not fit the memory of the machines people have."""


def _one_piece(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError("a text, number or boolean is needed; keys are written in one piece: taskmanager.memory.process.size")
    return as_text(value)


def _set(options: Any) -> Any:
    return {key: text for key, text in options.items() if text is not None} if isinstance(options, dict) else options


TEXT_SCHEMA = {"type": ["string", "number", "boolean", "null"]}
OPTIONS_SCHEMA = {
    "type": "object",
    "properties": {key: TEXT_SCHEMA | {"description": option.in_words} for key, option in OPTIONS.items()},
    "additionalProperties": TEXT_SCHEMA,
}
Text = Annotated[str, BeforeValidator(_one_piece)]
Options = Annotated[dict[str, Text], BeforeValidator(_set), WithJsonSchema(OPTIONS_SCHEMA)]
"""Flink's options: key and text. Numbers and booleans of YAML become the text that Flink would see; null is not set."""


class FlinkSpec(Spec):
    """Flink, as one operator of `parallelism` subtasks behind bounded buffers (a finished record waits for room), or, with
    `operators`, as a job with Flink's own network stack and checkpoints under a configuration of its own."""

    version: str = Field(
        default="2.3", description="Flink's, 1.14 to 2.3: options, defaults and rules are those of that version"
    )
    options: Options = Field(default={}, description="Flink's options under its own keys, such as parallelism.default: 4")
    parallelism: int = Field(default=1, ge=1, le=100_000)
    service: Distribution | None = Field(default=None, description="time a subtask needs for one record")
    network_buffers: Bound = Field(default=Bound(bytes=4 * 2**20), description="records received and not yet begun")
    operators: tuple[OperatorSpec, ...] = Field(
        default=(), description="a job: its source, then operator after operator, each below those it reads from"
    )
    storage: BytesPerSecond | None = Field(
        default=None, description="how fast a subtask writes its state and in-flight data in a checkpoint; none: in no time"
    )
    exactly_once_sink: bool = Field(
        default=False, description="what sinks write becomes visible with the next completed checkpoint (two-phase commit)"
    )
    recovery: Seconds = Field(default=0.0, description="time to deploy and restore a job that failed, after its restart delay")
    autoscaler: AutoscalerSpec | None = Field(
        default=None, description="changes the parallelism of the operators while the job runs, for a restart each time"
    )

    @field_validator("version")
    @classmethod
    def _is_known(cls, version: str) -> str:
        return shown(version_of(version))

    @model_validator(mode="after")
    def _one_form(self) -> FlinkSpec:
        if not self.operators:
            if self.service is None:
                raise ValueError("service is needed: the time for one record (or operators, for a whole job)")
            for name in ("version", "options", "storage", "exactly_once_sink", "recovery", "autoscaler"):
                if self._says(name):
                    raise ValueError(f"{name} has no effect without operators, which make a job of Flink")
            return self
        for name in ("parallelism", "service", "network_buffers"):
            if self._says(name):
                raise ValueError(f"with operators, {name} has no effect; it is set for each operator, or in options")
        return self

    def _says(self, name: str) -> bool:
        """Whether an option is other than when it is left out; a resolved scenario writes every default out."""
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @model_validator(mode="after")
    def _the_operators_fit_together(self) -> FlinkSpec:
        if wrong := list(misfits(self.operators)):
            raise Misfits(wrong)
        return self

    @model_validator(mode="after")
    def _can_be_rescaled(self) -> FlinkSpec:
        if self.autoscaler is None:
            return self
        bound = [task[0] for task in self.topology.tasks if task[0].exchange == "forward"]
        if bound:
            why = "a task that is forwarded to over the network keeps the parallelism of the one before it; rebalance would do"
            raise Misfits([(("operators", self.operators.index(bound[0]), "exchange"), why)])
        if self.recovery == 0:
            raise Misfits([(("recovery",), "every rescale is a restart, and takes its time: say how long")])
        return self

    @model_validator(mode="after")
    def _flink_would_start(self) -> FlinkSpec:
        if not self.operators:
            return self
        if (wide := channels(self.topology)) > MOST_CHANNELS:
            raise Misfits([(("operators",), f"{wide:,} channels between subtasks are more than {MOST_CHANNELS:,}")])
        try:
            shares(self.topology, self.resolved)
            checkpointing = self.resolved.checkpointing
            if self.autoscaler is not None and checkpointing is None:
                why = "a job is rescaled from its last checkpoint, and it makes none without execution.checkpointing.interval"
                raise Misfits([(("autoscaler",), why)])
            if self.exactly_once_sink and checkpointing is None:
                why = "nothing would ever become visible without execution.checkpointing.interval"
                raise Misfits([(("exactly_once_sink",), why)])
            if self.exactly_once_sink and self.operators[-1].async_sink is not None:
                raise Misfits([(("exactly_once_sink",), "an Async sink is at least once; leave it out")])
            if checkpointing is not None and checkpointing.max_concurrent > 1:
                why = "one checkpoint at a time is modelled; leave it at 1"
                raise Misfits([(("options", "execution.checkpointing.max-concurrent-checkpoints"), why)])
        except BadConf as error:
            raise Misfits([(("options", fault.key), in_words(fault, self.options)) for fault in error.faults]) from None
        except FlinkError as error:
            raise Misfits([(("operators",), error.story)]) from None
        return self

    @property
    def seconds_per_record(self) -> float:
        """Of the slowest task, with all its subtasks at work."""
        if self.service is not None:
            return self.service.mean / self.parallelism
        parts = zip(self.topology.tasks, self.topology.volumes, strict=True)
        return max(task_seconds(task) * volume for task, volume in parts)

    @cached_property
    def topology(self) -> Topology:
        """How the operators hang together."""
        return Topology.of(self.operators)

    @cached_property
    def resolved(self) -> FlinkConf:
        """The configuration with every default."""
        return FlinkConf.of(self.version, self.options)


class Flink(Stage):
    """Subtasks that emit after processing and wait with the record when there is no room (blocking after service)."""

    def __init__(
        self,
        clock: Clock,
        spec: FlinkSpec,
        record_bytes: int,
        outbox: Buffer,
        work: Callable[[int], float],
        row: Callable[[tuple[float, ...]], None],
    ) -> None:
        inbox = Buffer(spec.network_buffers.in_records(record_bytes))
        super().__init__(clock, spec.parallelism, inbox, outbox, work, row)

    def set_conditions(self, now: Conditions) -> None:
        """Work at another speed, or take nothing in."""
        self.servers.set_speed(self.clock.now, now.speed)
        self.inbox.set_open(now.accepting)
