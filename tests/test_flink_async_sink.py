"""The Async sink: batches, requests in flight, what is sent again, and AIMD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsim.engine import Simulation, run
from bpsim.explanation import explain
from bpsim.result import Ended, Fate, Result
from bpsim.tiers.flink import FlinkJob
from bpsim.tiers.flink.alone import AloneResult
from bpsim.tiers.flink.async_sink import AIMD, AsyncSinkEnd, AsyncSinkSpec, Destination
from tests.flink_jobs import CHECKPOINTS, UNALIGNED, alone, line, through
from tests.pipelines import exponential

AT_ONCE = {"execution.buffer-timeout.interval": "0 ms"}
SINK = {
    "max_batch_size": 10,
    "max_in_flight_requests": 5,
    "max_buffered_requests": 100,
    "max_time_in_buffer": 1.0,
    "latency": 0.1,
}


def writing(
    rate: float = 2000.0, duration: float = 20.0, options: dict[str, str] | None = None, parallelism: int = 1, **sink: Any
) -> AloneResult:
    return alone(line({"name": "sink", "parallelism": parallelism, "async_sink": SINK | sink}), options, rate, duration)


def throughput(result: AloneResult) -> float:
    """Records a second between 10 and 20 s."""
    done = result.records["done_s"]
    return float(((done > 10) & (done <= 20)).sum() / 10)


def busy(result: AloneResult) -> float:
    """Share of the second half of the run that the first subtask of the sink was busy."""
    table = result.flink
    mine = (table["vertex"] == "sink") & (table["subtask"] == 0) & (table["time_s"] > table["time_s"][-1] / 2)
    return float(table["busyTimeMsPerSecond"][mine].mean() / 1000)


def test_the_limit_grows_by_ten_and_is_halved() -> None:
    limit, seen = AIMD(batch=20, requests=3), []
    for failed in (0, 0, 0, 0, 0, 1, 5, 0, 1, 1, 1, 1, 1, 1):
        limit.sent(1)
        limit.answered(1, failed)
        seen.append(limit.limit)
    assert seen == [30, 40, 50, 60, 60, 30, 15, 25, 13, 7, 4, 2, 1, 1]


def test_a_request_waits_for_a_place_and_for_its_records_to_be_within_the_limit() -> None:
    limit = AIMD(batch=10, requests=2)
    assert not limit.blocks(10) and limit.next_batch == 10
    limit.sent(7)
    assert not limit.blocks(3) and limit.blocks(4)
    limit.sent(3)
    assert limit.blocks(0), "two requests are in flight"
    limit.answered(7, 1)
    assert limit.limit == limit.next_batch == 5 and limit.blocks(3) and not limit.blocks(2)


@pytest.mark.parametrize(("batch", "requests", "latency", "parallelism"), [(10, 5, 0.1, 1), (1, 1, 0.01, 1), (40, 2, 0.2, 2)])
def test_throughput_is_what_may_be_in_flight_over_the_latency(
    batch: int, requests: int, latency: float, parallelism: int
) -> None:
    sink = {"max_batch_size": batch, "max_in_flight_requests": requests, "latency": latency, "max_time_in_buffer": 100.0}
    result = writing(parallelism=parallelism, **sink)
    assert throughput(result) == pytest.approx(parallelism * batch * requests / latency, rel=0.02)
    assert busy(result) > 0.99, "waiting for room in the buffer is inside user code"


def test_what_may_be_in_flight_grows_from_one_batch() -> None:
    """10 records in 0.1 s, then 20, …: 5 requests of 10 are in flight after a few round trips."""
    done = writing().records["done_s"]
    first = [int(np.isclose(done, 0.1 * number, atol=0.02).sum()) for number in (1, 2, 3, 4)]
    assert first[0] == 10 and first[1] == 20
    assert throughput(writing()) == pytest.approx(500, rel=0.01)


def test_a_record_alone_waits_for_the_time_in_the_buffer() -> None:
    result = writing(rate=0.4, options=AT_ONCE, max_time_in_buffer=0.7)
    assert len(result.records["number"]) == 8, "one every 2.5 s, each with a time of its own"
    np.testing.assert_allclose(result.records["done_s"] - result.records["created_s"], 0.7 + 0.1, atol=1e-9)


def test_a_task_begins_with_a_record_when_the_one_before_is_in_the_buffer() -> None:
    job = line({"name": "sink", "service": 0.002, "async_sink": SINK})
    started = np.sort(alone(job, None, 100.0, 10.0).records["started_s"])
    assert len(started) > 900 and np.diff(started).min() > 0.0019


def test_a_timer_that_runs_serves_whoever_is_in_the_buffer_when_it_is_up() -> None:
    """Records every 0.4 s in pairs: the third comes 0.2 s before the timer of the first (existsActiveTimerCallback)."""
    done = writing(2.5, options=AT_ONCE, max_batch_size=2).records["done_s"]
    np.testing.assert_allclose(np.unique(done)[:4], [0.5, 1.1, 1.7, 2.3], atol=1e-6)


def test_a_full_batch_goes_at_once() -> None:
    result = writing(rate=100.0, options=AT_ONCE, max_time_in_buffer=10.0)
    latency = np.sort(result.records["done_s"] - result.records["created_s"])
    np.testing.assert_allclose(latency[[0, -1]], [0.1, 0.1 + 9 / 100], atol=1e-6)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_destination_that_fails_what_is_too_much_gets_what_it_can_take(parallelism: int) -> None:
    """What fails is sent again, so nothing is lost, and AIMD keeps close to what it takes."""
    result = writing(parallelism=parallelism, throughput=200.0)
    assert throughput(result) == pytest.approx(200, rel=0.02)
    numbers = result.records["number"]
    assert len(np.unique(numbers)) == len(numbers)


def test_what_fails_goes_to_the_head_of_the_buffer() -> None:
    """So a record is overtaken by those in flight only, not by the 1,000 that are buffered."""
    numbers = writing(throughput=200.0, max_buffered_requests=1000).records["number"]
    assert 0 < (np.maximum.accumulate(numbers) - numbers).max() <= 5 * 10


def test_what_fails_is_sent_again_in_its_order() -> None:
    numbers = writing(throughput=60.0, max_in_flight_requests=1).records["number"]
    assert 800 < len(numbers) < 1300 and (np.diff(numbers) == 1).all()


def test_what_fails_into_an_empty_buffer_starts_its_time_anew() -> None:
    """Three records are sent at 12 s, two of them fail and wait for 12 s more, whoever comes meanwhile."""
    sizes = {"max_batch_size": 50, "max_time_in_buffer": 12.0, "throughput": 1.0}
    done = writing(0.2, 60.0, AT_ONCE, **sizes).records["done_s"]
    np.testing.assert_allclose(np.unique(done)[:2], [12.1, 24.2], atol=1e-6)


def inside(rate: float, **sizes: Any) -> tuple[Simulation, AsyncSinkEnd]:
    """A run to look into, and its sink."""
    operators = [{"name": "source"}, {"name": "sink", "async_sink": SINK | sizes}]
    simulation = Simulation(through({"operators": operators}, rate))
    assert isinstance(simulation.flink, FlinkJob)
    end = simulation.flink.graph.ends[0]
    assert isinstance(end, AsyncSinkEnd)
    return simulation, end


def test_a_buffer_whose_time_is_up_goes_while_a_barrier_waits_for_answers() -> None:
    """The timer is a mail, which the wait for answers handles (yield)."""
    simulation, end = inside(20.0, max_batch_size=5, max_time_in_buffer=1.0, latency=3.0)
    end.limits.limit = 25
    while end.limits.requests_in_flight == 0 or len(end.pending) == end.limits.messages_in_flight:
        simulation.advance(simulation.now + 0.01)
    passed: list[float] = []
    end.subtask.post(lambda: end.flush(lambda: passed.append(simulation.now)))
    simulation.advance(simulation.now + 1.0)
    assert not passed and len(end.pending) == end.limits.messages_in_flight
    simulation.advance(simulation.now + 3.0)
    assert len(passed) == 1


def test_a_slowdown_slows_the_destination_down() -> None:
    faults = [{"kind": "slowdown", "target": "flink", "at": 10.0, "lasts": 15.0, "factor": 4}]
    ended = job(faults, rate=300.0, max_in_flight_requests=2).tables["records"]["ended_s"]
    assert ((ended > 15) & (ended < 25)).sum() / 10 == pytest.approx(0.25 * 20 / 0.1, rel=0.1)


def test_an_idle_destination_takes_a_second_s_worth_at_once() -> None:
    destination = Destination(AsyncSinkSpec.model_validate(SINK | {"throughput": 50.0}), lambda record: 0.1)
    taken = [destination.takes(80, now) for now in (0.0, 0.5, 100.0)]
    assert taken == [50, 25, 50]


def test_when_its_time_is_up_the_whole_buffer_goes_in_as_many_requests_as_it_takes() -> None:
    """A limit of 1 grows to 11 and 21 with the answers; what is left then fills no request, and goes all the same."""
    simulation, end = inside(12.0, max_batch_size=50, max_time_in_buffer=2.0)
    while not end.pending:
        simulation.advance(simulation.now + 0.01)
    began = simulation.now
    simulation.advance(began + 1.9)
    end.limits.limit, buffered = 1, len(end.pending)
    assert 12 < buffered < 33
    simulation.advance(began + 2.4)
    assert end.records_out >= buffered


def test_a_destination_that_takes_less_than_one_a_second_takes_one_in_the_end() -> None:
    done = writing(1.0, 60.0, throughput=0.2).records["done_s"]
    assert len(done) == pytest.approx(60 * 0.2, abs=2)


def offered(monkeypatch: pytest.MonkeyPatch, factor: float) -> tuple[float, float]:
    """Records offered for each that the destination takes, when AIMD backs off by `factor`; and what it takes a second."""
    counts: list[tuple[int, int]] = []
    takes = Destination.takes

    def count(self: Destination, many: int, now: float) -> int:
        taken = takes(self, many, now)
        counts.append((many, taken))
        return taken

    monkeypatch.setattr(Destination, "takes", count)
    monkeypatch.setattr(AIMD, "FACTOR", factor)
    result = writing(throughput=200.0)
    monkeypatch.undo()
    many, taken = np.array(counts).sum(axis=0)
    return many / taken, throughput(result)


def test_backing_off_offers_less_of_what_would_fail_and_gets_as_much_done(monkeypatch: pytest.MonkeyPatch) -> None:
    backs_off, goes_on = offered(monkeypatch, AIMD.FACTOR), offered(monkeypatch, 1.0)
    assert goes_on[0] == pytest.approx(500 / 200, rel=0.1), "all that may be in flight, over the latency"
    assert backs_off[0] < 1.5
    assert backs_off[1] == pytest.approx(goes_on[1], rel=0.03)


def job(faults: Any = (), options: dict[str, str] | None = None, rate: float = 100.0, **sink: Any) -> Result:
    operators = [{"name": "source"}, {"name": "sink", "slot_sharing_group": "b", "async_sink": SINK | sink}]
    return run(through({"operators": operators, "options": CHECKPOINTS | (options or {})}, rate, 30.0, faults=faults))


def test_an_aligned_checkpoint_waits_for_the_answers_in_flight_and_keeps_the_buffer() -> None:
    sizes = {"latency": 1.0, "max_time_in_buffer": 100.0, "max_batch_size": 90, "max_buffered_requests": 200}
    tables = [job((), mode, 80.0, **sizes).tables["checkpoints"] for mode in ({}, UNALIGNED)]
    took = [(table["ended_s"] - table["triggered_s"])[table["ended"] == Ended.COMPLETED] for table in tables]
    assert 0.2 < took[0].mean() < 0.8 and took[0].max() < 1.1
    assert took[1].max() < 0.01
    assert 0 < tables[0]["state_bytes"].max() < 90 * 1024, "what does not fill a request stays in the buffer"


def test_waiting_for_answers_is_not_waiting_for_room() -> None:
    result = job(rate=100.0, throughput=50.0)
    assert all(finding.values.get("blocked_share") is None for finding in explain(result).findings if finding.tier == "flink")


@pytest.mark.parametrize("mode", [{}, UNALIGNED])
def test_a_crash_loses_nothing_that_was_buffered_or_in_flight(mode: dict[str, str]) -> None:
    faults = [{"kind": "crash", "target": "flink", "at": 12.3, "lasts": 1.0}]
    result = job(faults, mode, latency=0.5, max_time_in_buffer=100.0, max_batch_size=70, max_in_flight_requests=1)
    records = result.tables["records"]
    assert (records["redelivered"] > 0).sum() > 0
    early = records["fate"][:1500]
    assert (early == Fate.DELIVERED).all()


def test_the_time_of_a_buffer_that_is_lost_empties_no_other() -> None:
    faults = [{"kind": "crash", "target": "flink", "at": 6.0, "lasts": 1.0}]
    result = job(faults, rate=20.0, max_batch_size=1000, max_buffered_requests=2000, max_time_in_buffer=10.0)
    assert 17.1 <= np.nanmin(result.tables["records"]["ended_s"]) < 17.3, "10 s after the restart, and not after the start"


@settings(max_examples=8, deadline=None)
@given(
    batch=st.sampled_from([1, 7, 50]),
    requests=st.sampled_from([1, 4]),
    law=st.sampled_from([0.001, 0.05, exponential(0.1)]),
    takes=st.sampled_from([None, 50.0]),
    most_time=st.sampled_from([0.01, 0.5, 20.0]),
    parallelism=st.integers(1, 3),
    mode=st.sampled_from([{}, UNALIGNED, {"execution.checkpointing.timeout": "20 ms"}]),
)
def test_any_async_sink_keeps_every_record(
    batch: int, requests: int, law: Any, takes: float | None, most_time: float, parallelism: int, mode: dict[str, str]
) -> None:
    sink = {"max_batch_size": batch, "max_in_flight_requests": requests, "latency": law, "throughput": takes}
    more = {"max_buffered_requests": 60, "max_time_in_buffer": most_time}
    operators = [{"name": "a"}, {"name": "b", "parallelism": parallelism, "async_sink": sink | more}]
    faults = [{"kind": "crash", "target": "flink", "at": 6.3, "lasts": 1.0}]
    options = CHECKPOINTS | {"execution.checkpointing.interval": "2 s"} | mode
    result = run(through({"operators": operators, "options": options}, 200.0, 10.0, faults=faults))
    table = result.tables["flink"]
    spent = sum(table[f"{name}TimeMsPerSecond"] for name in ("idle", "busy", "softBackPressured", "hardBackPressured"))
    np.testing.assert_allclose(spent, 1000, atol=1e-6)
    numbers = result.tables["records"]["attempt"]
    assert len(np.unique(numbers)) == len(numbers) > 0


def sink(more: dict[str, Any]) -> dict[str, Any]:
    return {"operators": [{"name": "a"}, {"name": "b", "async_sink": SINK | more}]}


@pytest.mark.parametrize(
    ("flink", "tiers", "said"),
    [
        ({"operators": [{"name": "a", "async_sink": SINK}, {"name": "b"}]}, {}, "nobody reads is a sink"),
        (sink({"max_buffered_requests": 10}), {}, "strictly greater"),
        (sink({"throughput": 10.0, "latency": 0.0}), {}, "above 0"),
        (sink({}), {"writer": {}}, "leave out the writer"),
        (sink({}) | {"options": CHECKPOINTS, "exactly_once_sink": True}, {}, "at least once"),
    ],
)
def test_an_async_sink_that_cannot_be_is_refused(flink: dict[str, Any], tiers: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        through(flink, **tiers)
