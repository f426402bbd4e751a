"""The Flink stage: subtasks behind bounded network buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from bpsim.distributions import Distribution
from bpsim.faults import Conditions
from bpsim.kernel.bound import Bound
from bpsim.kernel.buffer import Buffer
from bpsim.kernel.clock import Clock
from bpsim.kernel.stage import Stage
from bpsim.spec import Spec


class FlinkSpec(Spec):
    """One Flink operator: `parallelism` subtasks behind bounded network buffers; a finished record waits for room."""

    not_yet: ClassVar[dict[str, str]] = {
        "version": "versions and flink-conf.yaml come with issue 4",
        "conf": "versions and flink-conf.yaml come with issue 4",
        "debloating": "buffer debloating comes with issue 4",
        "checkpoint": "checkpoints come with issue 4",
        "operators": "job graphs come with issue 4",
    }
    parallelism: int = Field(default=1, ge=1, le=100_000)
    service: Distribution = Field(description="time a subtask needs for one record")
    network_buffers: Bound = Field(default=Bound(bytes=4 * 2**20), description="records received and not yet begun")


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
