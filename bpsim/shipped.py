"""The scenarios that come with bpsim, and smaller ones of the same behaviour for where time is short."""

from __future__ import annotations

from pathlib import Path

SMALLER: dict[str, tuple[str, ...]] = {
    "death_spiral": (
        "client.arrivals.rate=100/s", "api.workers=8", "api.service.mean=62.5 ms", "producer.linger=100 ms",
        "variants.fail_fast.api.queue.records=30",
    ),
    "fail_fast_429": (
        "client.arrivals.rate=200/s", "broker.throughput=512 kB/s", "broker.ack_latency=31.25 ms",
        "variants.fail_fast.producer.buffer.records=120", "variants.block.producer.buffer.bytes=800 kB",
        "variants.fail_fast_too_deep.producer.buffer.bytes=800 kB",
    ),
    "slow_database": (
        "client.arrivals.rate=100/s", "api.workers=13", "producer.buffer.bytes=100 kB", "producer.batch.bytes=3.2 kB",
        "producer.linger=25 ms", "variants.hold.broker.retention.bytes=400 kB", "consumer.max_poll_records=20",
        "flink.service.mean=5 ms", "flink.network_buffers.bytes=128 kB", "writer.batch_rows=20",
        "writer.batch_interval=100 ms", "writer.per_row=2.5 ms", "writer.buffer.records=60",
    ),
}  # fmt: skip
"""Settings of a smaller system of the same utilisation, where the full one takes many seconds; `tests/test_scenarios.py`
holds the file's claims with them."""


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
