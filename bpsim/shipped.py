"""The scenarios that come with bpsim, and smaller ones of the same behaviour for where time is short."""

from __future__ import annotations

from pathlib import Path


def _points(where: str, *rates: int) -> tuple[str, ...]:
    return tuple(f"{where}client.arrivals.points.{i}.rate={rate}/s" for i, rate in enumerate(rates))


SMALLER: dict[str, tuple[str, ...]] = {
    "death_spiral": (
        "client.arrivals.rate=60/s", "api.workers=5", "api.service.mean=65 ms", "producer.linger=150 ms",
        "variants.fail_fast.api.queue.records=18",
    ),
    "fail_fast_429": (
        "duration=180 s", "client.arrivals.rate=100/s", "broker.throughput=256 kB/s", "broker.ack_latency=62.5 ms",
        "variants.fail_fast.producer.buffer.records=60", "variants.block.producer.buffer.bytes=400 kB",
        "variants.fail_fast_too_deep.producer.buffer.bytes=400 kB",
    ),
    "slow_database": (
        "duration=210 s", "faults.0.at=30 s", "client.arrivals.rate=100/s", "api.workers=13",
        "producer.buffer.bytes=100 kB", "producer.batch.bytes=3.2 kB", "producer.linger=25 ms",
        "variants.hold.broker.retention.bytes=400 kB", "consumer.max_poll_records=20",
        "flink.service.mean=5 ms", "flink.network_buffers.bytes=128 kB", "writer.batch_rows=20",
        "writer.batch_interval=100 ms", "writer.per_row=2.5 ms", "writer.buffer.records=60",
    ),
    "partition_and_heal": (
        "duration=75 s", "client.arrivals.rate=100/s", "client.record_size=2 kB", "api.workers=20",
        "flink.service.mean=10 ms", "writer.batch_rows=50", "faults.0.at=20 s", "variants.broker_to_consumer.faults.0.at=20 s",
    ),
    "retry_budget": (
        "client.arrivals.rate=96/s", "api.workers=6", "variants.bucket.client.instances=5", "variants.aws.client.instances=5",
        "variants.grpc.client.instances=5", "variants.errors_bucket.client.instances=5",
    ),
    "circuit_breaker": (
        "duration=150 s", "faults.0.at=20 s", "variants.partial_failure.faults.0.at=20 s",
        "variants.one_bad_shard.faults.0.at=20 s", "variants.one_bad_shard_no_breaker.faults.0.at=20 s",
    ),
    "big_buffers": ("client.arrivals.rate=50/s", "client.record_size=200 kB", "producer.batch.bytes=200 kB"),
    "ramp_vs_spike": (
        "duration=140 s", "api.contention=5 ms", *_points("", 80, 160, 80), *_points("variants.ramp_naive.", 80, 160, 80),
        *_points("variants.ramp_backoff.", 80, 160, 80),
    ),
    "adaptive_limit": ("duration=110 s", "faults.0.at=20 s"),
    "lifo_vs_fifo": (
        *_points("", 20, 60, 20), "api.service.mean=25 ms", "variants.adaptive_lifo.api.lifo_above=20",
        "variants.short_queue.api.queue.records=100",
    ),
    "codel": (*_points("", 350, 650, 350), "api.workers=5", "variants.short_queue.api.queue.records=50"),
    "retention_loss": ("duration=190 s", "faults.0.at=20 s"),
    "broker_hold": ("duration=100 s", "faults.0.at=20 s"),
    "checkpoint_timeout": ("duration=100 s",),
    "slow_sql": ("duration=290 s",),
    "hot_partition": ("duration=200 s", "faults.0.at=20 s"),
}  # fmt: skip
"""Settings of a smaller system of the same utilisation, or of earlier trouble and a shorter run, where the file as it stands
takes many seconds; `tests/test_scenarios.py` holds the file's claims with them."""


def folder() -> Path:
    """The shipped scenarios: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "scenarios"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "scenarios"


def names() -> list[str]:
    """Their names, in order."""
    return sorted(file.stem for file in folder().glob("*.yaml"))


def text(name: str) -> str:
    """The file of that name. Raises `KeyError` for a name that is not among `names`."""
    if name not in names():
        raise KeyError(name)
    return (folder() / f"{name}.yaml").read_text(encoding="utf-8")
