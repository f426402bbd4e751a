"""What the consumers of the group are told."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from bpsim.distributions import Constant, Distribution
from bpsim.spec import Spec
from bpsim.units import Bytes, PositiveSeconds


class ConsumerSpec(Spec):
    """One poll loop: fetch up to `max_poll_records`, handle them one by one, hand them on, poll again."""

    not_yet: ClassVar[dict[str, str]] = {
        "max_poll_interval": "eviction from the group and rebalancing come with issue 5",
        "group": "several consumers come with issue 5",
    }
    max_poll_records: int = Field(default=500, ge=1, le=1_000_000)
    fetch_latency: Distribution = Field(default=Constant(value=0.001), description="time of one poll that finds records")
    service: Distribution = Field(default=Constant(value=0.0), description="time the loop spends on each record")
    when_full: Literal["pause", "block"] = Field(
        default="pause",
        description="downstream full: do not poll before there is room (blocking before service), "
        "or poll and wait with the records in hand (blocking after service)",
    )
    commit_interval: PositiveSeconds = Field(
        default=5.0, description="how often the position up to which all is delivered is committed (auto.commit.interval.ms)"
    )
    heap: Bytes | None = Field(
        default=None,
        description="memory of the consuming process: records it has read (in Flink's buffers, too) and not yet delivered",
    )
    overhead: int = Field(default=0, ge=0, le=10**9, description="bytes that one record takes there beyond its size")
    restart_after: PositiveSeconds | None = Field(
        default=None, description="from an out-of-memory crash to reading again; none: it stays down"
    )

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> ConsumerSpec:
        for name in ("overhead", "restart_after"):
            if getattr(self, name) and self.heap is None:
                raise ValueError(f"{name} needs a heap that can run out; add heap")
        return self
