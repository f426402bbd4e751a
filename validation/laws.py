"""Published arithmetic: exact values of formulas and state machines."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, pairwise
from typing import Any

import numpy as np

from bpsim import theory
from bpsim.engine import run
from bpsim.kernel.buffer import Buffer, Sink
from bpsim.kernel.clock import Clock, SmallLane
from bpsim.kernel.stage import Stage
from bpsim.metrics import summary
from bpsim.policies.budget import AwsQuota, FinagleBudget, GrpcThrottle
from bpsim.policies.shedding import Codel, RequestCodel
from bpsim.policies.throttle import Cubic
from bpsim.streams import on_grid
from bpsim.tiers.flink.debloat import BufferSizeEma, Debloating
from validation.rows import Effort, Row, exact, near, station


def aws_quota(effort: Effort) -> list[Row]:
    """aws-retry-quota."""

    def retries(timeout: bool) -> int:
        quota, count = AwsQuota().build(), 0
        while quota.withdraw(0.0, timeout, 0):
            count += 1
        return count

    return [exact("retries until the quota is empty", 100, retries(False)), exact("when they time out", 50, retries(True))]


def finagle_budget(effort: Effort) -> list[Row]:
    """finagle-retry-budget: the reserve, and what five requests pay for."""
    budget, reserve = FinagleBudget().build(), 0
    while budget.withdraw(0.0, False, 0):
        reserve += 1
    paid = []
    for _ in range(10):
        budget.on_send(0.0)
        paid.append(budget.withdraw(0.0, False, 0))
    return [exact("retries in the reserve", 100, reserve), exact("of 10 more requests, retries paid for", 2, sum(paid))]


def grpc_throttle(effort: Effort) -> list[Row]:
    """grpc-retry-throttling."""
    throttle = GrpcThrottle().build()
    failures = 0
    while True:
        throttle.on_failure(0.0)
        failures += 1
        if not throttle.withdraw(0.0, False, 0):
            break
    successes = 0
    while not throttle.withdraw(0.0, False, 0):
        throttle.on_success(0.0, 0, False)
        successes += 1
    return [exact("failures from full until retries stop", 5, failures), exact("successes until they go on", 1, successes)]


def cubic(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """botocore-cubic-vectors."""
    said = published["published_outcome"]
    return [
        near("k(w_max = 10)", said["k(w_max=10)"], Cubic().inflection(10.0), 1e-12, "double precision", " s"),
        near("k(w_max = 8)", said["k(w_max=8)"], Cubic().inflection(8.0), 1e-12, "double precision", " s"),
    ]


def codel_law(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """codel-control-law: moments of dropping in a queue that stays too long."""
    codel = Codel().build()
    drops = [t / 1e5 for t in range(100_000) if codel.drop(t / 1e5, 1.0, False)]
    gaps = [round(1000 * gap, 2) for gap in np.diff(drops)[:6]]
    said = published["published_outcome"]["gaps_ms"]
    agree = all(abs(ours - theirs) <= 0.011 for ours, theirs in zip(gaps, said, strict=True))
    law = [round(1000 * gap, 2) for gap in islice(theory.codel_gaps(), 6)]
    return [
        Row("gaps between drops (ms)", f"{said}", f"{gaps}", "± 0.01 ms (dequeues 10 µs apart)", agree),
        exact("the law interval/√count (ms)", said, law),
    ]


def request_codel(effort: Effort) -> list[Row]:
    """facebook-codel-request-queue: 100 ms, or 5 ms when the queue has not been empty for 100 ms."""
    codel = RequestCodel().build()
    codel.emptied(0.0)
    early = [codel.drop(0.05, 0.04, False), codel.drop(0.06, 0.11, False)]
    late = [codel.drop(0.2, 0.004, False), codel.drop(0.2, 0.006, False)]
    return [exact("dropped after 40 and 110 ms, queue empty a moment ago", [False, True], early),
            exact("dropped after 4 and 6 ms, queue not empty for 100 ms", [False, True], late)]  # fmt: skip


def multiplication(effort: Effort) -> list[Row]:
    """sre-amplification and osdi22-cstable: retries of one layer, of several, and within a budget."""
    dead = [{"kind": "errors", "at": 0.0, "lasts": 300.0, "share": 1.0}]

    def attempts(retry: dict[str, Any]) -> float:
        client = {"arrivals": {"kind": "poisson", "rate": 100}, "retry": retry}
        return summary(run(station(client, {"workers": 100, "service": 0.001}, 200.0, dead)))["amplification"]

    return [
        near("3 attempts, none succeeds: attempts per request", 3.0, attempts({"kind": "immediate"}), 0.001, "end of the run"),
        near("the same with a 10 % budget", 1.1, attempts({"kind": "immediate", "budget": {"kind": "bucket"}}), 0.005,
             "the bucket's first 5 retries of 20,000"),
        exact("3 layers of 4 attempts", 64, theory.layered_amplification(4, 3)),
        exact("5 layers of 3 attempts", 243, theory.layered_amplification(3, 5)),
    ]  # fmt: skip


def saturated_line(job: tuple[int, int, int]) -> tuple[float, float]:
    """Seconds per record, and its standard error, through `stations` exponential stations of rate 1 with `places` between
    them, the first never idle (blocking after service)."""
    stations, places, records = job
    clock, rng, sink = Clock(), np.random.default_rng([stations, places]), Sink()
    clock.lane = SmallLane(clock)
    boxes: list[Buffer] = [Buffer(records), *(Buffer(places) for _ in range(stations - 1)), sink]
    for inbox, outbox in pairwise(boxes):
        work = on_grid(rng.standard_exponential(records)).tolist()
        Stage(clock, 1, inbox, outbox, work.__getitem__, lambda row: None)
    clock.call_at(0.0, lambda: boxes[0].put(0, records, 0.0))
    clock.run(until=1e9)
    times = np.frombuffer(sink.delivered).reshape(-1, 3)[:, 2]
    batches = np.diff(times[1000::2000]) / 2000
    return float(batches.mean()), float(batches.std(ddof=1) / np.sqrt(len(batches)))


def blocked_lines(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """hunt-hillier-boling, with places between the stations."""
    said = published["published_outcome"]
    two, three = said["2 stations b=0,1,2"], said["3 stations b=1,2"]
    cases = {(2, 1): two[1], (2, 2): two[2], (3, 1): three[0], (3, 2): three[1], (4, 1): said["4 stations b=1"]}
    found = effort.map(saturated_line, [(*case, 600_000 if effort.full else 100_000) for case in cases])
    return [
        near(
            f"{stations} stations, b = {places}: records a second", rate, 1 / seconds, 4 * error * rate**2, "4 standard errors"
        )
        for ((stations, places), rate), (seconds, error) in zip(cases.items(), found, strict=True)
    ]


def fan_out(effort: Effort) -> list[Row]:
    """tail-at-scale: P(at least one of n calls is slow)."""
    return [
        near(
            "one call in 100 is slow, 100 calls: P(at least one)",
            0.6340,
            theory.fan_out_slow_share(0.01, 100),
            5e-5,
            "4 digits",
        ),
        near("one in 10,000, 2000 calls", 0.1813, theory.fan_out_slow_share(1e-4, 2000), 5e-5, "4 digits"),
    ]


def utilization(effort: Effort) -> list[Row]:
    """brooker-utilization."""
    return [
        near("E[N] at ρ = 0.5", 1.0, theory.MM1(0.5, 1.0).L, 1e-12, "exact"),
        near("E[N] at ρ = 0.99", 99.0, theory.MM1(0.99, 1.0).L, 1e-9, "exact"),
    ]


def bandwidth_delay(effort: Effort) -> list[Row]:
    """flink-bdp."""
    return [near("buffers for 320 MB/s, 1 ms, 32 kB", 10.0, theory.flink_buffers_needed(320e6, 0.001, 32e3), 1e-9, "exact")]


def buffer_size_ema(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """flink-buffer-size-ema-vectors: the rule of 2.0 and later."""
    said, limits = published["published_outcome"], published["parameters"]

    def sizes(calls: Iterable[tuple[int, int]]) -> list[int]:
        ema = BufferSizeEma(limits["max"], limits["min"], limits["max"], limits["samples"])
        return [ema.next(*call) for call in calls]

    return [
        exact("15 calls, sizes in bytes", said["returns"], sizes(said["calls"])),
        exact("nothing wanted, then 1000", said["from_0_then_1000"], sizes([(0, 1), (1000, 1), (1000, 1), (1000, 1)])),
        exact("nothing wanted", said["repeated_0"], sizes([(0, 1)] * 6)),
    ]


def buffer_debloater(effort: Effort, published: dict[str, Any]) -> list[Row]:
    """flink-buffer-debloater-vectors: what the first calculation announces, starting at the largest size."""
    rows = []
    for target_ms, smallest, largest, in_use, throughput, said in published["published_outcome"]["rows"]:
        options = Debloating((2, 0), largest, smallest, largest, target_ms, samples=1)
        found = options.debloater().recalculate(throughput, in_use)
        case = f"{throughput} B/s, {in_use} buffers of {smallest} to {largest} B, target {target_ms} ms"
        rows.append(exact(f"{case}: announced", said or "nothing", found or "nothing"))
    return rows


def timeout_behind_a_queue(effort: Effort) -> list[Row]:
    """msf-model."""
    return [near("P(timeout | 20 ahead, μT = 15)", 0.917029, theory.timeout_share_behind(20, 15.0, 1.0), 1e-6, "6 digits")]
