"""Common random numbers: what one part of a scenario does never shifts another part's luck."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpsim.engine import run
from bpsim.result import TIERS, Result
from bpsim.scenario import Scenario
from bpsim.streams import GRID, Draws, Streams, on_grid
from tests.pipelines import exponential, poisson, station

PIPELINE: dict[str, Any] = {
    "producer": {"linger": 0.005},
    "broker": {"ack_latency": exponential(0.003)},
    "consumer": {"max_poll_records": 100},
    "flink": {"service": exponential(0.002), "parallelism": 2},
}


def scenario(**rest: Any) -> Scenario:
    return station(poisson(200), exponential(0.02), 60.0, 6, timeout=0.2, **rest)


def demands(result: Result) -> dict[tuple[int, int], float]:
    """Service demand of each attempt that was served, by request and attempt number."""
    table = result.tables["attempts"]
    served = ~np.isnan(table["served_s"])
    work = (table["served_s"] - table["started_s"])[served]
    keys = zip(table["request"][served].tolist(), table["number"][served].tolist(), strict=True)
    return dict(zip(keys, work.tolist(), strict=True))


def assert_same_luck(one: Result, other: Result) -> None:
    np.testing.assert_array_equal(one.tables["requests"]["born_s"], other.tables["requests"]["born_s"])
    here, there = demands(one), demands(other)
    shared = here.keys() & there.keys()
    assert len(shared) > 5000
    assert all(here[key] == there[key] for key in shared)


def test_a_retry_policy_changes_no_arrival_and_no_demand() -> None:
    fault = [{"kind": "slowdown", "target": "api", "at": 59.0, "lasts": 0.5, "factor": 1.0}]
    plain = run(scenario(faults=fault))
    for retry in ({"kind": "immediate"}, {"kind": "exponential", "base": 0.05, "max_attempts": 5}):
        assert_same_luck(plain, run(scenario(retry=retry, faults=fault)))


def test_a_tier_more_changes_no_arrival_and_no_demand() -> None:
    longer = PIPELINE | {"writer": {"batch_rows": 50, "per_insert": exponential(0.01)}}
    short, middle, long = (run(scenario(tiers=tiers)) for tiers in ({}, PIPELINE, longer))
    assert_same_luck(short, long)
    flink = TIERS.index("flink")

    def flink_work(result: Result) -> np.ndarray:
        hops = result.tables["hops"]
        mine = (hops["tier"] == flink) & ~np.isnan(hops["served_s"])
        order = np.argsort(hops["first"][mine])
        return (hops["served_s"] - hops["started_s"])[mine][order][:8000]

    np.testing.assert_array_equal(flink_work(middle), flink_work(long))


def test_a_spike_keeps_the_customers_of_the_calm_time_before_it() -> None:
    spike = [{"kind": "spike", "at": 30.0, "lasts": 10.0, "factor": 3.0}]
    calm, busy = (run(scenario(faults=faults)).tables["requests"]["born_s"] for faults in ([], spike))
    np.testing.assert_array_equal(calm[calm < 30], busy[busy < 30])
    assert (busy < 60).sum() > (calm < 60).sum() + 3500


def test_block_size_never_changes_a_draw() -> None:
    laws = (
        lambda rng, n: rng.standard_exponential(n),
        lambda rng, n: rng.standard_gamma(2.5, n),
        lambda rng, n: rng.standard_normal(n),
    )
    for law in laws:
        at_once, in_steps = (Draws(Streams(1).rng("x"), law) for _ in range(2))
        at_once.upto(20_000)
        for position in range(0, 20_000, 777):
            in_steps.upto(position + 1)
        assert at_once.values[:19_000] == in_steps.values[:19_000]


def test_sampled_times_add_up_exactly() -> None:
    gaps = on_grid(np.random.default_rng(1).standard_exponential(100_000) * 0.01)
    forward, backward = np.cumsum(gaps)[-1], np.cumsum(gaps[::-1])[-1]
    assert forward == backward
    assert forward * GRID == round(forward * GRID)


def test_streams_differ_by_name_seed_and_replication() -> None:
    draws = {Streams(seed, rep).rng(name).random() for seed in (1, 2) for rep in (0, 1) for name in ("a", "b")}
    assert len(draws) == 8
