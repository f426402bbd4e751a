"""`python -m examples.fail_fast_api.compare`: the application under three loads, beside the same system in bpsim; `--write`
puts the table into the README."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import typer

from bpsim.engine import run
from bpsim.metrics import ledger, summary
from bpsim.result import TIERS, Outcome, Result
from bpsim.scenario import Scenario
from bpsim.scenario_file import load
from examples.fail_fast_api.drive import drained, drive, serving
from examples.fail_fast_api.settings import Settings

HERE = Path(__file__).parent
README = HERE / "README.md"
SCENARIO = HERE.parents[1] / "scenarios" / "fail_fast_429.yaml"
BEGIN, END = "<!-- compared -->\n", "<!-- /compared -->\n"
LOADS = {"half of what the broker takes": 0.5, "one and a half times": 1.5, "three times": 3.0}
SECONDS = 20.0
SIZE = 200
SEEDS = range(1, 11)
ROWS = {
    "accepted": "requests accepted (202), %",
    "queue_full": "429, queue full, %",
    "rate_limited": "429, rate limited, %",
    "delivered_per_s": "records delivered a second",
    "peak_queue": "most records in the queue",
    "p50_ms": "from produce to delivery report, p50, ms",
    "p99_ms": "the same, p99, ms",
    "lost": "accepted records lost",
}


def observe(settings: Settings, load_: float) -> tuple[dict[str, float], float]:
    """The real application under Poisson arrivals of `load_` times its broker's capacity; and the rate it really met."""
    rate = load_ * settings.capacity_per_s
    with serving(settings) as url:
        tally = asyncio.run(drive(url, round(rate * SECONDS), rate, SIZE))
        delivered = httpx.get(f"{url}/stats", timeout=60).json()["delivered"]
        stats = drained(url)
    p50, p99 = 1000 * np.quantile(stats["latencies_s"], (0.5, 0.99))
    shares = {answer: 100 * tally.answers[answer] / tally.sent for answer in ("accepted", "queue_full", "rate_limited")}
    return shares | {
        "delivered_per_s": delivered / tally.took_s,
        "peak_queue": stats["peak_queue"],
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "lost": stats["accepted"] - stats["delivered"],
    }, tally.sent / tally.took_s


def equivalent(settings: Settings, rate: float) -> Scenario:
    """The variant `fail_fast` of scenarios/fail_fast_429.yaml with the application's sizes, and a steady load for its fault."""
    tree = load(SCENARIO).variants["fail_fast"].model_dump()
    steady = {"arrivals": {"kind": "poisson", "rate": rate}, "retry": {"kind": "none"}, "record_size": SIZE}
    for tier in ("consumer", "flink", "writer"):
        del tree[tier]
    return Scenario.model_validate(tree | {
        "duration": SECONDS,
        "faults": (),
        "client": tree["client"] | steady,
        "api": {
            "handler": "async", "service": 0.001,
            "admission": {"kind": "token_bucket", "rate": settings.limit_per_s, "burst": settings.limit_burst},
        },
        "producer": {
            "client": "librdkafka",
            "queue.buffering.max.messages": settings.queue_messages, "batch.num.messages": settings.batch_messages,
            "linger.ms": settings.linger_ms, "max.in.flight.requests.per.connection": 1,
        },
        "broker": {"partitions": 1, "ack_latency": settings.broker_rtt_ms / 1000},
    })  # fmt: skip


def simulate(scenario: Scenario, seed: int) -> dict[str, float]:
    """The same figures of a simulated run."""
    result = run(scenario, seed)
    attempts, records = result.tables["attempts"], result.tables["records"]
    served = ~np.isnan(attempts["served_s"])
    rejected = attempts["outcome"] == Outcome.REJECTED
    latencies = 1000 * acknowledged(result)
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    lines = ledger(result)["records"]
    return {
        "accepted": 100 * float((attempts["outcome"] == Outcome.OK).mean()),
        "queue_full": 100 * float((rejected & served).mean()),
        "rate_limited": 100 * float((rejected & ~served).mean()),
        "delivered_per_s": len(latencies) / SECONDS,
        "peak_queue": summary(result)["producer_peak_records"],
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "lost": float(len(records["fate"]) - lines["in_producer"] - lines["in_broker"]),
    }


def acknowledged(result: Result) -> np.ndarray[Any, Any]:
    """Seconds from producing to the ack, of every record that was acknowledged."""
    hops = result.tables["hops"]
    mine = (hops["tier"] == TIERS.index("producer")) & ~np.isnan(hops["left_s"]) & (hops["count"] > 0)
    first, count, left = (hops[name][mine] for name in ("first", "count", "left_s"))
    record = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
    return np.repeat(left, count) - result.tables["records"]["produced_s"][record]


def lines(settings: Settings) -> Iterator[str]:
    """The section of the README: a table for each load."""
    yield f"A queue of {settings.queue_messages} messages before a broker that takes {settings.capacity_per_s:.0f}/s; the"
    yield f"limiter lets {settings.limit_per_s:.0f}/s through. {SECONDS:.0f} s each; simulated: the mean of {len(SEEDS)} seeds"
    yield "± their standard deviation, at the rate that the application really met."
    for words, load_ in LOADS.items():
        observed, rate = observe(settings, load_)
        runs = [simulate(equivalent(settings, rate), seed) for seed in SEEDS]
        yield ""
        yield f"| {words}: {rate:.0f}/s | observed | simulated |"
        yield "|---|--:|--:|"
        for name, label in ROWS.items():
            values = [figures[name] for figures in runs]
            yield f"| {label} | {observed[name]:.4g} | {np.mean(values):.4g} ± {np.std(values):.2g} |"


def main(write: bool = False) -> None:
    """Print the comparison; `--write` renews it in the README."""
    section = "\n".join(lines(Settings())) + "\n"
    typer.echo(section)
    if write:
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        README.write_text(before + BEGIN + "\n" + section + "\n" + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
