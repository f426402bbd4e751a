"""What the producer is told: in bpsim's words, or in those of its client's configuration."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from bpsim.kafka import framing
from bpsim.kafka.option import Table, Version
from bpsim.kafka.producer_options import TABLES
from bpsim.kafka.spec import KafkaSpec, Misfit
from bpsim.kernel.bound import Bound
from bpsim.units import Bytes, Plain, PositiveSeconds, Seconds


class ProducerSpec(KafkaSpec):
    """The Kafka producer inside the API process: a bounded buffer, batches, and requests in flight. Options default to what
    `client` ships in `version`; they may be given under their real names, and read from a `.properties` file."""

    tables: ClassVar[dict[str, Table]] = TABLES
    client: Literal["java", "librdkafka"] = Field(
        default="java",
        description="java charges its buffer by the batch and can block; librdkafka counts messages until their delivery "
        "reports have been served, and never blocks by itself",
    )
    buffer: Bound = Field(
        default=Bound(bytes=32 * 2**20),
        description="what is kept until its ack, in flight included; full batches (java) or messages",
    )
    linger: Seconds = Field(
        default=0.005, description="how long a batch waits to fill; java ignores it while somebody is blocked"
    )
    batch: Bound = Field(default=Bound(bytes=16 * 2**10), description="the largest batch, its framing included")
    max_request: Bytes = Field(default=2**20, description="the largest request: java sends a batch of every partition in one")
    max_in_flight: int = Field(default=5, ge=1, le=2**31 - 1, description="requests to one broker without an answer yet")
    on_full: Literal["block", "fail_fast"] = Field(
        default="block", description="buffer full: the API's worker waits up to max_block, or replies 429 at once"
    )
    max_block: Seconds = Field(default=60.0, description="longest wait for room; then the reply is 503")
    acks: Literal["0", "1", "all"] = Field(
        default="all", description="done once it is sent (0), once the leader has it (1), or once every replica in sync has it"
    )
    retries: int = Field(default=2**31 - 1, ge=0, le=2**31 - 1, description="how often a batch is sent again")
    retry_backoff: Seconds = Field(default=0.1, description="before the first retry; doubled each time, give or take 20 %")
    retry_backoff_max: Seconds = 1.0
    delivery_timeout: PositiveSeconds | None = Field(
        default=120.0,
        description="a record (java: with its batch) that is not acknowledged by then is given up; it may be stored",
    )
    request_timeout: PositiveSeconds = Field(
        default=30.0,
        description="a request unanswered for so long ends its connection, and with it all that are in flight there",
    )
    reconnect_backoff: Seconds = 0.05
    reconnect_backoff_max: Seconds = 1.0
    idempotence: bool = Field(default=True, description="the broker knows a batch that is sent again, and appends it once")
    ignore_keys: bool = Field(default=False, description="keys do not decide about partitions")
    adaptive: bool = Field(default=True, description="java: records without a key prefer partitions with a short queue")
    partitioner: Literal["consistent_random", "consistent", "murmur2_random", "murmur2", "random"] = Field(
        default="consistent_random", description="librdkafka: how keys choose a partition"
    )
    sticky_linger: Seconds = Field(default=0.01, description="librdkafka: how long records without a key stay with a partition")
    forgets_poll: bool = Field(
        default=False,
        description="librdkafka: the application never calls poll(), so no delivery report is served and no room made",
    )

    @model_validator(mode="after")
    def _for_this_client(self) -> ProducerSpec:
        other = {"java": ("partitioner", "sticky_linger"), "librdkafka": ("ignore_keys", "adaptive")}[self.client]
        for name in other:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is not an option of {self.table(self.client).owner}")
        if self.forgets_poll and self.client == "java":
            raise ValueError("forgets_poll: the Java producer needs no poll(); its callbacks run by themselves")
        return self

    @classmethod
    def settle(cls, tree: dict[str, Any], explicit: set[str], version: Version) -> list[Misfit]:
        if tree.get("client", "java") == "java":
            return _java(tree, explicit, version)
        tree.setdefault("on_full", "fail_fast")
        return _librdkafka(tree, explicit)

    def batch_records(self, size: int) -> int:
        """Records of `size` bytes in a full batch, which is never larger than the buffer."""
        full = framing.batch_records(self.client, self.batch.bytes, self.batch.records, size)
        return full if self.buffer.records is None else max(1, min(full, self.buffer.records))

    def buffer_records(self, size: int) -> int:
        """Records of `size` bytes that the buffer holds, in full batches if memory is taken by the batch (java)."""
        per_batch = self.batch_records(size)
        return framing.buffer_records(self.client, self.buffer.bytes, self.buffer.records, self.batch.bytes, per_batch, size)


def _java(tree: dict[str, Any], explicit: set[str], version: Version) -> list[Misfit]:
    """ProducerConfig's checks, in its words."""
    wrong: list[Misfit] = []
    linger, request, delivery = (tree.get(name) for name in ("linger", "request_timeout", "delivery_timeout"))
    if isinstance(linger, float) and isinstance(request, float) and isinstance(delivery, float) and delivery < linger + request:
        if "delivery_timeout" in explicit:
            too_short = "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms"
            wrong.append((("delivery_timeout",), too_short))
        tree["delivery_timeout"] = Plain(linger + request)
    obstacles = {
        "retries": (tree["retries"] == 0, "Must set retries to non-zero when using the idempotent producer."),
        "acks": (tree["acks"] != "all", "Must set acks to all in order to use the idempotent producer. "
                 "Otherwise we cannot guarantee idempotence."),
        "max_in_flight": (
            isinstance(tree["max_in_flight"], int) and tree["max_in_flight"] > 5,
            "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.",
        ),
    }  # fmt: skip
    for name, (stands, reason) in obstacles.items():
        if stands and tree["idempotence"]:
            if "idempotence" in explicit or (name == "max_in_flight" and version >= (4, 0)):
                wrong.append(((name,), reason))
            else:
                tree["idempotence"] = False
    return wrong


def _librdkafka(tree: dict[str, Any], explicit: set[str]) -> list[Misfit]:
    """`rd_kafka_conf_finalize`'s checks, in its words; and partitions are kept for twice the linger, unless it is said."""
    if "sticky_linger" not in explicit and isinstance(tree["linger"], float):
        tree["sticky_linger"] = Plain(2 * tree["linger"])
    if not tree["idempotence"]:
        return []
    if "max_in_flight" not in explicit:
        tree["max_in_flight"] = 5
    wrong: list[Misfit] = []
    if isinstance(tree["max_in_flight"], int) and tree["max_in_flight"] > 5:
        wrong.append((("max_in_flight",), "`max.in.flight` must be set <= 5 when `enable.idempotence` is true"))
    if tree["acks"] != "all":
        wrong.append((("acks",), "`acks` must be set to `all` when `enable.idempotence` is true"))
    if tree["retries"] == 0:
        wrong.append((("retries",), "`retries` must be set >= 1 when `enable.idempotence` is true"))
    return wrong
