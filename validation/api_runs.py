"""A real API under overload (FastAPI, uvicorn), held against bpsim: `python -m validation --only api-measured`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bpsim.result import Outcome, Result
from bpsim.scenario import Scenario
from validation.rows import Effort, Row, run, station, within_noise

MEASURED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "api_measured.json").read_text(encoding="utf-8")
)["runs"]
SEEDS = range(1, 11)
COUNTS = ("goodput", "r429", "timeouts", "attempts")
QUEUE = "queue"
Numbers = np.ndarray[Any, Any]


def scenario(params: dict[str, Any]) -> Scenario:
    """The same run here. Of the policies the harness had, those that params name: bounds, attempts, backoff, LIFO, dropping."""
    policy, trigger = params["params"], params["trigger"]
    retry: dict[str, Any] = {"kind": "none"}
    if policy["att"] > 1:
        retry = {"kind": "immediate", "max_attempts": policy["att"]}
        if policy["bo"]:
            retry |= {"kind": "exponential", "base": 0.5, "cap": 8.0}
    client = {
        "arrivals": {"kind": "poisson", "rate": params["offered"]},
        "timeout": params["timeout_s"],
        "retry": retry,
        "record_size": params["payload"],
    }
    api = {
        "workers": params["workers"],
        "service": {"kind": "exponential", "mean": params["service_mean_s"]},
        "queue": {"records": policy["qmax"]} if policy["qmax"] else {},
        "order": "lifo" if policy["lifo"] else "fifo",
        "expired": "skip" if policy["drop"] else "serve",
    }
    slow = {
        "kind": "slow_requests", "factor": trigger["slow_factor"],
        "at": trigger["start"], "lasts": trigger["end"] - trigger["start"],
    }  # fmt: skip
    return station(client, api, params["duration"], [slow])


def by_second(result: Result) -> dict[str, Numbers]:
    """What the harness counted, of a simulated run."""
    requests, attempts = result.tables["requests"], result.tables["attempts"]
    edges = np.arange(0.0, result.duration_s + 1.0)

    def count(times: Numbers) -> Numbers:
        return np.histogram(times[~np.isnan(times)], edges)[0]

    def ended(outcome: Outcome) -> Numbers:
        return count(attempts["ended_s"][attempts["outcome"] == outcome])

    came = np.sort(attempts["admitted_s"][~np.isnan(attempts["admitted_s"])])
    began = np.sort(attempts["started_s"][~np.isnan(attempts["started_s"])])
    waiting = np.searchsorted(came, edges[:-1], "right") - np.searchsorted(began, edges[:-1], "right")
    return {
        "offered": count(requests["born_s"]),
        "attempts": count(attempts["sent_s"]),
        "goodput": ended(Outcome.OK),
        "r429": ended(Outcome.REJECTED),
        "timeouts": ended(Outcome.TIMED_OUT),
        QUEUE: waiting,
    }


def phases(params: dict[str, Any]) -> list[tuple[int, int]]:
    """Before, during, 20 s after, and the last 40 s: as the harness cut its series."""
    begin, end, last = params["trigger"]["start"], params["trigger"]["end"], params["duration"]
    return [(10, begin), (begin, end), (end, end + 20), (last - 40, last)]


def means(series: dict[str, Any], params: dict[str, Any]) -> dict[str, list[float]]:
    """Of each count a second in each phase; of the queue, its length at the phase's end."""
    found = {name: [float(np.mean(series[name][a:b])) for a, b in phases(params)] for name in COUNTS}
    return found | {QUEUE: [_last(series[QUEUE][:b]) for _, b in phases(params)]}


def _last(samples: Any) -> float:
    """The last one that was taken."""
    return float(next(sample for sample in reversed(samples) if sample is not None))


def recovers(series: dict[str, Any], params: dict[str, Any]) -> bool:
    """Whether at the end, and for 5 s, at least half of the requests succeed."""
    return bool(sum(series["goodput"][-5:]) >= 0.5 * sum(series["offered"][-5:]))


def _simulated(job: tuple[str, int]) -> tuple[dict[str, list[float]], bool]:
    name, seed = job
    params = MEASURED[name]["params"]
    series = by_second(run(scenario(params), seed))
    return means(series, params), recovers(series, params)


def measured(effort: Effort) -> list[Row]:
    """Each run, against ten seeds."""
    jobs = [(name, seed) for name in MEASURED for seed in SEEDS]
    found = dict(zip(jobs, effort.map(_simulated, jobs), strict=True))
    rows = []
    for name, real in MEASURED.items():
        series = real["series"] | {QUEUE: real["series"]["qlen"]}
        theirs = means(series, real["params"])
        ours = [found[name, seed] for seed in SEEDS]
        for what in (*COUNTS, QUEUE):
            unit = "queue length at the end" if what == QUEUE else f"{what} a second"
            claim = f"`{name}`: {unit} of before / during / 20 s after / last 40 s"
            rows.append(within_noise(claim, theirs[what], [means_[what] for means_, _ in ours], 4 * (len(COUNTS) + 1)))
        rows.append(_verdict(name, recovers(series, real["params"]), [verdict for _, verdict in ours]))
    return rows


def _verdict(name: str, real: bool, ours: list[bool]) -> Row:
    said = "recovers" if real else "does not recover"
    same = sum(verdict == real for verdict in ours)
    return Row(f"`{name}`: recovery", said, f"{same} of {len(ours)} seeds: {said}", "most seeds", same > len(ours) / 2)
