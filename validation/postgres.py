"""A real database (PostgreSQL 15), held against bpsim's writer: `python -m validation --only postgres-measured`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bpsim.result import TIERS, Result
from bpsim.scenario import Scenario
from validation.rows import Effort, Row, always, near, run, within_noise

MEASURED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "postgres_measured.json").read_text(encoding="utf-8"))
SEEDS = range(1, 11)


def writer(arrivals: dict[str, Any], duration: float, faults: tuple[dict[str, Any], ...] = (), **options: Any) -> Scenario:
    """Records go straight to the writer, at once."""
    return Scenario.model_validate({
        "question": "?", "duration": duration, "client": {"arrivals": arrivals}, "faults": faults,
        "api": {"workers": 1000, "service": 0.0},
        "producer": {"linger": 0.0, "batch": {"records": 1000}},
        "broker": {"ack_latency": 0.0},
        "consumer": {"fetch_latency": 0.0, "max_poll_records": 100_000},
        "writer": {"buffer": {}} | options,
    })  # fmt: skip


def inserts(result: Result) -> dict[str, Any]:
    """The writer's rows of `hops`."""
    hops = result.tables["hops"]
    mine = hops["tier"] == TIERS.index("writer")
    return {name: column[mine] for name, column in hops.items()}


def cost(fit: dict[str, Any], rows: int) -> float:
    """Milliseconds that a full insert of so many rows takes here, with the fitted a and b."""
    enough = {"kind": "deterministic", "rate": 5.0 * rows / 0.1}
    per_insert, per_row = fit["per_commit_ms"] / 1000, fit["per_row_ms"] / 1000
    result = run(writer(enough, 0.1, batch_rows=rows, batch_interval=10.0, per_insert=per_insert, per_row=per_row))
    found = inserts(result)
    took = (found["served_s"] - found["started_s"])[~np.isnan(found["served_s"])]
    return 1000 * float(took.mean())


def batches() -> list[Row]:
    """Cost against rows: how far a + b·rows, fitted by the harness to all four sizes, is from each of them."""
    rows = []
    for fit in MEASURED["batch"]["fits"]:
        said = f"synchronous_commit {fit['synchronous_commit']}, {fit['indexes']} indexes"
        for real in MEASURED["batch"]["rows"]:
            if all(real[key] == fit[key] for key in ("synchronous_commit", "indexes")):
                p50 = real["total_p50_ms"]
                within = fit["max_rel_err"] * p50 + 0.0005
                claim = f"{said}: an insert of {real['batch']} rows"
                rows.append(near(claim, p50, cost(fit, real["batch"]), within, "the fit's largest error", " ms"))
    return rows


def _locked(seed: int) -> list[float]:
    """Longest queue, rows written in the first second after the lock, longest wait in ms."""
    lock, fit = MEASURED["lock"]["params"], MEASURED["batch"]["fits"][0]
    arrivals = {"kind": "poisson", "rate": lock["batches_per_s"]}
    per_insert = (fit["per_commit_ms"] + lock["rows_per_batch"] * fit["per_row_ms"]) / 1000
    fault = {"kind": "lock", "target": "writer", "at": 10.0, "lasts": 10.0}
    pool = lock["pool"]
    result = run(writer(arrivals, lock["duration"], (fault,), connections=pool, batch_rows=1, per_insert=per_insert), seed)
    found = inserts(result)
    ends, count = found["left_s"], found["count"]
    waiting = float(count[(found["entered_s"] < 20.0) & (found["started_s"] >= 20.0)].sum())
    drained = float(count[(ends >= 20.0) & (ends < 21.0)].sum())
    return [waiting, drained, 1000 * float(np.nanmax(ends - found["entered_s"]))]


def lock(effort: Effort) -> list[Row]:
    """Ten seconds of ACCESS EXCLUSIVE under a pool of 8 without timeouts; a record here is one of its batches."""
    real, seeds = MEASURED["lock"]["summary"], effort.map(_locked, SEEDS)
    claims = {
        "batches without a connection at its end": real["max_queue"],
        "batches done in the second after it": real["done_in_second_20"],
        "longest wait in ms": real["max_lat_ms"],
    }
    rows = [
        within_noise(f"table lock: {claim}", [value], [[seed[index]] for seed in seeds], len(claims))
        for index, (claim, value) in enumerate(claims.items())
    ]
    all_drained = [drained >= waiting for waiting, drained, _ in seeds]
    return [*rows, always("table lock: whoever waited is written within a second, and nothing fails", "0 failed", all_drained)]


def measured(effort: Effort) -> list[Row]:
    """Batches and the lock."""
    return batches() + lock(effort)
