"""What kind of broker it is, and what it keeps."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from bpsim.distributions import Constant, Distribution
from bpsim.kafka.broker_options import TABLES
from bpsim.kafka.option import Table, Version
from bpsim.kafka.spec import KafkaSpec, Misfit
from bpsim.kernel.bound import Bound
from bpsim.units import Bytes, BytesPerSecond, PositiveSeconds, Seconds

Overflow = Literal["retain", "evict_oldest", "hold_producer", "reject_publish"]
PRESETS: dict[str, dict[str, Any]] = {
    "kafka": {"overflow": "evict_oldest", "pipelining": False},
    "pulsar": {"overflow": "hold_producer", "pipelining": True},
    "rabbitmq": {"overflow": "reject_publish", "pipelining": True},
    "jetstream": {"overflow": "reject_publish", "pipelining": True},
}
"""What each does when `retention` is reached by unread records: Kafka deletes them; Pulsar's backlog quota holds the producer's
request (producer_request_hold); a RabbitMQ queue with x-overflow reject-publish and a JetStream stream with discard new
refuse the message. Only Kafka handles one request of a connection at a time."""
SEGMENTS = ("segment", "segment_time", "retention_check", "first_check")


class BrokerSpec(KafkaSpec):
    """The broker: a log of `partitions`, each taking appends one at a time. A slow reader alone never slows a producer, unless
    `overflow` says so. Topic options may be given under Kafka's names; retention is then Kafka's, by partition and segment."""

    tables: ClassVar[dict[str, Table]] = TABLES
    system: Literal["kafka", "pulsar", "rabbitmq", "jetstream"] = Field(
        default="kafka", description="whose rules hold where nothing else is said: overflow and pipelining"
    )
    brokers: int = Field(
        default=1, ge=1, le=10_000, description="they lead the partitions in turn; the producer has a connection to each"
    )
    partitions: int = Field(default=6, ge=1, le=100_000)
    replicas: int = Field(
        default=1, ge=1, le=32_767, description="of every partition, on as many brokers; acks=all waits for those in sync"
    )
    min_insync: int = Field(default=1, ge=1, le=32_767, description="with fewer replicas in sync the leader refuses to append")
    replica_lag_max: PositiveSeconds = Field(
        default=30.0, description="a follower that has not caught up for so long is not in sync any more"
    )
    throughput: BytesPerSecond | None = Field(
        default=None, description="bytes a second one partition appends; none is unlimited"
    )
    ack_latency: Distribution = Field(
        default=Constant(value=0.002),
        description="from append to the producer's ack; Kafka begins no other request of the connection meanwhile",
    )
    round_trip: Seconds = Field(
        default=0.0, description="network between producer and broker, there and back; requests in flight share it"
    )
    pipelining: bool = Field(default=False, description="several requests of one connection are handled at once")
    overflow: Overflow = Field(
        default="evict_oldest",
        description="unread records reach retention: keep them all the same, delete the oldest (Kafka), hold back acks "
        "(Pulsar's producer_request_hold) or refuse the batch (RabbitMQ's reject-publish, JetStream's discard new)",
    )
    retention: Bound = Field(
        default=Bound(), description="records and bytes kept for readers; of one partition, read or not, with segments"
    )
    retention_time: PositiveSeconds | None = Field(default=None, description="how long an unread record is kept")
    segment: Bytes | None = Field(
        default=None, description="Kafka deletes whole segments of so many bytes; none: record by record, at once"
    )
    segment_time: PositiveSeconds | None = Field(default=None, description="a segment takes no more records after so long")
    retention_check: PositiveSeconds = Field(default=300.0, description="how often Kafka looks for segments to delete")
    first_check: Seconds = Field(default=30.0, description="when it looks for the first time")
    quota: BytesPerSecond | None = Field(
        default=None, description="producer_byte_rate on each broker: beyond it, averaged over 10 s, the connection is muted"
    )
    disk: Bytes | None = Field(
        default=None, description="of each broker; once its logs fill it, it takes nothing until it is restarted"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> BrokerSpec:
        if self.replicas > self.brokers:
            raise ValueError(f"Replication factor: {self.replicas} larger than available brokers: {self.brokers}.")
        if self.min_insync > self.replicas:
            raise ValueError(f"{self.min_insync} of {self.replicas} replicas are never in sync; raise replicas")
        if self.overflow == "retain" and (self.retention != Bound() or self.retention_time is not None):
            raise ValueError("overflow retain keeps everything, so retention would do nothing; leave it out")
        if self.overflow == "reject_publish" and self.retention == Bound():
            raise ValueError("reject_publish needs a bound: retention: {bytes: …} says when it refuses")
        if self.segment is not None and self.overflow in ("hold_producer", "reject_publish"):
            raise ValueError(f"segments are deleted; with {self.overflow} nothing is")
        if self.segment is None:
            for name in ("segment_time", "retention_check", "first_check", "disk"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} needs segments; add segment: 1 GiB")
        return self

    @classmethod
    def settle(cls, tree: dict[str, Any], explicit: set[str], version: Version) -> list[Misfit]:
        for name, value in PRESETS.get(str(tree.get("system", "kafka")), {}).items():
            tree.setdefault(name, value)
        return []
