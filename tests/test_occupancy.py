"""What is read off the tables about who was where."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from bpsim.engine import run
from bpsim.explanation import explain
from bpsim.metrics import summary, timeseries
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.pressure import pressed
from bpsim.result import Result
from tests.flink_jobs import through


@cache
def job(middle_s: float, sink_s: float, rate: float = 300.0, duration: float = 40.0) -> Result:
    operators: list[dict[str, Any]] = [
        {"name": "source", "slot_sharing_group": "a"},
        {"name": "enrich", "parallelism": 2, "service": middle_s, "slot_sharing_group": "b"},
        {"name": "sink", "parallelism": 3, "service": sink_s, "slot_sharing_group": "c"},
    ]
    return run(through({"operators": operators}, rate, duration), 1)


def saturated(result: Result) -> list[tuple[float, float]]:
    found = pressed(result, Occupancy(result))
    return [(one.begin_s, one.end_s) for one in found if (one.tier, one.kind) == ("flink", "saturated")]


def test_a_job_is_as_busy_as_its_busiest_task_wherever_it_is() -> None:
    """300/s of 5 ms on two subtasks are 75 % of their time; 12,000 records make it to within 1 %."""
    in_the_middle, at_the_end = job(0.005, 0.001), job(0.001, 0.0075)
    assert summary(in_the_middle)["flink_busy_share"] == pytest.approx(0.75, rel=0.03)
    assert summary(at_the_end)["flink_busy_share"] == pytest.approx(0.75, rel=0.03)
    for result in (in_the_middle, at_the_end):
        series = timeseries(result, 5.0)
        busy, blocked, idle = (series[f"flink.{name}_share"] for name in ("busy", "blocked", "idle"))
        np.testing.assert_allclose(busy + blocked + idle, 1.0)
        assert (busy[1:] > 0.65).all() and (busy < 0.85).all()
        assert not saturated(result), "a busy second is no busy second after the other"


def test_a_task_in_the_middle_that_cannot_keep_up_is_pressure_to_the_end() -> None:
    result = job(0.01, 0.001)
    ((begin, end),) = saturated(result)
    assert begin <= 2.0 and end == float("inf")
    told = [finding.words for finding in explain(result).findings if finding.tier == "flink"]
    assert any("Flink is busy all the time" in words for words in told), told
