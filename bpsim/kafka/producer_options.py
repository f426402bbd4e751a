"""The options of the Java producer and of librdkafka's (kafka.apache.org/documentation, librdkafka's CONFIGURATION.md)."""

from __future__ import annotations

from bpsim.kafka.option import (
    FLAG,
    Anything,
    Choice,
    Fraction,
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
)

ACKS = Choice((("all", "all"), ("-1", "all"), ("0", "0"), ("1", "1")))
NAMES_ONLY = "it names or decorates, and takes no time"
PREFIXES = ("security.", "ssl.", "sasl.", "metrics.", "metric.", "auto.include.jmx", "log.", "enable.ssl", "enable.sasl")
COMPRESSION = "a record is as large as client.record_size says: give its compressed size there"
METADATA = "where partitions live is known from the start"
SOCKETS = "the network has no bandwidth here"

JAVA = Table(
    "the Java producer",
    "4.1",
    (
        option("buffer.memory", size(), 33_554_432, "buffer.bytes"),
        option("batch.size", size(0, 2**31 - 1), 16_384, "batch.bytes"),
        option("linger.ms", milliseconds(0, 2**63 - 1), 5, "linger", older=((4, 0), 0)),
        option("max.block.ms", milliseconds(0, 2**63 - 1), 60_000, "max_block"),
        option("max.request.size", size(0, 2**31 - 1), 1_048_576, "max_request"),
        option("max.in.flight.requests.per.connection", count(1), 5, "max_in_flight"),
        option("acks", ACKS, "all", "acks"),
        option("retries", count(), 2_147_483_647, "retries"),
        option("retry.backoff.ms", milliseconds(0, 2**63 - 1), 100, "retry_backoff"),
        option("retry.backoff.max.ms", milliseconds(0, 2**63 - 1), 1000, "retry_backoff_max"),
        option("delivery.timeout.ms", milliseconds(), 120_000, "delivery_timeout"),
        option("request.timeout.ms", milliseconds(), 30_000, "request_timeout"),
        option("reconnect.backoff.ms", milliseconds(0, 2**63 - 1), 50, "reconnect_backoff"),
        option("reconnect.backoff.max.ms", milliseconds(0, 2**63 - 1), 1000, "reconnect_backoff_max"),
        option("enable.idempotence", FLAG, "true", "idempotence", older=((3, 0), "false")),
        option("partitioner.ignore.keys", FLAG, "false", "ignore_keys"),
        option("partitioner.adaptive.partitioning.enable", FLAG, "true", "adaptive"),
        not_modelled(
            "partitioner.availability.timeout.ms", milliseconds(0, 2**63 - 1), 0, "a stuck leader keeps its partitions"
        ),
        Option(("partitioner.class",), Anything(), not_modelled="the built-in partitioner is the one here (KIP-794)"),
        Option(("transactional.id",), Anything(), not_modelled="there are no transactions here"),
        *ignored("transaction.timeout.ms transaction.two.phase.commit.enable", "there are no transactions here"),
        *ignored("compression.type compression.gzip.level compression.lz4.level compression.zstd.level", COMPRESSION),
        *ignored("bootstrap.servers client.dns.lookup bootstrap.connect.mode", METADATA),
        *ignored("metadata.max.age.ms metadata.max.idle.ms metadata.recovery.strategy", METADATA),
        *ignored("metadata.recovery.rebootstrap.trigger.ms connections.max.idle.ms", METADATA),
        *ignored("socket.connection.setup.timeout.ms socket.connection.setup.timeout.max.ms", METADATA),
        *ignored("send.buffer.bytes receive.buffer.bytes", SOCKETS),
        *ignored("client.id key.serializer value.serializer interceptor.classes config.providers", NAMES_ONLY),
        *ignored("enable.metrics.push", NAMES_ONLY),
    ),
    PREFIXES,
)

LIBRDKAFKA = Table(
    "librdkafka's producer",
    "2.16",
    (
        option("queue.buffering.max.kbytes", size(1, 2_147_483_647, kilo=True), 1_048_576, "buffer.bytes"),
        option("queue.buffering.max.messages", count(0, 2_147_483_647, unlimited=0), 100_000, "buffer.records"),
        option("batch.size", size(1, 2_147_483_647), 1_000_000, "batch.bytes"),
        option("batch.num.messages", count(1, 1_000_000), 10_000, "batch.records"),
        option("linger.ms queue.buffering.max.ms", Fraction(0, 900_000), 5, "linger", older=((1, 5), 0.5)),
        option("message.max.bytes", size(1000, 1_000_000_000), 1_000_000, "max_request"),
        option("max.in.flight.requests.per.connection max.in.flight", count(1, 1_000_000), 1_000_000, "max_in_flight"),
        option("acks request.required.acks", ACKS, "all", "acks"),
        option("retries message.send.max.retries", count(), 2_147_483_647, "retries"),
        option("retry.backoff.ms", milliseconds(1, 300_000), 100, "retry_backoff"),
        option("retry.backoff.max.ms", milliseconds(1, 300_000), 1000, "retry_backoff_max"),
        option("message.timeout.ms delivery.timeout.ms", milliseconds(unlimited=0), 300_000, "delivery_timeout"),
        option("socket.timeout.ms", milliseconds(10, 300_000), 60_000, "request_timeout"),
        option("reconnect.backoff.ms", milliseconds(0, 3_600_000), 100, "reconnect_backoff"),
        option("reconnect.backoff.max.ms", milliseconds(0, 3_600_000), 10_000, "reconnect_backoff_max"),
        option("enable.idempotence", FLAG, "false", "idempotence"),
        option("sticky.partitioning.linger.ms", milliseconds(0, 900_000), 10, "sticky_linger"),
        option(
            "partitioner",
            words("consistent_random", "consistent", "murmur2_random", "murmur2", "random"),
            "consistent_random",
            "partitioner",
        ),
        not_modelled(
            "queue.buffering.backpressure.threshold", count(1, 1_000_000), 1, "requests are written to the socket at once"
        ),
        not_modelled("socket.max.fails", count(0, 1_000_000), 1, "the first timeout drops the connection"),
        Option(("transactional.id",), Anything(), not_modelled="there are no transactions here"),
        *ignored("request.timeout.ms", "it is the broker's limit for replication; socket.timeout.ms is what acts here"),
        *ignored("transaction.timeout.ms enable.gapless.guarantee", "there are no transactions here"),
        *ignored("compression.type compression.codec compression.level message.copy.max.bytes", COMPRESSION),
        *ignored("bootstrap.servers metadata.broker.list client.dns.lookup broker.address.family broker.address.ttl", METADATA),
        *ignored("metadata.max.age.ms topic.metadata.refresh.interval.ms topic.metadata.refresh.fast.interval.ms", METADATA),
        *ignored("topic.metadata.refresh.sparse topic.metadata.propagation.max.ms topic.blacklist", METADATA),
        *ignored("connections.max.idle.ms socket.connection.setup.timeout.ms", METADATA),
        *ignored(
            "api.version.request api.version.request.timeout.ms api.version.fallback.ms broker.version.fallback", METADATA
        ),
        *ignored("socket.send.buffer.bytes socket.receive.buffer.bytes socket.keepalive.enable socket.nagle.disable", SOCKETS),
        *ignored("socket.blocking.max.ms receive.message.max.bytes", SOCKETS),
        *ignored(
            "client.id client.rack client.software.name client.software.version builtin.features plugin.library.paths",
            NAMES_ONLY,
        ),
        *ignored(
            "debug log_level log_cb stats_cb error_cb throttle_cb dr_cb dr_msg_cb opaque statistics.interval.ms", NAMES_ONLY
        ),
        *ignored("delivery.report.only.error internal.termination.signal interceptors default_topic_conf", NAMES_ONLY),
    ),
    PREFIXES,
    librdkafka_refuses,
)
TABLES = {"java": JAVA, "librdkafka": LIBRDKAFKA}
