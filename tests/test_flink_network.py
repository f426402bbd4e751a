"""Flink's network stack: buffers, credits, flushes, back pressure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsim.engine import run
from bpsim.keys import Keys
from bpsim.result import TIERS, Fate
from bpsim.tiers.flink.alone import AloneResult
from bpsim.tiers.flink.buffers import Barrier, LocalBufferPool, Segment, Slice, Subpartition
from bpsim.tiers.flink.channels import RemoteInputChannel
from bpsim.tiers.flink.gate import InputGate
from bpsim.tiers.flink.network import FRAMING
from tests.flink_jobs import CHECKPOINTS, DEBLOAT, UNALIGNED, alone, line, through
from tests.pipelines import exponential

SLOW = {"name": "sink", "rate_limit": 200.0}


def last(result: AloneResult, name: str, vertex: str) -> np.ndarray:
    """Gauge `name` of the subtasks of `vertex` in the second half of the run."""
    table = result.flink
    return table[name][(table["vertex"] == vertex) & (table["time_s"] > table["time_s"][-1] / 2)]


def test_a_slow_sink_fills_ten_buffers_on_each_side_of_a_channel() -> None:
    result = alone(line(SLOW))
    assert (last(result, "inputQueueSize", "sink") == 9 * 32768).all()  # one more is being read
    assert (last(result, "outputQueueLength", "source") == 10).all()
    assert last(result, "outputQueueSize", "source") == pytest.approx(9 * 32768 + 515, abs=515)
    assert (last(result, "outPoolUsage", "source") == 1).all() and (last(result, "inPoolUsage", "sink") == 1).all()
    latency = result.records["done_s"] - result.records["created_s"]
    in_flight = (9 + 9 + 0.5) * 32768 / 1029
    assert np.median(latency[len(latency) // 2 :]) == pytest.approx(in_flight / 200, rel=0.02)


def test_records_keep_their_order_from_one_source_to_one_sink() -> None:
    result = alone(line({"name": "map", "service": exponential(0.001)}, {"name": "sink", "service": 0.001}), DEBLOAT)
    assert (np.diff(result.records["number"]) == 1).all()
    assert (np.diff(result.records["done_s"]) > 0).all()


def test_a_forward_exchange_in_one_slot_is_no_exchange() -> None:
    chained = alone(line({"exchange": "forward", "slot_sharing_group": "g0", "service": 0.005}))
    assert set(chained.flink["vertex"]) == {"source -> o1"}
    apart = alone(line({"exchange": "forward", "slot_sharing_group": "g0", "service": 0.005, "chained": False}))
    assert set(apart.flink["vertex"]) == {"source", "o1"}


def test_a_local_channel_has_no_buffers_on_the_receiving_side() -> None:
    here = line(SLOW | {"slot_sharing_group": "g0"})
    near, far = alone(here), alone(line(SLOW))
    assert (last(near, "inputQueueLength", "sink") == 0).all()
    wait = [np.median((r.records["done_s"] - r.records["created_s"])[-1000:]) for r in (near, far)]
    assert wait[1] / wait[0] == pytest.approx(18.5 / 8.5, rel=0.03)  # the one being read is the sender's, too


@pytest.mark.parametrize("timeout", [0.01, 0.1])
def test_sparse_records_wait_for_the_flush(timeout: float) -> None:
    result = alone(line({"name": "sink"}), {"execution.buffer-timeout.interval": f"{timeout * 1000:g} ms"}, 73.0, 60.0, 100)
    latency = result.records["done_s"] - result.records["created_s"]
    assert latency.mean() == pytest.approx(timeout / 2, rel=0.05)
    assert latency.max() == pytest.approx(timeout, rel=0.05)


def test_a_timeout_of_zero_sends_every_record_at_once() -> None:
    result = alone(line({"name": "sink"}), {"execution.buffer-timeout.interval": "0 ms"}, 73.0, 5.0)
    assert (result.records["done_s"] == result.records["created_s"]).all()


def test_a_flushed_slice_takes_a_whole_buffer_of_the_receiver() -> None:
    result = alone(line(SLOW), {"execution.buffer-timeout.interval": "10 ms"}, 190.0, 20.0)
    few = last(result, "inputQueueSize", "sink") / np.maximum(last(result, "inputQueueLength", "sink"), 1)
    assert few.max() < 10 * 1029


@pytest.mark.parametrize(("version", "times"), [("2.3", "softBackPressured"), ("1.15", "hardBackPressured")])
def test_a_full_channel_blocks_between_records_and_up_to_1_15_within_one(version: str, times: str) -> None:
    job = line({"name": "sink", "rate_limit": 200.0, "parallelism": 2, "exchange": "hash"})
    result = alone(job, version=version, keys=Keys(distinct=1))
    assert last(result, f"{times}TimeMsPerSecond", "source").mean() > 900


def test_a_record_of_many_buffers_blocks_hard() -> None:
    result = alone(line({"name": "sink", "rate_limit": 1.0}), record_bytes=40 * 32768, rate=5.0)
    assert last(result, "hardBackPressuredTimeMsPerSecond", "source").mean() > 900
    assert len(result.records["number"]) == 30


@settings(max_examples=25, deadline=None)
@given(
    parallelism=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    exchanges=st.lists(st.sampled_from(["rebalance", "hash"]), min_size=3, max_size=3),
    services=st.lists(st.sampled_from([0.0, 0.0007, 0.004]), min_size=3, max_size=3),
    size=st.sampled_from([60, 1000, 40_000]),
    slots=st.integers(1, 3),
    options=st.sampled_from([{}, CHECKPOINTS, DEBLOAT, DEBLOAT | CHECKPOINTS, CHECKPOINTS | UNALIGNED]),
    version=st.sampled_from(["1.15", "1.18", "2.3"]),
)
def test_any_job_keeps_every_record_and_fills_every_second(
    parallelism: list[int], exchanges: list[str], services: list[float], size: int, slots: int, options: dict[str, str],
    version: str,
) -> None:  # fmt: skip
    operators = [
        {"parallelism": p, "exchange": e, "service": s} for p, e, s in zip(parallelism[1:], exchanges, services, strict=False)
    ]
    job = [line()[0].but(parallelism=parallelism[0]), *line(*operators)[1:]]
    options = {**options, "taskmanager.numberOfTaskSlots": str(slots)}
    result = alone(job, options, 400.0, 12.0, size, version, keys=Keys(distinct=50, skew=0.5))
    numbers = result.records["number"]
    assert len(np.unique(numbers)) == len(numbers)
    table = result.flink
    spent = sum(table[f"{name}TimeMsPerSecond"] for name in ("idle", "busy", "softBackPressured", "hardBackPressured"))
    np.testing.assert_allclose(spent, 1000, atol=1e-6)


@pytest.mark.parametrize("writer", [None, {"buffer": {"records": 50}, "connections": 1, "per_insert": 0.3}])
def test_in_a_pipeline_every_record_is_in_one_place(writer: dict[str, Any] | None) -> None:
    operators = [{"name": "source", "parallelism": 2}, {"name": "map", "parallelism": 3, "exchange": "hash", "service": 0.002}]
    operators.append({"name": "sink", "parallelism": 2, "service": exponential(0.01)})
    tiers = {"client": {"keys": {"distinct": 9}}} | ({"writer": writer} if writer else {})
    result = run(through({"operators": operators}, **tiers))
    assert (result.tables["records"]["fate"] == Fate.IN_FLINK).sum() > 500
    hops = result.tables["hops"]
    mine = {name: column[hops["tier"] == TIERS.index("flink")] for name, column in hops.items()}
    done = ~np.isnan(mine["left_s"])
    assert (mine["entered_s"] <= mine["started_s"])[done].all() and (mine["served_s"] <= mine["left_s"])[done].all()


def test_a_buffer_that_ends_with_a_record_is_free_when_that_record_begins() -> None:
    """The deserialiser recycles a buffer once its last byte is read; a record cut off at the end keeps it."""
    whole = alone(line(SLOW), record_bytes=32768 - FRAMING)
    cut = alone(line(SLOW), record_bytes=32768 - FRAMING - 8)
    assert last(whole, "inputQueueLength", "sink").mean() == pytest.approx(10, abs=0.1)
    assert last(cut, "inputQueueLength", "sink").mean() == pytest.approx(9, abs=0.1)


class Nobody:
    """A channel that takes nothing."""

    def on_data(self) -> None:
        """Not interested."""


def test_the_buffer_being_filled_is_no_backlog_until_it_is_flushed() -> None:
    pool = LocalBufferPool(size=10, overdraft=5, most=10, subpartitions=1)
    subpartition = Subpartition(pool, 0, lambda: None)
    subpartition.reader = Nobody()
    backlogs = []
    for _ in range(3):
        pool.request(0)
        subpartition.finish()
        segment = Segment(100)
        segment.size = 50
        subpartition.add(segment)
        backlogs.append(subpartition.backlog)
    subpartition.flush()
    subpartition.add_barrier(Barrier(1, blocks=True))
    assert backlogs == [0, 1, 2] and subpartition.backlog == 3


def test_credit_is_what_the_receiver_has_free() -> None:
    pool = LocalBufferPool(size=16, overdraft=5, most=10, subpartitions=1)
    gate, subpartition = InputGate(floating=8), Subpartition(pool, 0, lambda: None)
    channel = RemoteInputChannel(gate, subpartition, exclusive=2)
    gate.channels.append(channel)
    taken = []
    for number in range(40):
        if pool.request(0):
            subpartition.finish()
            segment = Segment(100)
            segment.size, segment.records = 100, [number]
            subpartition.add(segment)
        if number % 3 == 0 and (found := gate.poll()):
            assert isinstance(found[1], Slice)
            channel.release(found[1])
            taken += found[1].records
        assert channel.credit == channel.exclusive + channel.floating
        waiting = len(gate.received)
        assert waiting + channel.credit + gate.floating == 10, "every buffer of the gate is received, credited or spare"
    assert taken == list(range(len(taken)))


@pytest.mark.parametrize(("speeds", "done"), [([(0.6, 0.5)], 1.4), ([(0.6, 0.0), (2.0, 1.0)], 2.4), ([(0.6, 2.0)], 0.8)])
def test_what_is_left_of_a_record_goes_on_at_the_new_speed(speeds: list[tuple[float, float]], done: float) -> None:
    at_once = {"execution.buffer-timeout.interval": "0 ms"}
    result = alone(line({"name": "sink", "service": 1.0}), at_once, 0.1, 5.0, speeds=speeds)
    np.testing.assert_allclose(result.records["done_s"][0], done, atol=1e-9)
