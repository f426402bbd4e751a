"""The autoscaler: true rates, what it asks for and when, and a job that is started anew with other parallelism."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest

from bpsim.engine import Simulation, run
from bpsim.metrics import summary
from bpsim.result import Ended, Result
from bpsim.telemetry import Exposition, add_flink
from bpsim.tiers.flink import FlinkJob
from bpsim.tiers.flink.autoscaler import Autoscaler, AutoscalerSpec, Evaluated, Look, Seen, VertexSpec, aligned, evaluate
from bpsim.tiers.flink.graph import OperatorSpec
from bpsim.tiers.flink.network import OutputFlusher
from bpsim.tiers.flink.scaling import rescaled, vertices
from tests.flink_jobs import CHECKPOINTS, DEBLOAT, UNALIGNED, through

SPEC = AutoscalerSpec(metrics_window=20.0, stabilization_interval=0.0, catch_up_duration=60.0, restart_time=30.0)
TWO = [VertexSpec(128), VertexSpec(128)]


def looks(busy: float, rate: float = 100.0, lag: float = 0.0, growth: float = 0.0, held_back: float = 0.0) -> list[Look]:
    """20 s of a source that is hardly busy, and a sink."""
    return [
        Look(
            float(now),
            int(lag + growth * (now - 20)),
            (Seen(0.01, held_back, int(rate * now), int(rate * now)), Seen(busy, 0.0, int(rate * now), 0)),
        )
        for now in (0, 10, 20)
    ]


def decision(seen: list[Look], spec: AutoscalerSpec = SPEC, current: tuple[int, int] = (1, 2)) -> list[int] | None:
    policy = Autoscaler(spec, TWO)
    return [policy.look(look, current) for look in seen][-1]


def test_the_true_rate_is_the_rate_over_the_share_of_time_busy() -> None:
    source, sink = evaluate(looks(busy=0.5), SPEC, TWO)
    assert (source.true_rate, sink.true_rate, sink.target) == (pytest.approx(10_000), 200, 100)
    assert evaluate(looks(busy=0.5, rate=0.0), SPEC, TWO)[1].true_rate == inf


def test_what_comes_in_is_the_rate_and_the_growth_of_the_backlog() -> None:
    _, sink = evaluate(looks(busy=1.0, lag=1200, growth=50.0), SPEC, TWO)
    assert (sink.target, sink.catch_up) == (150, 20)
    assert evaluate(looks(busy=1.0, lag=1200), SPEC.but(catch_up_duration=0.0), TWO)[1].catch_up == 0


def test_a_vertex_gets_its_share_of_each_that_it_reads() -> None:
    rates = (100, 25, 0)
    seen = [Look(float(now), 0, tuple(Seen(0.1, 0.0, rate * now, rate * now) for rate in rates)) for now in (0, 10)]
    inputs = [(), ((0, 0.25),), ((0, 0.75), (1, 1.0))]
    found = evaluate(seen, SPEC, [VertexSpec(128, None, sources) for sources in inputs])
    assert [vertex.target for vertex in found] == [100, 25, 100]


def test_capacity_is_for_the_backlog_the_restart_and_the_load_at_its_utilization() -> None:
    vertex = Evaluated(true_rate=100.0, target=70.0, catch_up=20.0)
    assert vertex.capacity(0.7, SPEC, with_restart=True) == 20 + 70 * 30 / 60 + 70 / 0.7
    assert vertex.capacity(0.7, SPEC, with_restart=False) == 20 + 100
    assert vertex.capacity(0.0, SPEC, with_restart=True) == inf


def test_with_a_backlog_the_observed_rate_of_a_source_counts_when_its_busy_time_promises_more() -> None:
    behind = {"busy": 1.0, "lag": 3000.0, "held_back": 0.5}
    assert evaluate(looks(**behind), SPEC, TWO)[0].true_rate == pytest.approx(200)
    assert evaluate(looks(**behind | {"lag": 2900.0}), SPEC, TWO)[0].true_rate == pytest.approx(10_000)
    assert evaluate(looks(**behind | {"held_back": 1.0}), SPEC, TWO)[0].true_rate == pytest.approx(10_000)
    assert evaluate(looks(**behind), SPEC.but(observed_min_observations=3), TWO)[0].true_rate == pytest.approx(10_000)
    assert evaluate(looks(**behind), SPEC.but(observed_switch_threshold=49.0), TWO)[0].true_rate == pytest.approx(10_000)


def test_between_its_bounds_nothing_is_done() -> None:
    assert decision(looks(busy=0.9)) is None
    assert decision(looks(busy=0.9), SPEC.but(utilization_max=0.8)) == [1, 4]


def test_a_sink_that_is_too_slow_is_given_what_the_whole_load_needs() -> None:
    """100/s done at 100 %, and 50/s more come in: 1200/60 + 150 · 30/60 + 150/0.7 = 309/s are 3.09 times as many."""
    assert decision(looks(busy=1.0, lag=1200, growth=50.0)) == [1, 7]
    assert decision(looks(busy=1.0, lag=1200, growth=50.0), SPEC.but(scale_up_max_factor=0.5)) == [1, 3]
    assert decision(looks(busy=1.0, lag=1200, growth=50.0), SPEC.but(vertex_max_parallelism=5)) == [1, 5]


def test_a_window_is_full_first_and_begins_after_the_stabilization() -> None:
    spec = SPEC.but(stabilization_interval=15.0)
    policy = Autoscaler(spec, TWO)
    overloaded = looks(1.0, lag=1200, growth=50.0)[1:]
    found = {}
    for look in [moved(look, by) for by in (0, 20, 40, 60) for look in overloaded]:
        found[look.time] = policy.look(look, (1, 2))
    assert [time for time, wanted in found.items() if wanted] == [40, 50, 60, 70, 80]
    policy.on_start(80.0)
    assert policy.look(moved(looks(1.0, lag=1200)[1], 80), (1, 2)) is None


def moved(look: Look, by: float) -> Look:
    more = int(100 * by)
    seen = tuple(Seen(one.busy, one.back_pressured, one.records_in + more, one.records_out + more) for one in look.vertices)
    return Look(look.time + by, look.lag, seen)


def test_scaling_down_waits_and_takes_the_most_that_was_asked_for() -> None:
    """What is asked for meanwhile is 5, 8 and 5 of 10."""
    policy = Autoscaler(SPEC.but(scale_down_interval=40.0, utilization_min=0.69), TWO)
    wanted = []
    for index, busy in enumerate((0.2, 0.2, 0.2, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2)):
        wanted.append(policy.look(moved(looks(busy)[0], 10.0 * index), (1, 10)))
    assert wanted[:6] == [None] * 6
    assert wanted[6] is not None and wanted[6][1] > 4
    at_once = Autoscaler(SPEC.but(scale_down_interval=0.0), TWO)
    assert [at_once.look(look, (1, 10)) for look in looks(0.2)][-1] == [1, 4]


def test_asking_to_scale_down_begins_anew_after_a_busy_spell() -> None:
    policy = Autoscaler(SPEC.but(scale_down_interval=40.0, metrics_window=10.0, control_interval=10.0), TWO)
    shares = (0.2, 0.2, 0.2, 0.2, 0.65, 0.65, 0.65, 0.2, 0.2, 0.2, 0.2)
    wanted = [policy.look(moved(looks(busy)[0], 10.0 * index), (1, 10)) for index, busy in enumerate(shares)]
    assert wanted == [None] * len(shares)


def test_a_long_backlog_is_worked_off_before_anything_is_scaled_down() -> None:
    spec = SPEC.but(scale_down_interval=0.0, catch_up_duration=0.0, observed_lag_threshold=1e6)
    assert decision(looks(busy=0.2, lag=29_000), spec, (1, 10)) == [1, 4]
    assert decision(looks(busy=0.2, lag=31_000), spec, (1, 10)) is None


def test_scaling_up_in_vain_is_not_done_again_if_that_is_to_be_detected() -> None:
    for detects, again in ((False, [1, 22]), (True, None)):
        policy = Autoscaler(SPEC.but(effectiveness_detection=detects), TWO)
        overloaded = looks(1.0, lag=1200, growth=50.0)
        assert [policy.look(look, (1, 2)) for look in overloaded][-1] == [1, 7]
        policy.on_start(20.0)
        assert [policy.look(moved(look, 20), (1, 7)) for look in overloaded][-1] == again


@pytest.mark.parametrize(
    ("wanted", "current", "most", "spread", "found"),
    [
        (24, 16, 128, 128, 32),
        (720, 400, 720, 720, 720),
        (5, 6, 36, 36, 6),
        (4, 2, 12, 12, 4),
        (5, 2, 12, 12, 6),
        (3, 2, 7, 7, 7),
        (5, 2, 6, 7, 4),
        (3, 8, 12, 12, 3),
    ],
)
def test_partitions_and_key_groups_are_shared_out_evenly(wanted: int, current: int, most: int, spread: int, found: int) -> None:
    assert aligned(wanted, current, 1, most, spread) == found


def test_sources_are_bounded_by_partitions_and_hashed_tasks_by_key_groups() -> None:
    chain = [{"name": "s"}, {"name": "map", "exchange": "forward"}, {"name": "count", "exchange": "hash", "parallelism": 100}]
    found = vertices([OperatorSpec.model_validate(operator) for operator in chain], partitions=12)
    assert found == [VertexSpec(128, 12), VertexSpec(256, 256, ((0, 1.0),))]


def test_rescaled_operators_share_the_same_state() -> None:
    job = [OperatorSpec(name="s"), OperatorSpec(name="k", state=1000, parallelism=2)]
    assert [(one.parallelism, one.state) for one in rescaled(job, [1, 8])] == [(1, None), (8, 250)]


QUICK = {"metrics_window": "10 s", "stabilization_interval": "2 s", "control_interval": "2 s",
         "catch_up_duration": "20 s", "restart_time": "3 s"}  # fmt: skip
SLOW = [{"name": "source"}, {"name": "sink", "service": 0.01, "slot_sharing_group": "b"}]


def growing(options: dict[str, str] | None = None, scaler: dict[str, Any] | None = None, **more: Any) -> Result:
    """A sink of 100/s that meets 150/s."""
    flink = {"operators": SLOW, "options": CHECKPOINTS | (options or {}), "recovery": 3.0}
    flink |= {"autoscaler": QUICK | (scaler or {})} | more.pop("flink", {})
    return run(through(flink, rate=150.0, duration=more.pop("duration", 40.0), **more))


def test_a_rescale_takes_the_recovery_and_brings_more_subtasks() -> None:
    result = growing()
    marks, table = result.tables["marks"], result.tables["flink"]
    assert list(marks["kind"][:2]) == ["rescale", "restart"]
    assert marks["time_s"][1] - marks["time_s"][0] == pytest.approx(3.0)
    sinks = table["vertex"] == "sink"
    later = table["time_s"] >= marks["time_s"][1]
    assert table["subtask"][sinks & ~later].max() == 0
    assert table["subtask"][sinks & later].max() + 1 == marks["value"][0] > 1
    found = summary(result)
    assert found["rescale_down_s"] == pytest.approx(3.0 * found["rescales"])
    assert found["crashes"] == found["job_failures"] == 0


def test_the_time_of_every_subtask_fills_every_second_before_and_after() -> None:
    table = growing().tables["flink"]
    sums = sum(table[name] for name in table if name.endswith("TimeMsPerSecond"))
    np.testing.assert_allclose(sums, 1000.0, atol=1e-3)
    assert (table["busyTimeMsPerSecond"] > -1e-6).all()


@pytest.mark.parametrize("options", [{}, UNALIGNED, DEBLOAT])
def test_everything_is_read_again_from_the_last_checkpoint(options: dict[str, str]) -> None:
    """The ledger is checked by every run."""
    result = growing(options)
    assert 0 < result.tables["records"]["redelivered"].sum() <= 100 * 8
    assert summary(result)["rescales"] >= 1


def test_an_exactly_once_sink_is_rescaled_without_a_duplicate() -> None:
    result = growing(flink={"exactly_once_sink": True})
    assert summary(result)["rescales"] >= 1 and result.tables["records"]["redelivered"].sum() == 0


@pytest.mark.parametrize("at", [13.0, 15.0, 19.0])
def test_a_crash_meanwhile_starts_the_job_once_and_as_planned(at: float) -> None:
    result = growing(UNALIGNED, faults=[{"kind": "crash", "target": "flink", "at": at, "lasts": 1.5}])
    marks = result.tables["marks"]
    stops = int(np.isin(marks["kind"], ("rescale", "crash")).sum())
    during = marks["kind"][0] == "rescale" and at <= marks["time_s"][0] + 3.0
    assert (marks["kind"] == "restart").sum() == stops - during
    last = result.tables["flink"]
    sinks = last["subtask"][(last["vertex"] == "sink") & (last["time_s"] == last["time_s"][-1])]
    assert len(sinks) == marks["value"][marks["kind"] == "rescale"][-1]


def test_barriers_of_the_rescaled_job_queue_behind_its_own_data() -> None:
    """As much as comes in and no more: its backlog keeps its buffers full, and a crash finds them so."""
    tight = {"utilization_target": 1.0, "catch_up_duration": "0 s"}
    often = {"execution.checkpointing.interval": "1 s"}
    result = growing(often, tight, duration=30.0)
    marks, table = result.tables["marks"], result.tables["checkpoints"]
    later = (table["triggered_s"] > marks["time_s"][1]) & (table["ended"] == Ended.COMPLETED)
    assert np.median((table["ended_s"] - table["triggered_s"])[later]) > 0.5
    crash = [{"kind": "crash", "target": "flink", "at": marks["time_s"][1] + 8.0, "lasts": 1.0}]
    assert growing(often, tight, duration=30.0, faults=crash).tables["records"]["redelivered"].sum() > 0


def test_a_slow_spell_goes_on_after_the_rescale() -> None:
    slow = [{"kind": "slowdown", "target": "flink", "at": 1.0, "lasts": 100.0, "factor": 2.0}]
    marks = growing(faults=slow).tables["marks"]
    assert marks["value"][marks["kind"] == "rescale"].max() > growing().tables["marks"]["value"].max()


def test_nothing_of_the_job_before_is_left() -> None:
    scenario = through({"operators": SLOW, "options": CHECKPOINTS | DEBLOAT, "recovery": 3.0, "autoscaler": QUICK}, rate=150.0)
    simulation = Simulation(scenario.but(duration=40.0))
    simulation.advance(30.0)
    assert isinstance(simulation.flink, FlinkJob) and len(simulation.flink.graph.subtasks) > 2
    due = [job for _, _, action, job in simulation.clock.small if getattr(action, "__func__", None) is OutputFlusher._flush]
    assert len(due) == sum(len(subtask.partitions) for subtask in simulation.flink.graph.subtasks)


def test_without_buffers_for_the_new_tasks_the_job_stays_down() -> None:
    few = {"taskmanager.memory.network.min": "1mb", "taskmanager.memory.network.max": "1mb"}
    job = [{"name": "source"}, {"name": "sink", "service": 0.2, "slot_sharing_group": "b"}]
    result = growing(few, flink={"operators": job}, scaler={"utilization_target": 0.3, "utilization_max": 0.9})
    assert list(result.tables["marks"]["kind"][-3:]) == ["rescale", "job_fails", "crash"]


def test_a_counter_of_a_task_that_was_started_anew_never_shows_a_negative_rate() -> None:
    exposition = Exposition(1000.0)
    add_flink(exposition, growing(), {}, 5.0)
    lines = list(exposition.lines())
    rates = [float(line.split()[-2]) for line in lines if "numRecordsInPerSecond{" in line]
    assert rates and min(rates) >= 0 < max(rates) <= 160


@pytest.mark.parametrize(
    ("flink", "said"),
    [
        ({"options": {}}, "it makes none without execution.checkpointing.interval"),
        ({"recovery": 0.0}, "every rescale is a restart"),
        ({"operators": [{"name": "a"}, {"name": "b", "exchange": "forward", "chained": False}]}, "rebalance would do"),
        ({"autoscaler": {"utilization_max": 0.5}}, "not between its bounds"),
        ({"autoscaler": {"vertex_min_parallelism": 9, "vertex_max_parallelism": 8}}, "larger than vertex_max"),
        ({"autoscaler": {"effectiveness_threshold": 0.5}}, "no effect without effectiveness_detection"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_is_refused(flink: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        through({"operators": SLOW, "options": CHECKPOINTS, "recovery": 3.0, "autoscaler": {}} | flink)


def test_it_needs_a_job() -> None:
    with pytest.raises(ValueError, match="autoscaler has no effect without operators"):
        through({"service": 0.01, "autoscaler": {}})
