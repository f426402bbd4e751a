"""Predicted utilisation: λ · E[S] / c, by hand."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from bpsim.scenario import Scenario
from bpsim.utilisation import Load, capacities, predicted, with_every_retry


def scenario(**changes: Any) -> Scenario:
    whole: dict[str, Any] = {
        "question": "?",
        "duration": 100.0,
        "client": {"arrivals": {"kind": "poisson", "rate": 1000.0}, "record_size": 1000},
        "api": {"workers": 64, "service": {"kind": "exponential", "mean": 0.05}},
        "producer": {"batch": {"bytes": 16_000}, "max_in_flight": 2},
        "broker": {"partitions": 4, "throughput": 1e6, "ack_latency": 0.004},
        "consumer": {"max_poll_records": 100, "fetch_latency": 0.001, "service": 0.0001},
        "flink": {"parallelism": 4, "service": {"kind": "exponential", "mean": 0.002}},
        "writer": {
            "connections": 2,
            "batch_rows": 100,
            "per_insert": 0.01,
            "per_row": 0.0005,
            "buffer": {"records": 50},
        },
    }
    return Scenario.model_validate(whole | changes)


def loads(of: Scenario, tier: str) -> list[Load]:
    return [load for load in predicted(of) if load.tier == tier]


def test_capacities_by_hand() -> None:
    assert capacities(scenario()) == pytest.approx(
        {
            "api": 64 / 0.05,
            "producer": 4 * 15 / (15 * 0.001 + 0.004),  # a batch of each partition in a request, one request at a time
            "broker": 4 / 0.001,
            "consumer": 1 / (0.001 / 100 + 0.0001),
            "flink": 4 / 0.002,
            "writer": 2 * 50 / (0.01 + 50 * 0.0005),  # the buffer is smaller than a batch
        }
    )


def test_a_worker_that_waits_for_the_ack_is_busy_meanwhile() -> None:
    api = {"workers": 64, "service": 0.05, "reply": "on_ack"}
    assert capacities(scenario(api=api))["api"] == pytest.approx(64 / (0.05 + 0.004 + 0.001))


def test_a_tier_gets_what_the_one_before_lets_through() -> None:
    slow = scenario(faults=[{"kind": "slowdown", "target": "api", "at": 10.0, "lasts": 5.0, "factor": 4.0}])
    assert [load.utilisation for load in loads(slow, "api")] == pytest.approx([0.78125, 3.125, 0.78125])
    assert [load.arrivals_per_s for load in loads(slow, "flink")] == pytest.approx([1000, 320, 1000])


def test_a_slow_broker_slows_the_producer() -> None:
    slow = scenario(faults=[{"kind": "slowdown", "target": "broker", "at": 10.0, "lasts": 5.0, "factor": 3.0}])
    assert [load.capacity_per_s for load in loads(slow, "producer")] == pytest.approx([60 / 0.019, 60 / 0.057, 60 / 0.019])


def test_a_tier_that_stands_still_is_infinitely_loaded() -> None:
    still = scenario(faults=[{"kind": "stall", "target": "writer", "at": 10.0, "lasts": 5.0}])
    assert [load.utilisation for load in loads(still, "writer")][1] == inf


def test_a_spike_is_load() -> None:
    spike = scenario(faults=[{"kind": "spike", "at": 10.0, "lasts": 5.0, "factor": 2.0}])
    assert [load.arrivals_per_s for load in loads(spike, "api")] == pytest.approx([1000, 2000, 1000])


def test_a_retry_storm_multiplies_the_load_of_the_narrowest_tier_by_the_attempts() -> None:
    assert with_every_retry(scenario()) is None
    retry = {"arrivals": {"kind": "poisson", "rate": 1000.0}, "retry": {"kind": "immediate", "max_attempts": 4}}
    storm = with_every_retry(scenario(client=retry))
    assert storm is not None
    assert (storm.tier, storm.utilisation) == ("api", pytest.approx(4000 / 1280))
