"""The options of the Java consumer (kafka.apache.org/documentation)."""

from __future__ import annotations

from bpsim.kafka.option import (
    FLAG,
    Anything,
    Choice,
    Option,
    Table,
    count,
    ignored,
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
LIVENESS = "the background thread's heartbeats hold as long as the process lives: processing never violates it"
WAITS = "a poll that finds records takes consumer.fetch_latency"

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
        not_modelled("isolation.level", words("read_uncommitted", "read_committed"), "read_uncommitted", "no transactions"),
        not_modelled("group.protocol", words("classic", "consumer"), "classic", "the classic protocol is the one here"),
        Option(("group.instance.id",), Anything(), not_modelled="members are dynamic"),
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
TABLES = {"java": JAVA}
