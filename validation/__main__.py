"""`python -m validation`: every published claim, held against bpsim; `--write` makes docs/validation.md of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from validation import api_runs, flink_jobs, kafka_clients, laws, metastable, policies, postgres
from validation.rows import Effort, Row

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "validation.md"
PUBLISHED: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads((HERE / "data" / "published.json").read_text(encoding="utf-8"))
}
ON_TWO_CORES = "run on a 2-core machine for this project"
PUBLISHED["api-measured"] = {
    "claim": "A real API under overload: its queue bounded or not, its clients patient or not, five times slower for 20 s",
    "source_url": f"https://fastapi.tiangolo.com (FastAPI and uvicorn, {ON_TWO_CORES})",
}
PUBLISHED["postgres-measured"] = {
    "claim": "A real database: what a batch costs by its rows, and ten seconds of a table lock",
    "source_url": f"https://www.postgresql.org (PostgreSQL 15, {ON_TWO_CORES})",
}
PUBLISHED["flink-measured"] = {
    "claim": "Jobs of Flink 2.3 and 1.20 under load: latency in buffers, debloated sizes, queues, checkpoints, a slow-down",
    "source_url": f"https://nightlies.apache.org/flink/ (released versions, {ON_TWO_CORES})",
}
PUBLISHED["flink-of-the-machine"] = {"claim": "Three figures of those jobs that tell of the machine they ran on"}
PUBLISHED["kafka-measured"] = {
    "claim": "A real Kafka client: how its queue fills and drains, what linger costs, and a broker that stands still for 15 s",
    "source_url": f"https://github.com/confluentinc/librdkafka (2.16 with its mock broker, {ON_TWO_CORES})",
}
COMPARISONS: dict[str, Callable[..., list[Row]]] = {
    "hotos25-running-example": metastable.running_example,
    "hotos25-mitigations-derived": metastable.mitigations,
    "osdi22-cstable": lambda effort: metastable.stable_capacity(effort) + metastable.mongodb(effort),
    "gc-pause-deterministic": metastable.gc_pause,
    "stability-sim-goodput-collapse": metastable.stale_queue,
    "brooker-simple-collapse": metastable.simple_collapse,
    "brooker-open-closed-exp": policies.open_and_closed,
    "brooker-retry-strategies": policies.retry_strategies,
    "brooker-retry-client-count": policies.client_count,
    "aws-backoff-simulator": policies.jitter,
    "botocore-cubic-vectors": laws.cubic,
    "aws-retry-quota": laws.aws_quota,
    "finagle-retry-budget": laws.finagle_budget,
    "grpc-retry-throttling": laws.grpc_throttle,
    "sre-adaptive-throttling": policies.sre_throttle,
    "sre-amplification": laws.multiplication,
    "codel-control-law": laws.codel_law,
    "facebook-codel-request-queue": laws.request_codel,
    "tail-at-scale": lambda effort: laws.fan_out(effort) + policies.hedging(effort),
    "coordinated-omission-tene": policies.omission,
    "hunt-hillier-boling": laws.blocked_lines,
    "brooker-utilization": laws.utilization,
    "flink-bdp": laws.bandwidth_delay,
    "flink-measured": flink_jobs.measured,
    "flink-buffer-size-ema-vectors": laws.buffer_size_ema,
    "flink-buffer-debloater-vectors": laws.buffer_debloater,
    "api-measured": api_runs.measured,
    "postgres-measured": postgres.measured,
    "kafka-measured": kafka_clients.clients,
    "msf-model": laws.timeout_behind_a_queue,
}
"""By the entry of published.json. A comparison that asks for more than the effort gets the entry."""
WITH_ENTRY = {
    "brooker-retry-strategies", "brooker-retry-client-count", "aws-backoff-simulator", "botocore-cubic-vectors",
    "codel-control-law", "hunt-hillier-boling", "flink-buffer-size-ema-vectors", "flink-buffer-debloater-vectors",
}  # fmt: skip
NOT_COMPARED = {
    "hotos21-lookaside-cache": "the model has no cache that requests fill; the published part is 3000 · (1 − 0.9) = 300",
    "osdi22-statistics": "statistics of incidents, nothing to simulate",
    "brooker-bimodal-timeout": "there a job is replaced when it completes late; bpsim's clients retry when they time out",
    "brooker-lorenz": "arithmetic on five published percentiles; bpsim has every latency",
    "kafka-e2e-latency": "measured on hardware of its own; a calibration, no property of the model",
    "kafka-linkedin-latency": "measured on hardware of its own, and the page could not be read",
    "flink-of-the-machine": "; ".join(f"{row}: {why}" for row, why in flink_jobs.OF_THE_MACHINE.items()),
    "dagor": "the published part is p^k; requests here make one call each",
}


def compare(name: str, effort: Effort) -> list[Row]:
    """The rows of one entry."""
    arguments = (PUBLISHED[name],) if name in WITH_ENTRY else ()
    return COMPARISONS[name](effort, *arguments)


def document(found: dict[str, list[Row]], effort: Effort) -> Iterator[str]:
    """The lines of docs/validation.md."""
    rows = [row for rows in found.values() for row in rows]
    yield "# Validation"
    yield ""
    command = "python -m validation --full --write" if effort.full else "python -m validation --write"
    yield f"Generated by `{command}` with bpsim {version('bpsim')} from `validation/data/published.json`. "
    yield f"{sum(row.holds for row in rows)} of {len(rows)} comparisons hold; {len(NOT_COMPARED)} of {len(PUBLISHED)} published"
    yield "entries cannot be compared, with the reason at the end. Closed forms of queueing theory are held by"
    yield "`tests/test_queueing.py` and `tests/test_stage.py`. Tolerances are published ones or follow from run lengths."
    for name, rows in found.items():
        entry = PUBLISHED[name]
        yield ""
        yield f"## {entry['claim']}"
        yield ""
        source = entry["source_url"]
        yield f"`{name}` · {source if source.startswith('http') else 'derived for this project, facts/overload.md, C1'}"
        yield ""
        yield "| | published | bpsim | tolerance | |"
        yield "|---|---|---|---|---|"
        for row in rows:
            cells = " | ".join(cell.replace("|", "\\|") for cell in (row.claim, row.published, row.found, row.tolerance))
            yield f"| {cells} | {'holds' if row.holds else '**differs**'} |"
    yield ""
    yield "## Not compared"
    yield ""
    yield "| entry | why |"
    yield "|---|---|"
    for name, why in NOT_COMPARED.items():
        yield f"| {PUBLISHED[name]['claim']} (`{name}`) | {why} |"


def written(text: str) -> dict[str, list[Row]]:
    """The rows that docs/validation.md already has, by entry."""
    found: dict[str, list[Row]] = {}
    rows: list[Row] = []
    for line in text.partition("## Not compared")[0].splitlines():
        if line.startswith("`") and "` · " in line:
            rows = found[line[1 : line.index("` · ")]] = []
        elif line.startswith("| ") and not line.startswith("| | "):
            *cells, verdict = (cell.replace("\\|", "|") for cell in line.strip("| ").split(" | "))
            rows.append(Row(*cells, holds=verdict == "holds"))
    return found


def main(full: bool = False, write: bool = False, only: str = "", jobs: int = 2) -> None:
    """Hold bpsim against what others published; --full uses every seed, --write renews docs/validation.md, or with --only
    one section of it."""
    effort = Effort(full, jobs)
    found = {}
    for name in [only] if only else COMPARISONS:
        found[name] = compare(name, effort)
        for row in found[name]:
            typer.echo(
                f"{'holds  ' if row.holds else 'DIFFERS'} {name}: {row.claim}: {row.published} / {row.found} ({row.tolerance})"
            )
    if write:
        known = written(DOCUMENT.read_text(encoding="utf-8")) if only else {}
        rows_of = {name: rows for name in COMPARISONS if (rows := found.get(name) or known.get(name))}
        DOCUMENT.write_text("\n".join(document(rows_of, effort)) + "\n", encoding="utf-8")
    raise typer.Exit(0 if all(row.holds for rows in found.values() for row in rows) else 1)


if __name__ == "__main__":
    typer.run(main)
