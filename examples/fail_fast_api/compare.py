"""`python -m examples.fail_fast_api.compare`: the application under three loads, beside the same system in bpsim; `--write`
puts the table into the README."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from examples.fail_fast_api.drive import drained, drive, serving
from examples.fail_fast_api.settings import Settings

HERE = Path(__file__).parent
README = HERE / "README.md"
SCENARIO = HERE.parents[1] / "scenarios" / "fail_fast_429.yaml"
BEGIN, END = "<!-- compared -->", "<!-- /compared -->"
LOADS = {"half of what the broker takes": 0.5, "one and a half times": 1.5, "three times": 3.0}
SECONDS = 15.0
SIZE = 200
SEEDS = range(1, 11)
Figures = dict[str, float]
ROWS = {
    "accepted": "requests accepted (202)",
    "queue_full": "429, queue full",
    "rate_limited": "429, rate limited",
    "delivered_per_s": "records delivered a second",
    "peak_queue": "most records in the queue",
    "p50_ms": "p50 from produce to delivery report, ms",
    "p99_ms": "p99 from produce to delivery report, ms",
    "lost": "accepted records lost",
}


def observe(settings: Settings, rate: float) -> tuple[Figures, float]:
    """The real application under Poisson arrivals of `rate` a second, and the rate there really was."""
    with serving(settings) as url:
        tally = asyncio.run(drive(url, round(rate * SECONDS), rate, SIZE))
        stats = drained(url)
    latencies = np.asarray(stats["latencies_s"])
    p50, p99 = np.quantile(latencies, (0.5, 0.99)) * 1000
    return {
        **{answer: 100 * tally.answers[answer] / tally.sent for answer in ("accepted", "queue_full", "rate_limited")},
        "delivered_per_s": (stats["delivered"] - stats["peak_queue"]) / tally.took_s if rate > settings.capacity_per_s
        else stats["delivered"] / tally.took_s,
        "peak_queue": stats["peak_queue"],
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "lost": stats["accepted"] - stats["delivered"],
    }, tally.sent / tally.took_s  # fmt: skip
