"""Published behaviour of single policies: quotas, throttles, jitter, hedges, and how to measure latency."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from bpsim.metrics import summary
from bpsim.policies.retry import Retry
from bpsim.result import Work
from validation.rows import Effort, Row, amplification, near, run, station, success_share

RETRY: TypeAdapter[Any] = TypeAdapter(Retry)
STRATEGIES: dict[str, dict[str, Any]] = {
    "no_retries": {"kind": "none"},
    "three_retries": {"kind": "immediate", "max_attempts": 4},
    "adaptive_10pct": {"kind": "immediate", "max_attempts": 1000, "budget": {"kind": "bucket"}},
    "breaker_10pct": {"kind": "immediate", "max_attempts": 4, "budget": {"kind": "failure_ratio"}},
}


def failing(job: tuple[str, float, int, float, int]) -> tuple[float, float]:
    """Success share and attempts per request of `clients` that send `rate`/s in all for 50 s to a server that fails with
    probability x."""
    strategy, x, clients, rate, seed = job
    retry = STRATEGIES[strategy]
    who = {"arrivals": {"kind": "poisson", "rate": rate}, "retry": retry}
    if "budget" in retry:
        who["instances"] = clients
    fault = {"kind": "errors", "at": 0.0, "lasts": 100.0, "share": x}
    result = run(station(who, {"workers": 1000, "service": 0.001}, 50.0, [fault]), seed)
    return success_share(result, 0, 50), amplification(result, 0, 50)


def retry_strategies(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """brooker-retry-strategies: 100 clients, 10/s each."""
    table = published["published_outcome"]["table_(success,attempts)"]
    cases = [(strategy, float(x)) for strategy in STRATEGIES for x in table[strategy]]
    seeds = effort.seeds(3, 10)
    found = effort.map(failing, [(strategy, x, 100, 1000.0, seed) for strategy, x in cases for seed in seeds])
    means = np.array(found).reshape(len(cases), len(seeds), 2).mean(axis=1)
    rows = []
    for (strategy, x), (share, attempts) in zip(cases, means.tolist(), strict=True):
        said = table[strategy][f"{x:g}"]
        rows.append(near(f"{strategy}, failure rate {x:g}: success", said[0], share, 0.01, "published"))
        rows.append(near(f"{strategy}, failure rate {x:g}: attempts per request", said[1], attempts, 0.02, "published"))
    return rows


def client_count(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """brooker-retry-client-count: the same 100/s from 10, 100 and 1000 clients, failure rate 0.2."""
    seeds = effort.seeds(4, 20)
    rows, attempts = [], []
    for count in (10, 100, 1000):
        said = published["published_outcome"][f"{count} clients"]["adaptive"]
        found = np.array(effort.map(failing, [("adaptive_10pct", 0.2, count, 100.0, seed) for seed in seeds]))
        rows.append(
            near(f"token bucket, {count} clients: attempts per request", said[1], found[:, 1].mean(), 0.02, "published")
        )
        attempts.append(found[:, 1].mean())
    rising = attempts[0] < attempts[1] < attempts[2]
    return [*rows, Row("more clients, more liberal", "1.106 < 1.161 < 1.257", f"{rising}", "order", rising)]


def throttled(job: tuple[float, int]) -> float:
    """Attempts that reach a server of 100/s, as a share of its capacity, from one window after its load has
    gone from 50 to 300/s behind an SRE throttle."""
    k, seed = job
    points = [{"at": 0.0, "rate": 50}, {"at": 130.0, "rate": 300}]
    who = {"arrivals": {"kind": "piecewise", "points": points}, "throttle": {"kind": "sre", "k": k}}
    server = {"workers": 10, "service": {"kind": "exponential", "mean": 0.1}, "queue": {"records": 100}}
    attempts = run(station(who, server, 500.0), seed).tables["attempts"]
    sent = (attempts["work"] != Work.NOT_SENT) & (attempts["sent_s"] > 260)
    return float(sent.sum()) / 240 / 100


def sre_throttle(effort: Effort) -> list[Row]:
    """sre-adaptive-throttling."""
    return [
        near(f"K = {k:g}, load three times the capacity: attempts that reach the server / capacity", k,
             float(np.mean(effort.map(throttled, [(k, seed) for seed in effort.seeds(2, 5)]))), 0.05 * k, "published 5 %")
        for k in (2.0, 1.1)
    ]  # fmt: skip


def contention(policy: Any, clients: int, rng: np.random.Generator) -> tuple[float, int]:
    """The AWS simulator: `clients` each read a version and write it back; one write a version succeeds. Every hop takes
    |N(10, 2)| ms. Returns the time until all are done, in ms, and the number of writes."""
    events: list[tuple[float, int, str, int]] = []
    version = writes = 0
    attempts, pauses = [0] * clients, [0.0] * clients
    hop: Callable[[], float] = lambda: abs(rng.normal(10, 2))  # noqa: E731
    for client in range(clients):
        heappush(events, (hop(), client, "read", 0))
    now = 0.0
    while events:
        now, client, step, seen = heappop(events)
        if step == "read":
            heappush(events, (now + hop(), client, "reply", version))
        elif step == "reply":
            heappush(events, (now + hop(), client, "write", seen))
        elif step == "write":
            writes += 1
            won = seen == version
            version += won
            heappush(events, (now + hop(), client, "won" if won else "lost", 0))
        elif step == "lost":
            pause = 0.0
            if policy is not None:
                pause = 1000 * policy.wait(attempts[client], pauses[client] / 1000, rng.random())
            attempts[client] += 1
            pauses[client] = pause
            heappush(events, (now + pause + hop(), client, "read", 0))
    return now, writes


JITTER = {"Exponential": "none", "EqualJitter": "equal", "FullJitter": "full", "Decorr": "decorrelated"}


def _jittered(job: tuple[str, int, int]) -> tuple[float, float]:
    name, clients, trial = job
    base = 0.005 if name == "Decorr" else 0.010
    spec = {"kind": "exponential", "base": base, "cap": 2.0, "jitter": JITTER.get(name)}
    policy = RETRY.validate_python(spec) if name != "None" else None
    return contention(policy, clients, np.random.default_rng([clients, trial, len(name)]))


def jitter(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """aws-backoff-simulator."""
    table = published["published_outcome"]["tables_from_running_the_published_code"]
    trials = effort.seeds(16, 100)
    rows = []
    for clients in (50, 100):
        means: dict[str, tuple[float, float]] = {}
        for name in ("None", *JITTER):
            found = np.array(effort.map(_jittered, [(name, clients, trial) for trial in trials]))
            error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
            said = table[str(clients)][name]
            means[name] = (found[:, 0].mean(), found[:, 1].mean())
            for column, what, unit in ((0, "time", " ms"), (1, "calls", "")):
                within = 3 * float(np.hypot(error[column], said[f"{what}_se"]))
                rows.append(near(f"{clients} clients, {name}: {what}", said[f"{what}_ms" if column == 0 else what],
                                 float(found[:, column].mean()), within, "3 combined standard errors", unit))  # fmt: skip
        calls = sorted(means, key=lambda name: means[name][1])
        order = ["FullJitter", "EqualJitter", "Decorr", "Exponential", "None"]
        rows.append(Row(f"{clients} clients: order by calls", " < ".join(order), " < ".join(calls), "order", calls == order))
        times = sorted(means, key=lambda name: means[name][0])
        order = ["None", "Decorr", "FullJitter", "EqualJitter", "Exponential"]
        rows.append(Row(f"{clients} clients: order by time", " < ".join(order), " < ".join(times), "order", times == order))
    return rows


def omission(effort: Effort) -> list[Row]:
    """coordinated-omission-tene: 100/s, 1 ms, 100 s fine, 100 s frozen."""
    server = {"workers": 10_001, "service": 0.001, "backlog": 20_000}
    freeze = [{"kind": "stall", "target": "api", "at": 100.0, "lasts": 100.0}]
    everybody = summary(run(station({"arrivals": {"kind": "deterministic", "rate": 100}}, server, 200.1, freeze)))
    closed = {"arrivals": {"kind": "closed", "users": 1, "think": 0.009}}
    tester = summary(run(station(closed, server, 200.1, freeze)))
    return [
        near("true mean", 25.0, everybody["latency_success_s_mean"], 0.25, "published 1 %", " s"),
        near("true p99.9", 99.8, everybody["latency_success_s_p999"], 1.0, "published 1 %; 0.1 % of 200 s", " s"),
        near("what a tester that waits for each reply reports as mean", 10.9, 1000 * tester["latency_success_s_mean"], 0.109,
             "published 1 %", " ms"),
        near("and as p99.9", 1.0, 1000 * tester["latency_success_s_p999"], 0.01, "published 1 %", " ms"),
    ]  # fmt: skip


def _open(job: tuple[str, int]) -> float:
    kind, seed = job
    arrivals = {"kind": "poisson", "rate": 8} if kind == "open" else {
        "kind": "closed", "users": 10, "think": {"kind": "exponential", "mean": 1.145},
    }  # fmt: skip
    server = {"workers": 1, "service": {"kind": "exponential", "mean": 0.1}}
    return float(summary(run(station({"arrivals": arrivals}, server, 20_000.0), seed))["latency_success_s_mean"])


def open_and_closed(effort: Effort) -> list[Row]:
    """brooker-open-closed-exp."""
    seeds = effort.seeds(4, 20)
    means = {kind: float(np.mean(effort.map(_open, [(kind, seed) for seed in seeds]))) for kind in ("open", "closed")}
    return [
        near("open, ρ = 0.8: mean", 0.5, means["open"], 0.015, "published 3 %", " s"),
        near("closed, 10 users: mean", 0.24196, means["closed"], 0.03 * 0.24196, "published 3 %", " s"),
    ]


def _hedged(job: tuple[bool, int]) -> tuple[float, float]:
    hedge, seed = job
    who: dict[str, Any] = {"arrivals": {"kind": "poisson", "rate": 500}}
    if hedge:
        who["hedge"] = {"after": 0.010}
    law = {"kind": "bimodal", "fast": 0.005, "slow": 0.5, "p_slow": 0.02, "spread": "constant"}
    found = summary(run(station(who, {"workers": 10_000, "service": law}, 100.0), seed))
    return found["latency_success_s_p99"], found["amplification"]


def hedging(effort: Effort) -> list[Row]:
    """tail-at-scale: a second request after 10 ms (not BigTable's own numbers, which depend on its load)."""
    plain, hedged = _hedged((False, 1)), _hedged((True, 1))
    return [
        Row("2 % slow replies, hedged after 10 ms: p99", "falls by more than an order of magnitude",
            f"{1000 * plain[0]:.0f} ms → {1000 * hedged[0]:.0f} ms", "ratio > 10", plain[0] / hedged[0] > 10),
        near("attempts per request", 1.02, hedged[1], 0.003, "published: 2 % more requests"),
    ]  # fmt: skip
