"""What the consumers of the group are told."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from bpsim.distributions import Constant, Distribution
from bpsim.kafka.consumer_options import TABLES
from bpsim.kafka.option import Table, Version
from bpsim.kafka.spec import KafkaSpec, Misfit
from bpsim.units import Bytes, PositiveSeconds, Seconds


class ConsumerSpec(KafkaSpec):
    """A group of poll loops: each fetches up to `max_poll_records` of its partitions, handles them one by one, hands them on
    and polls again. Options may be given under Kafka's names, and read from a `.properties` file."""

    tables: ClassVar[dict[str, Table]] = TABLES
    client: Literal["java", "librdkafka"] = Field(default="java", description="whose options and habits these are")
    members: int = Field(
        default=1, ge=1, le=10_000, description="consumers in the group; more than partitions have nothing to do"
    )
    max_poll_records: int = Field(default=500, ge=1, le=2**31 - 1, description="records that one poll returns at most")
    partition_bytes: Bytes = Field(default=2**20, description="of one partition that one poll returns at most")
    fetch_min: Bytes | None = Field(
        default=1, description="a fetch waits at the broker until it finds so much; none: it never waits (fetch.min.bytes)"
    )
    fetch_wait: Seconds = Field(default=0.5, description="a fetch that finds less is answered after so long")
    fetch_max: Bytes | None = Field(default=50 * 2**20, description="the most that one broker answers to one fetch")
    prefetch: bool = Field(
        default=False,
        description="the client fetches ahead of its polls, as it does in reality (librdkafka: always); without, a poll is a "
        "fetch",
    )
    queued_min: int = Field(default=100_000, ge=1, le=10_000_000, description="librdkafka: records of a partition it keeps")
    queued_bytes: Bytes = Field(default=2**26, description="librdkafka: with so much in its buffers it fetches no more")
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
    max_poll_interval: PositiveSeconds | None = Field(
        default=300.0,
        description="a member that has not polled for so long leaves the group; none: never (assign(), as in Flink)",
    )
    rebalance: Literal["eager", "cooperative"] = Field(
        default="eager", description="whether everybody stops while partitions are shared out anew, or only what moves"
    )
    offset_reset: Literal["latest", "earliest"] = Field(
        default="latest",
        description="where to go on when retention has deleted what comes next: at the end, or at what is left",
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
        if self.client == "java":
            for name in ("queued_min", "queued_bytes"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} is not an option of {self.table(self.client).owner}")
        elif not self.prefetch:
            raise ValueError("librdkafka always fetches ahead; leave prefetch out")
        return self

    @classmethod
    def settle(cls, tree: dict[str, Any], explicit: set[str], version: Version) -> list[Misfit]:
        if tree.get("client") == "librdkafka":
            tree.setdefault("prefetch", True)
            tree.setdefault("max_poll_records", 1)
        return []
