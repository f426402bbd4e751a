"""The options of a broker and its topics. Those of retention act once one of them is given: a log is then deleted by segments,
partition by partition, as Kafka does."""

from __future__ import annotations

from bpsim.kafka.option import Table, count, ignored, milliseconds, not_modelled, option, size

FOLLOWERS = "a healthy follower's turn is part of broker.ack_latency; the fault slow_follower slows it"
THREADS = "network and I/O threads are no bottleneck here; broker.throughput is"

KAFKA = Table(
    "a Kafka broker or topic",
    "4.1",
    (
        option("num.partitions", count(1), None, "partitions"),
        option("default.replication.factor replication.factor", count(1, 32_767), None, "replicas"),
        option("min.insync.replicas", count(1, 32_767), 1, "min_insync"),
        option("replica.lag.time.max.ms", milliseconds(1, 2**63 - 1), 30_000, "replica_lag_max"),
        option("retention.bytes log.retention.bytes", size(-1, unlimited=-1), -1, "retention.bytes"),
        option("retention.ms log.retention.ms", milliseconds(-1, 2**63 - 1, unlimited=-1), 604_800_000, "retention_time"),
        option("segment.bytes log.segment.bytes", size(14, 2**31 - 1), 1_073_741_824, "segment"),
        option("segment.ms log.roll.ms", milliseconds(1, 2**63 - 1), 604_800_000, "segment_time"),
        option("log.retention.check.interval.ms", milliseconds(1, 2**63 - 1), 300_000, "retention_check"),
        option("producer_byte_rate", size(1), None, "quota"),
        not_modelled("quota.window.num", count(1), 11, "the quota's burst is 10 s"),
        not_modelled("quota.window.size.seconds", count(1), 1, "the quota's burst is 10 s"),
        *ignored("num.network.threads num.io.threads queued.max.requests queued.max.request.bytes background.threads", THREADS),
        *ignored("replica.fetch.wait.max.ms replica.fetch.min.bytes replica.fetch.max.bytes num.replica.fetchers", FOLLOWERS),
        *ignored("replica.fetch.response.max.bytes replica.fetch.backoff.ms replica.socket.timeout.ms", FOLLOWERS),
        *ignored("message.max.bytes max.message.bytes", "records have one size here"),
        *ignored(
            "broker.id node.id listeners advertised.listeners controller.quorum.voters process.roles log.dir log.dirs", "a name"
        ),
        *ignored(
            "group.initial.rebalance.delay.ms group.min.session.timeout.ms group.max.session.timeout.ms",
            "groups begin with everybody",
        ),
        *ignored("file.delete.delay.ms log.segment.delete.delay.ms", "a deleted segment frees its disk at once here"),
        *ignored("offsets.retention.minutes offsets.topic.replication.factor", "offsets are kept for the whole run"),
        *ignored(
            "log.flush.interval.messages log.flush.interval.ms flush.messages flush.ms", "Kafka does not wait for the disk"
        ),
        *ignored("compression.type", "a record is as large as client.record_size says"),
    ),
    ("ssl.", "sasl.", "security.", "metrics.", "listener.", "controller.", "zookeeper.", "log.cleaner.", "transaction."),
    together=frozenset(("retention.bytes", "retention_time", "segment", "segment_time", "retention_check")),
)
TABLES = {"kafka": KAFKA}
