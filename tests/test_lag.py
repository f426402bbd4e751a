"""Lag by its two definitions: behind the consumer's position, and behind its last commit; in records and in seconds."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from bpsim.engine import run
from bpsim.metrics import summary
from tests.pipelines import station

EVERY_10_MS = {"kind": "deterministic", "rate": 100}


def lag(consumer: dict[str, Any] | None, **rest: Any) -> dict[str, float]:
    """100 records a second for 20 s, each in a batch of its own."""
    tiers: dict[str, Any] = {"producer": {"linger": 0.0, "batch": {"records": 1}}, "broker": {"partitions": 1}}
    if consumer is not None:
        tiers["consumer"] = consumer
    found = summary(run(station(EVERY_10_MS, 0.0, 20.0, 1000, tiers=tiers, **rest)))
    return {name.removeprefix("lag_"): value for name, value in found.items() if name.startswith("lag_")}


@pytest.mark.parametrize("interval", [1.0, 5.0])
def test_committed_lag_is_interval_times_rate_even_when_all_is_well(interval: float) -> None:
    found = lag({"auto.commit.interval.ms": int(interval * 1000)})
    assert found["committed_max"] == pytest.approx(100 * interval, abs=2)
    assert found["committed_max_s"] == pytest.approx(interval, abs=0.02)
    assert found["position_max"] <= 1
    assert found["position_max_s"] < 0.01


def test_a_consumer_that_stands_still_lags_by_rate_times_time() -> None:
    """It stands from 5 to 9 s; its last commit before that was at 5 s, the next one with everything delivered at 10 s."""
    stall = {"kind": "stall", "target": "consumer", "at": 5.0, "lasts": 4.0}
    found = lag({"commit_interval": 1.0}, faults=[stall])
    assert found["position_max"] == pytest.approx(400, abs=3)
    assert found["position_max_s"] == pytest.approx(4.0, abs=0.02)
    assert found["committed_max"] == pytest.approx(500, abs=5)
    assert found["committed_max_s"] == pytest.approx(5.0, abs=0.05)


def test_what_is_never_read_lags_to_the_end() -> None:
    found = lag({"commit_interval": 1.0}, faults=[{"kind": "stall", "target": "consumer", "at": 15.0, "lasts": 100.0}])
    assert found["position_max_s"] == found["committed_max_s"] == pytest.approx(5.0, abs=0.02)
    assert found["position_max"] == pytest.approx(500, abs=3)


def test_a_deep_prefetch_looks_read_and_is_not_committed() -> None:
    found = lag({"client": "librdkafka", "service": 0.02, "commit_interval": 1.0})
    assert found["position_max"] <= 2
    assert found["committed_max"] == pytest.approx(1000, abs=60), "half of 2000 are handled"


def test_without_a_consumer_nobody_lags() -> None:
    assert all(isnan(lag(None)[name]) for name in ("position_max", "position_max_s", "committed_max", "committed_max_s"))
