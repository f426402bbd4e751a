"""Published collapses: do they happen here, and do they end where they are said to end?"""

from __future__ import annotations

from typing import Any

import numpy as np

from validation.rows import (
    Effort,
    Row,
    always,
    amplification,
    between,
    exact,
    goodput,
    near,
    offered,
    proportion,
    run,
    station,
    success_share,
)  # fmt: skip


def exponential(mean: float) -> dict[str, Any]:
    """An exponential law."""
    return {"kind": "exponential", "mean": mean}


def hotos25(
    seed: int, places: int = 150, client: dict[str, Any] | None = None, **api: Any
) -> tuple[float, float, float, float]:
    """One thread at 10/s, patience 5 s, 5 retries; 5, 15, 5 requests a second for 5, 10, 30 minutes. Returns, over the last
    5 minutes, goodput per arrival and attempts per request; then goodput during the peak, and seconds to recover."""
    points = [{"at": 0.0, "rate": 5}, {"at": 300.0, "rate": 15}, {"at": 900.0, "rate": 5}]
    clients = {
        "arrivals": {"kind": "piecewise", "points": points},
        "timeout": 5.0,
        "retry": {"kind": "immediate", "max_attempts": 6},
    }
    server = {"workers": 1, "service": exponential(0.1), "queue": {"records": places}, "on_full": "drop"}
    result = run(station(clients | (client or {}), server | api, 2700.0), seed)
    minutes = [goodput(result, t, t + 60) > 0.9 * offered(result, t, t + 60) for t in range(900, 2700, 60)]
    bad = [index for index, good in enumerate(minutes) if not good]
    recovery = 60.0 * (bad[-1] + 1) if bad else 0.0
    return (
        goodput(result, 2400, 2700) / offered(result, 2400, 2700),
        amplification(result, 2300, 2600),
        goodput(result, 300, 900),
        recovery,
    )


def _bound(job: tuple[int, int]) -> tuple[float, float, float, float]:
    return hotos25(*job)


def running_example(effort: Effort) -> list[Row]:
    """hotos25-running-example."""
    seeds = effort.seeds(4, 10)
    long = effort.map(_bound, [(seed, 150) for seed in seeds])
    short = effort.map(_bound, [(seed, 35) for seed in seeds])
    return [
        always("queue bound 150: no recovery in 30 min (goodput ≤ 2 % of arrivals)", "stuck", [r[0] <= 0.02 for r in long]),
        near("queue bound 150: attempts per request", 6.0, float(np.mean([r[1] for r in long])), 0.2, "published"),
        always("queue bound 35: recovers (goodput ≥ 97 % of arrivals)", "recovers", [r[0] >= 0.97 for r in short]),
    ]


EXP = {"kind": "exponential", "base": 1.0, "max_attempts": 6}
MITIGATIONS: dict[str, dict[str, Any]] = {
    "deadline-aware dequeue": {"expired": "skip"},
    "LIFO": {"order": "lifo"},
    "fast 429 with queue 150": {"on_full": "reject"},
    "fast 429 with queue 35": {"on_full": "reject", "places": 35},
    "0 retries": {"client": {"retry": {"kind": "none"}}},
    "1 retry": {"client": {"retry": {"kind": "immediate", "max_attempts": 2}}},
    "retry budget 10 %": {"client": {"retry": {"kind": "immediate", "max_attempts": 6, "budget": {"kind": "bucket"}}}},
    "exponential backoff, full jitter, cap 20 s": {"client": {"retry": EXP | {"cap": 20.0}}},
    "exponential backoff, full jitter, cap 300 s": {"client": {"retry": EXP | {"cap": 300.0}}},
}


def _mitigated(job: tuple[str, int]) -> tuple[float, float, float, float]:
    return hotos25(job[1], **MITIGATIONS[job[0]])


def mitigations(effort: Effort) -> list[Row]:
    """hotos25-mitigations-derived."""
    seeds = effort.seeds(2, 4)
    jobs = [(name, seed) for name in MITIGATIONS for seed in seeds]
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in MITIGATIONS}
    for (name, _), row in zip(jobs, effort.map(_mitigated, jobs), strict=True):
        found[name].append(row)

    def during(name: str) -> float:
        return float(np.mean([row[2] for row in found[name]]))

    rows = [
        always(f"{name}: goodput is back within {limit // 60} min", said, [row[3] <= limit for row in found[name]])
        for name, said, limit in (
            ("deadline-aware dequeue", "recovers at once", 60),
            ("LIFO", "recovers at once", 60),
            ("fast 429 with queue 35", "recovers at once", 60),
            ("retry budget 10 %", "recovers in ~1 min", 180),
            ("0 retries", "recovers in ~1 min", 120),
        )
    ]
    slow = sorted(row[3] / 60 for row in found["1 retry"])
    rows.append(
        between("1 retry (load and retries just equal capacity): median minutes to recover", "2–5", slow[len(slow) // 2], 2, 30,
                "critical: over 20 seeds 2 to 26 min, half of them within 5")
    )  # fmt: skip
    rows += [
        always(f"{name}: no recovery in 30 min", "never", [row[0] < 0.1 for row in found[name]])
        for name in found
        if name.startswith("exponential") or name == "fast 429 with queue 150"
    ]
    spread = "mean of the seeds; published range, one standard deviation wider"
    rows += [
        between("deadline-aware dequeue: goodput/s in the peak", "5.0–5.2", during("deadline-aware dequeue"), 4.8, 5.4, spread),
        between("LIFO: goodput/s in the peak", "9.8–10.0", during("LIFO"), 9.6, 10.2, spread),
        between("fast 429, queue 35: goodput/s in the peak", "9.8–10.05", during("fast 429 with queue 35"), 9.6, 10.3, spread),
        between("retry budget 10 %: goodput/s in the peak", "0.2–0.4", during("retry budget 10 %"), 0.0, 0.6, spread),
    ]
    return rows


def _hotos21(job: tuple[float, int]) -> float:
    load, seed = job
    clients = {"arrivals": {"kind": "poisson", "rate": load}, "timeout": 1.0,
               "retry": {"kind": "immediate", "max_attempts": 2}}  # fmt: skip
    outage = {"kind": "stall", "target": "api", "at": 30.0, "lasts": 10.0}
    return success_share(
        run(station(clients, {"workers": 1, "service": exponential(1 / 300)}, 400.0, [outage]), seed), 350, 395
    )


def stable_capacity(effort: Effort) -> list[Row]:
    """osdi22-cstable: C_stable = C_norm / w, with one retry 300 / 2 = 150 (the HotOS'21 database)."""
    seeds = effort.seeds(3, 10)
    shares = {load: effort.map(_hotos21, [(load, seed) for seed in seeds]) for load in (140.0, 160.0, 280.0)}
    return [
        always("300 QPS, 1 retry, 10 s outage, 140 QPS (below 300/2): recovers", "stable", [s > 0.95 for s in shares[140.0]]),
        always("the same at 160 QPS (above 300/2): stuck", "metastable", [s < 0.05 for s in shares[160.0]]),
        always("the same at 280 QPS: stuck", "stuck at 560 QPS", [s < 0.05 for s in shares[280.0]]),
    ]


def _gc(job: tuple[float, int]) -> tuple[float, float]:
    pause, retries = job
    retry = {"kind": "fixed", "delay": 0.05, "max_attempts": retries + 1} if retries else {"kind": "none"}
    clients = {"arrivals": {"kind": "deterministic", "rate": 7}, "timeout": 0.5, "retry": retry}
    stall = {"kind": "stall", "target": "api", "at": 30 + 0.75 / 7, "lasts": pause}
    result = run(station(clients, {"workers": 1, "service": 0.1}, 150.0, [stall]))
    return success_share(result, 45, 140), amplification(result, 45, 140)


def gc_pause(effort: Effort) -> list[Row]:
    """gc-pause-deterministic."""
    rows = [
        exact(f"pause 1 s, {n} retries: goodput and attempts per request", (0.0, n + 1.0), _gc((1.0, n))) for n in (1, 2, 3)
    ]
    rows.append(exact("pause 1 s, no retries: share that succeeds", 1.0, _gc((1.0, 0))[0]))
    rows += [exact(f"pause {pause} s, 3 retries: share that succeeds", share, _gc((pause, 3))[0])
             for pause, share in ((0.3, 1.0), (0.5, 1.0), (0.7, 0.0), (0.9, 0.0))]  # fmt: skip
    return rows


def _stale(seed: int) -> tuple[float, float]:
    clients = {"arrivals": {"kind": "poisson", "rate": 90}, "timeout": 1.0}
    slow = {"kind": "slowdown", "target": "api", "at": 8.0, "lasts": 8.0, "factor": 3.0}
    result = run(station(clients, {"workers": 10, "service": exponential(0.1)}, 150.0, [slow]), seed)
    good = next(second for second in range(17, 150) if success_share(result, second, second + 1) > 0.5)
    done = result.tables["attempts"]["served_s"]
    return float(good), float(((done > 16) & (done < 40)).sum()) / 24


def stale_queue(effort: Effort) -> list[Row]:
    """stability-sim-goodput-collapse."""
    seeds = effort.seeds(12, 40)
    ends, throughput = np.array(effort.map(_stale, seeds)).T
    error = 3 * ends.std(ddof=1) / np.sqrt(len(ends))
    return [
        near("8 s of three times slower service, no retries: most requests succeed again at", 51.3, ends.mean(), 1 + error,
             "1 s of rounding and 3 standard errors around the fluid value", " s"),
        near("its standard deviation from run to run", 8.5, ends.std(ddof=1), 8.5 * 3 / np.sqrt(2 * len(ends)),
             "3 standard errors", " s"),
        near("throughput meanwhile", 100.0, float(throughput.mean()), 3.0, "published 98–102", "/s"),
    ]  # fmt: skip


def _collapse(job: tuple[str, bool, int]) -> bool:
    shape, backoff, seed = job
    spike = [{"at": 0.0, "rate": 40}, {"at": 20.0, "rate": 80}, {"at": 25.0, "rate": 40}]
    ramp = [{"at": 0.0, "rate": 40}, {"at": 25.0, "rate": 80, "by": "ramp"}, {"at": 75.0, "rate": 0.001, "by": "ramp"}]
    wait = {"kind": "exponential", "base": 20.0, "cap": 1e4} if backoff else {"kind": "immediate"}
    clients = {
        "arrivals": {"kind": "piecewise", "points": spike if shape == "spike" else ramp},
        "timeout": 3.0, "network_delay": exponential(0.1), "retry": wait | {"max_attempts": 3},
    }  # fmt: skip
    server = {"workers": 100_000, "service": 1.0, "contention": 0.01}
    late = (90, 110) if shape == "spike" else (30, 50)
    return success_share(run(station(clients, server, 120.0), seed), *late) < 0.5


def simple_collapse(effort: Effort) -> list[Row]:
    """brooker-simple-collapse."""
    seeds = effort.seeds(40, 200)
    hits = {
        (shape, backoff): effort.map(_collapse, [(shape, backoff, seed) for seed in seeds])
        for shape in ("spike", "ramp") for backoff in (False, True)
    }  # fmt: skip
    return [
        proportion("spike 40 → 80/s for 5 s, no backoff: collapses", (146, 200), hits["spike", False]),
        proportion("the same with backoff and jitter", (0, 200), hits["spike", True]),
        proportion("ramp to 80/s, no backoff", (200, 200), hits["ramp", False]),
        proportion("ramp to 80/s, backoff and jitter", (200, 200), hits["ramp", True]),
    ]


def _osdi(job: tuple[float, float, float, int]) -> bool:
    load, cut, lasts, seed = job
    clients = {"arrivals": {"kind": "poisson", "rate": load}, "timeout": 3.0,
               "retry": {"kind": "immediate", "max_attempts": 5}}  # fmt: skip
    slow = {"kind": "slowdown", "target": "api", "at": 20.0, "lasts": lasts, "factor": 1 / (1 - cut)}
    result = run(station(clients, {"workers": 165, "service": exponential(0.01)}, 100.0, [slow]), seed)
    return success_share(result, 85, 95) > 0.5


def mongodb(effort: Effort) -> list[Row]:
    """osdi22 (facts C3): the four MongoDB cases, with 16,500 requests a second of normal capacity; minutes of work."""
    if not effort.full:
        return []
    cases = [(6200.0, 0.78, 10.0), (6200.0, 0.80, 10.0), (6200.0, 0.80, 9.0), (4200.0, 0.80, 10.0)]
    found = effort.map(_osdi, [(*case, 1) for case in cases])
    published = (True, False, True, True)
    word = {True: "recovers", False: "stuck"}
    return [
        exact(f"{load:g} RPS, capacity cut by {cut:.0%} for {lasts:g} s", word[said], word[back])
        for (load, cut, lasts), said, back in zip(cases, published, found, strict=True)
    ]  # fmt: skip
