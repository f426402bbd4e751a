"""The options of the Java consumer and of librdkafka's (kafka.apache.org/documentation, librdkafka's CONFIGURATION.md)."""

from __future__ import annotations

from bpsim.kafka.option import (
    FLAG,
    Anything,
    Choice,
    Option,
    Table,
    count,
    ignored,
    librdkafka_refuses,
    milliseconds,
    not_modelled,
    option,
    size,
    words,
)  # fmt: skip
from bpsim.kafka.producer_options import METADATA, NAMES_ONLY, PREFIXES, SOCKETS

EAGER = "org.apache.kafka.clients.consumer."
ASSIGNORS = Choice(
    tuple(
        (f"{EAGER}{name}Assignor", "cooperative" if name == "CooperativeSticky" else "eager")
        for name in ("Range", "RoundRobin", "Sticky", "CooperativeSticky")
    )
)
STRATEGIES = Choice(
    (("range,roundrobin", "eager"), ("range", "eager"), ("roundrobin", "eager"), ("cooperative-sticky", "cooperative"))
)
RESETS = Choice(
    tuple((name, "latest") for name in ("largest", "latest", "end"))
    + tuple((name, "earliest") for name in ("smallest", "earliest", "beginning"))
)
LIVENESS = "the background thread's heartbeats hold as long as the process lives: processing never violates it"
WAITS = "a poll that finds records takes consumer.fetch_latency"
TRANSACTIONS = "there are none here, so nothing is read that is not committed"

JAVA = Table(
    "the Java consumer",
    "4.1",
    (
        option("max.poll.records", count(1), 500, "max_poll_records"),
        option("max.poll.interval.ms", milliseconds(1), 300_000, "max_poll_interval"),
        option("auto.commit.interval.ms", milliseconds(1), 5000, "commit_interval"),
        option("auto.offset.reset", words("latest", "earliest"), "latest", "offset_reset"),
        option("max.partition.fetch.bytes", size(0, 2**31 - 1), 1_048_576, "partition_bytes"),
        option("fetch.min.bytes", size(0, 2**31 - 1, unlimited=0), 1, "fetch_min"),
        option("fetch.max.wait.ms", milliseconds(0), 500, "fetch_wait"),
        option("fetch.max.bytes", size(0, 2**31 - 1), 52_428_800, "fetch_max"),
        option("partition.assignment.strategy", ASSIGNORS, f"{EAGER}RangeAssignor", "rebalance"),
        not_modelled("enable.auto.commit", FLAG, "true", "what has been delivered is committed every commit_interval"),
        not_modelled("group.protocol", words("classic", "consumer"), "classic", "the classic protocol is the one here"),
        Option(("group.instance.id",), Anything(), not_modelled="members are dynamic"),
        *ignored("isolation.level", TRANSACTIONS),
        *ignored("session.timeout.ms heartbeat.interval.ms", LIVENESS),
        *ignored("default.api.timeout.ms request.timeout.ms", WAITS),
        *ignored("bootstrap.servers client.dns.lookup metadata.max.age.ms connections.max.idle.ms retry.backoff.ms", METADATA),
        *ignored("reconnect.backoff.ms reconnect.backoff.max.ms retry.backoff.max.ms metadata.recovery.strategy", METADATA),
        *ignored("send.buffer.bytes receive.buffer.bytes check.crcs client.rack", SOCKETS),
        *ignored("group.id client.id key.deserializer value.deserializer interceptor.classes", NAMES_ONLY),
        *ignored("exclude.internal.topics allow.auto.create.topics group.remote.assignor enable.metrics.push", NAMES_ONLY),
    ),
    PREFIXES,
)  # fmt: skip
LIBRDKAFKA = Table(
    "librdkafka's consumer",
    "2.16",
    (
        option("max.poll.interval.ms", milliseconds(1, 86_400_000), 300_000, "max_poll_interval"),
        option("auto.commit.interval.ms", milliseconds(1, 86_400_000), 5000, "commit_interval"),
        option("auto.offset.reset", RESETS, "largest", "offset_reset"),
        option("fetch.message.max.bytes max.partition.fetch.bytes", size(1, 1_000_000_000), 1_048_576, "partition_bytes"),
        option("fetch.min.bytes", size(1, 100_000_000), 1, "fetch_min"),
        option("fetch.wait.max.ms", milliseconds(0, 300_000), 500, "fetch_wait"),
        option("fetch.max.bytes", size(1, 2_147_483_135), 52_428_800, "fetch_max"),
        option("queued.min.messages", count(1, 10_000_000), 100_000, "queued_min"),
        option("queued.max.messages.kbytes", size(1, 2_097_151, kilo=True), 65_536, "queued_bytes"),
        option("partition.assignment.strategy", STRATEGIES, "range,roundrobin", "rebalance"),
        not_modelled("enable.auto.commit", FLAG, "true", "what has been delivered is committed every commit_interval"),
        not_modelled("group.protocol", words("classic", "consumer"), "classic", "the classic protocol is the one here"),
        not_modelled("fetch.queue.backoff.ms", milliseconds(0, 300_000), 1000, "a partition is fetched once there is room"),
        Option(("group.instance.id",), Anything(), not_modelled="members are dynamic"),
        *ignored("isolation.level", TRANSACTIONS),
        not_modelled("enable.auto.offset.store", FLAG, "false", "an offset is stored once its record has been delivered"),
        *ignored("session.timeout.ms heartbeat.interval.ms", LIVENESS),
        *ignored("fetch.error.backoff.ms check.crcs enable.partition.eof socket.timeout.ms socket.max.fails", WAITS),
        *ignored("bootstrap.servers metadata.broker.list client.dns.lookup broker.address.family broker.address.ttl", METADATA),
        *ignored("metadata.max.age.ms topic.metadata.refresh.interval.ms topic.metadata.refresh.fast.interval.ms", METADATA),
        *ignored("topic.metadata.refresh.sparse topic.metadata.propagation.max.ms topic.blacklist", METADATA),
        *ignored("connections.max.idle.ms socket.connection.setup.timeout.ms coordinator.query.interval.ms", METADATA),
        *ignored("reconnect.backoff.ms reconnect.backoff.max.ms retry.backoff.ms retry.backoff.max.ms", METADATA),
        *ignored(
            "api.version.request api.version.request.timeout.ms api.version.fallback.ms broker.version.fallback", METADATA
        ),
        *ignored("socket.send.buffer.bytes socket.receive.buffer.bytes socket.keepalive.enable socket.nagle.disable", SOCKETS),
        *ignored("receive.message.max.bytes message.max.bytes", SOCKETS),
        *ignored("group.id client.id client.rack group.protocol.type group.remote.assignor builtin.features debug", NAMES_ONLY),
        *ignored("log_level log_cb stats_cb error_cb throttle_cb rebalance_cb offset_commit_cb consume_cb opaque", NAMES_ONLY),
        *ignored("statistics.interval.ms allow.auto.create.topics plugin.library.paths interceptors", NAMES_ONLY),
    ),
    PREFIXES,
    librdkafka_refuses,
)
TABLES = {"java": JAVA, "librdkafka": LIBRDKAFKA}
