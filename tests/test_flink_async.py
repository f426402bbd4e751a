"""Async I/O: a queue of requests, whose size and latency are the throughput; and what becomes of it when the job fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsim.engine import run
from bpsim.kernel.clock import Clock, SmallLane
from bpsim.result import Ended, Fate, Result
from bpsim.tiers.flink.alone import AloneResult
from bpsim.tiers.flink.async_io import AsyncIOSpec
from bpsim.tiers.flink.subtask import Subtask
from tests.flink_jobs import CHECKPOINTS, DEBLOAT, UNALIGNED, alone, line, through
from tests.pipelines import exponential

HEAVY = {"kind": "lognormal", "mean": 0.02, "scv": 4.0}
AT_ONCE = {"execution.buffer-timeout.interval": "0 ms"}


def asking(parallelism: int = 1, sink: dict[str, Any] | None = None, **spec: Any) -> list[Any]:
    """A job that asks a service about each record."""
    operator = {"name": "lookup", "parallelism": parallelism, "async_io": spec}
    return line(operator, {"name": "sink"} | (sink or {}))


def shares(result: AloneResult, vertex: str) -> dict[str, float]:
    """Mean share of its time in the second half of a run, by Flink's names."""
    table = result.flink
    mine = (table["vertex"] == vertex) & (table["time_s"] > table["time_s"][-1] / 2)
    names = ("idle", "busy", "softBackPressured", "hardBackPressured")
    return {name: table[f"{name}TimeMsPerSecond"][mine].mean() / 1000 for name in names}


def throughput(result: AloneResult) -> float:
    """Records a second that reached the sink in the second half of a run of 30 s."""
    done = result.records["done_s"]
    return float((done > 15).sum() / 15)


@pytest.mark.parametrize(("capacity", "latency", "parallelism"), [(1, 0.01, 1), (8, 0.05, 1), (100, 0.5, 1), (8, 0.05, 3)])
def test_throughput_is_capacity_over_latency_for_each_subtask(capacity: int, latency: float, parallelism: int) -> None:
    result = alone(asking(parallelism, capacity=capacity, latency=latency), rate=1000.0)
    assert throughput(result) == pytest.approx(parallelism * capacity / latency, rel=0.01)
    assert shares(result, "lookup")["busy"] > 0.99, "waiting for room in the queue is inside user code"
    assert shares(result, "source")["softBackPressured"] > 0.5


def test_unordered_littles_law_holds_whatever_the_law_of_the_latency() -> None:
    spec = {"capacity": 20, "latency": exponential(0.1), "ordered": False}
    assert throughput(alone(asking(**spec), rate=1000.0)) == pytest.approx(20 / 0.1, rel=0.05)


def test_in_order_the_slowest_of_a_queue_holds_back_the_rest() -> None:
    """A full queue of memoryless requests: the head has been under way for longest. Unordered is faster, and out of order."""
    spec = {"capacity": 20, "latency": exponential(0.1)}
    ordered, unordered = (alone(asking(**spec, ordered=ordered), rate=1000.0) for ordered in (True, False))
    assert (np.diff(ordered.records["number"]) > 0).all() and (np.diff(unordered.records["number"]) < 0).any()
    assert throughput(ordered) < 0.6 * throughput(unordered)


@pytest.mark.parametrize(
    ("capacity", "law", "error"), [(2, exponential(0.002), 0.03), (20, {"kind": "lognormal", "mean": 0.02, "scv": 4.0}, 0.07)]
)
def test_the_capacity_in_order_is_what_such_a_job_does(capacity: int, law: dict[str, Any], error: float) -> None:
    """Of 15 s: some 7,000 times a head of two is waited for (three standard deviations of a mean of as many), some 4,000
    records of a law with four times that variance."""
    spec = AsyncIOSpec.model_validate({"capacity": capacity, "latency": law})
    assert throughput(alone(asking(capacity=capacity, latency=law), rate=3000.0)) == pytest.approx(
        1 / spec.seconds_per_record, rel=error
    )


def test_in_order_two_places_do_one_and_a_half_times_the_work_of_one() -> None:
    """While a memoryless head is waited for, the other is answered first in half of the cases, and leaves with it."""

    def rate(**spec: Any) -> float:
        return 0.02 / AsyncIOSpec.model_validate({"latency": exponential(0.02)} | spec).seconds_per_record

    assert rate(capacity=2) == pytest.approx(1.5, rel=0.015)
    assert rate(capacity=1) == pytest.approx(1.0, rel=1e-12)
    assert rate(capacity=20, ordered=False) == pytest.approx(20, rel=1e-12)
    assert rate(capacity=20, latency=0.02) == pytest.approx(20, rel=1e-12)
    assert rate(capacity=10) < rate(capacity=100) < rate(capacity=1000) < rate(capacity=50_000)


def test_one_request_at_a_time_is_a_queue_with_one_server() -> None:
    """Ordered or not; the next record waits inside the operator, so it is as if each took its latency."""
    asked = [alone(asking(capacity=1, latency=0.02, ordered=ordered), AT_ONCE, 40.0, 10.0) for ordered in (True, False)]
    for result in asked:
        np.testing.assert_allclose(result.records["done_s"] - result.records["created_s"], 0.02, atol=1e-9)


def test_below_capacity_a_record_takes_the_latency_and_the_task_is_idle() -> None:
    result = alone(asking(latency=0.3), AT_ONCE, 100.0, 10.0)
    np.testing.assert_allclose(result.records["done_s"] - result.records["created_s"], 0.3, atol=1e-9)
    assert shares(result, "lookup")["idle"] > 0.99


def test_what_a_request_costs_the_task_adds_to_the_latency() -> None:
    job = line({"name": "lookup", "service": 0.002, "async_io": {"latency": 0.3}}, {"name": "sink"})
    result = alone(job, AT_ONCE, 100.0, 10.0)
    np.testing.assert_allclose(result.records["done_s"] - result.records["created_s"], 0.302, atol=1e-9)
    assert shares(result, "lookup")["busy"] == pytest.approx(0.2, abs=0.01)


def test_behind_a_slow_sink_answers_block_hard_once_the_overdraft_is_used_up() -> None:
    """The task takes nothing in without room (soft), but answers that come then go out all the same: out of the overdraft,
    and in the middle of a record when that is gone."""
    hard = []
    for buffers in ("0", "5", "100"):
        option = {"taskmanager.network.memory.max-overdraft-buffers-per-gate": buffers}
        job = asking(latency=0.5, sink={"rate_limit": 20.0})
        result = alone(job, option, 500.0, record_bytes=20_000, version="1.20")
        assert throughput(result) == pytest.approx(20.0, rel=0.05)
        spent = shares(result, "lookup")
        assert spent["softBackPressured"] + spent["hardBackPressured"] > 0.85
        hard.append(spent["hardBackPressured"])
    assert hard[0] > hard[1] > 0.5 and hard[2] == 0


def test_a_slowdown_slows_the_service_down() -> None:
    flink = {"operators": [{"name": "a"}, {"name": "b", "async_io": {"capacity": 50, "latency": 0.1}}, {"name": "c"}]}
    faults = [{"kind": "slowdown", "target": "flink", "at": 10.0, "lasts": 10.0, "factor": 4}]
    result = run(through(flink, rate=300.0, faults=faults))
    ended = result.tables["records"]["ended_s"]
    assert ((ended > 12) & (ended < 20)).sum() / 8 == pytest.approx(0.25 * 50 / 0.1, rel=0.02)


@settings(max_examples=8, deadline=None)
@given(
    capacity=st.sampled_from([1, 7, 100]),
    ordered=st.booleans(),
    law=st.sampled_from([0.0, 0.05, exponential(0.1)]),
    parallelism=st.integers(1, 3),
    sink=st.sampled_from([0.0, 0.004]),
    size=st.sampled_from([60, 1000, 40_000]),
    options=st.sampled_from([{}, DEBLOAT, CHECKPOINTS, CHECKPOINTS | UNALIGNED]),
    version=st.sampled_from(["1.15", "2.3"]),
)
def test_any_such_job_keeps_every_record(
    capacity: int, ordered: bool, law: Any, parallelism: int, sink: float, size: int, options: dict[str, str], version: str
) -> None:
    flink = {
        "operators": [
            {"name": "a"},
            {
                "name": "b",
                "parallelism": parallelism,
                "async_io": {"capacity": capacity, "latency": law, "ordered": ordered},
            },
            {"name": "c", "service": sink},
        ],
        "version": version,
        "options": options,
    }
    faults = [{"kind": "crash", "target": "flink", "at": 5.3, "lasts": 1.0}]
    result = run(through(flink, 300.0, 9.0, faults=faults, client={"record_size": size}))
    table = result.tables["flink"]
    spent = sum(table[f"{name}TimeMsPerSecond"] for name in ("idle", "busy", "softBackPressured", "hardBackPressured"))
    np.testing.assert_allclose(spent, 1000, atol=1e-6)


LOOKUP = {"name": "lookup", "async_io": {"capacity": 200, "latency": 2.0}}


def looking_up(faults: Any = (), options: dict[str, str] | None = None, **lookup: Any) -> Result:
    operators = [{"name": "source"}, LOOKUP | {"async_io": LOOKUP["async_io"] | lookup}, {"name": "sink"}]  # type: ignore[operator]
    return run(through({"operators": operators, "options": CHECKPOINTS | (options or {})}, 50.0, faults=faults, duration=40.0))


@pytest.mark.parametrize("mode", [{}, UNALIGNED])
def test_requests_under_way_are_part_of_a_checkpoint_and_made_anew_after_it(mode: dict[str, str]) -> None:
    """A record waits for its answer for 2 s, so of the 100 under way at the last barrier each is read from the state."""
    result = looking_up([{"kind": "crash", "target": "flink", "at": 22.0, "lasts": 1.0}], mode)
    table, records = result.tables["checkpoints"], result.tables["records"]
    before = (table["ended"] == Ended.COMPLETED) & (table["ended_s"] < 22)
    barrier = table["triggered_s"][before][-1]
    assert table["state_bytes"][before][-1] == pytest.approx(100 * 1024, rel=0.3)
    assert (records["fate"] == Fate.DELIVERED).sum() == pytest.approx(50 * 38, rel=0.1)
    delivered = (22.0 - barrier) * 50  # since the barrier, and once more after it
    assert (records["redelivered"] > 0).sum() == pytest.approx(delivered, rel=0.35)


def test_a_request_that_takes_too_long_fails_the_job() -> None:
    result = looking_up(latency=exponential(0.2), timeout=1.2)
    kinds = list(result.tables["marks"]["kind"])
    assert kinds.count("job_fails") > 0 and kinds.count("restart") > 0
    failed = result.tables["marks"]["time_s"][kinds.index("job_fails")]
    calm = looking_up(latency=exponential(0.2))
    assert "job_fails" not in calm.tables["marks"]["kind"]
    ends = [one.tables["records"]["ended_s"] for one in (result, calm)]
    early = np.minimum(*ends) < failed - 1.2
    np.testing.assert_array_equal(ends[0][early & (ends[0] < failed)], ends[1][early & (ends[0] < failed)])


def test_made_anew_a_request_has_new_luck() -> None:
    """Else the record that timed out once would fail every run of the job."""
    result = looking_up(
        latency={"kind": "bimodal", "fast": 0.1, "slow": 20.0, "p_slow": 0.001, "spread": "constant"}, timeout=5.0
    )
    kinds = list(result.tables["marks"]["kind"])
    assert 1 <= kinds.count("job_fails") <= 4
    assert (result.tables["records"]["fate"] == Fate.DELIVERED).sum() > 1000


def test_a_request_of_a_run_that_is_over_fails_no_other() -> None:
    """Asked while the service is ten times slower, the requests of 11 s would time out at 13 s; the job crashes before."""
    faults = [
        {"kind": "slowdown", "target": "flink", "at": 10.0, "lasts": 1.1, "factor": 10},
        {"kind": "crash", "target": "flink", "at": 11.2, "lasts": 0.3},
    ]
    spec = {"latency": 0.5, "timeout": 2.0}
    marks = looking_up(faults, **spec).tables["marks"]["kind"]
    assert "restart" in marks and "job_fails" not in marks
    assert "job_fails" in looking_up(faults[:1], **spec).tables["marks"]["kind"]


class Standing:
    """An output that a mail waits for."""

    available, records_out, ready = True, 0, False

    def begin(self, records: list[int]) -> None:
        """Takes them."""

    def next_turn(self) -> int:
        """None needs attention."""
        return 1

    def write_upto(self, end: int) -> None:
        """Takes them."""

    def write_turn(self, position: int) -> bool:
        """Never asked for."""
        raise AssertionError(position)

    def go_on(self) -> bool:
        return self.ready


class Once(Subtask):
    """A subtask with one record."""

    def fetch(self) -> bool:
        if self.records_in == 0:
            self.take([0])
        return bool(self.records)

    def release(self) -> None:
        """There is no buffer."""


def test_a_mail_that_leaves_the_task_standing_holds_up_those_behind_it() -> None:
    """No barrier and no timer is handled in the middle of a record (hard back pressure)."""
    clock, output, done = Clock(), Standing(), []
    clock.lane = SmallLane(clock)
    task = Once(clock, output, lambda records: [1.0])
    task.wake()
    task.post(lambda: (done.append(clock.now), task.stand_still()))  # type: ignore[func-returns-value]
    task.post(lambda: done.append(clock.now))
    clock.run(until=3.0)
    assert done == [1.0] and task.standing
    output.ready = True
    task.look_again()
    assert done == [1.0, 3.0]
    assert task.spent(4.0) == [1.0, 1.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("operators", "said"),
    [
        ([{"name": "a", "async_io": {"latency": 0.1}}, {"name": "b"}], "no records yet"),
        ([{"name": "a"}, {"name": "b", "async_io": {"latency": 0.1}}], "nowhere to go"),
        ([{"name": "a"}, {"name": "b", "exchange": "forward", "async_io": {"latency": 0.1}}, {"name": "c"}], "task of its own"),
        ([{"name": "a"}, {"name": "b", "async_io": {"latency": 0.1}}, {"name": "c", "exchange": "forward"}], "task of its own"),
        ([{"name": "a"}, {"name": "b", "async_io": {"capacity": 5}}, {"name": "c"}], "latency"),
    ],
)
def test_async_io_that_cannot_be_is_refused(operators: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        through({"operators": operators})
