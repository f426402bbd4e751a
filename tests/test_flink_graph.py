"""Jobs that are no line: copies for several readers, records shared out and brought together, sinks beside the last one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsim.engine import Simulation, run
from bpsim.keys import Keys
from bpsim.metrics import summary
from bpsim.result import Fate, Result
from bpsim.scenario import Scenario
from bpsim.tiers.flink import FlinkJob, FlinkSpec
from bpsim.tiers.flink.alone import AloneResult
from bpsim.tiers.flink.debloat import Debloating
from bpsim.tiers.flink.gate import InputGate, UnionInputGate
from bpsim.tiers.flink.graph import OperatorSpec
from bpsim.tiers.flink.topology import Topology
from tests.flink_jobs import CHECKPOINTS, DEBLOAT, UNALIGNED, alone, line, through
from tests.pipelines import exponential

AUDIT = {"name": "audit", "inputs": ["source"]}
SINK = {"name": "sink", "inputs": ["source"]}
DIAMOND = (
    {"name": "fast", "inputs": ["source"], "share": 0.75},
    {"name": "slow", "inputs": ["source"], "share": 0.25},
    {"name": "sink", "inputs": ["fast", "slow"]},
)


def last(result: AloneResult, name: str, vertex: str) -> np.ndarray:
    """Gauge `name` of the subtasks of `vertex` in the second half of the run."""
    table = result.flink
    return table[name][(table["vertex"] == vertex) & (table["time_s"] > table["time_s"][-1] / 2)]


def test_every_reader_gets_a_copy_of_every_record() -> None:
    result = alone(line(AUDIT, SINK), rate=100.0, duration=20.0)
    assert abs(len(result.records["number"]) - 2000) < 20 and abs(len(result.beside["record"]) - 2000) < 20
    assert set(result.beside["operator"]) == {"audit"}
    np.testing.assert_array_equal(result.beside["record"][:1900], result.records["number"][:1900])


def test_a_record_counts_once_at_the_task_that_copies_it_and_its_bytes_as_often_as_they_are_sent() -> None:
    """numRecordsOut of the task (FLINK-18808), numBytesOut of all its outputs."""
    result = alone(line(AUDIT, SINK), rate=100.0, duration=20.0)
    records, sent = (last(result, name, "source")[-1] for name in ("numRecordsOut", "numBytesOut"))
    assert records == pytest.approx(1900, abs=10) and sent == 2 * records * 1029


def test_a_slow_sink_beside_holds_back_the_whole_job() -> None:
    result = alone(line(AUDIT | {"rate_limit": 50.0}, SINK), rate=200.0, duration=120.0)
    done = result.records["done_s"]
    assert (done > 100.0).sum() == pytest.approx(50 * 20, rel=0.05)
    assert last(result, "softBackPressuredTimeMsPerSecond", "source").mean() > 700
    assert last(result, "busyTimeMsPerSecond", "sink").mean() < 50


def test_records_are_shared_out_by_chance_and_each_goes_one_way() -> None:
    result = alone(line(*DIAMOND), rate=500.0, duration=20.0)
    numbers = result.records["number"]
    assert len(np.unique(numbers)) == len(numbers) == pytest.approx(10_000, abs=120)
    fast, slow, sent = (last(result, "numRecordsOut", name)[-1] for name in ("fast", "slow", "source"))
    assert slow == pytest.approx(sent / 4, abs=4 * np.sqrt(sent * 0.25 * 0.75))
    assert 0 <= sent - fast - slow < 100, "the rest waits to be flushed"
    assert len(result.beside["record"]) == 0


def test_a_share_behind_a_slow_operator_holds_back_those_that_go_another_way() -> None:
    """The task that shares out waits for room on every way: 20/s pass slow, so 80/s come from the source."""
    slow = ({**DIAMOND[0]}, DIAMOND[1] | {"rate_limit": 20.0}, DIAMOND[2])
    result = alone(line(*slow), rate=500.0, duration=150.0)
    assert (result.records["done_s"] > 110.0).sum() == pytest.approx(80 * 40, rel=0.1)


class Fed:
    """A channel that has so many elements."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count, self.ready = name, count, False

    def poll(self) -> str:
        self.count -= 1
        return self.name

    def has_data(self) -> bool:
        return self.count > 0


def test_a_task_reads_its_gates_in_turn_and_each_its_channels() -> None:
    gates = [InputGate(8), InputGate(8)]
    union = UnionInputGate(gates)
    for gate, channels in zip(gates, ([Fed("a", 3), Fed("b", 3)], [Fed("x", 6)]), strict=True):
        for channel in channels:
            gate.notify(channel)  # type: ignore[arg-type]
    read = [found[1] for found in iter(union.poll, None)]
    assert "".join(map(str, read)) == "axbx" * 3
    gates[1].notify(Fed("y", 1))  # type: ignore[arg-type]
    assert union.poll() is not None and union.poll() is None


def test_a_record_of_many_buffers_is_written_whole_to_every_reader() -> None:
    """The task stands still in the middle of a copy (hard back pressure), now for one reader, now for the other."""
    slow = {"rate_limit": 2.0}
    result = alone(line(AUDIT | slow, SINK | {"service": exponential(0.4)}), rate=5.0, record_bytes=60 * 32768, duration=60.0)
    for numbers in (result.records["number"], result.beside["record"]):
        assert len(numbers) > 80 and (np.diff(numbers) == 1).all()
    assert last(result, "hardBackPressuredTimeMsPerSecond", "source").mean() > 300


def test_an_aligned_barrier_waits_for_every_input() -> None:
    """Ten buffers wait before the slow branch; the other is empty. The sink begins with its barrier and blocks that channel."""
    slow = (DIAMOND[0], DIAMOND[1] | {"rate_limit": 20.0}, DIAMOND[2])
    result = alone(line(*slow), CHECKPOINTS | {"execution.checkpointing.interval": "60 s"}, 500.0, 200.0)
    table = result.checkpoints
    took = (table["ended_s"] - table["triggered_s"])[~np.isnan(table["ended_s"])]
    assert table["alignment_s"][: len(took)].max() == pytest.approx(took.max(), rel=0.05)
    assert took.max() == pytest.approx(18.5 * 32768 / 1029 / 20, rel=0.05)


def test_each_gate_of_a_union_is_debloated_by_itself() -> None:
    """The one that gets three quarters has a backlog; the other, read as often, has none."""
    slow = (DIAMOND[0], DIAMOND[1], DIAMOND[2] | {"rate_limit": 200.0})
    result = alone(line(*slow), DEBLOAT, 500.0, 60.0)
    sizes = [last(result, name, "sink").mean() for name in ("debloatedBufferSize", "debloatedBufferSize.1")]
    assert sizes[0] < 10_000 and sizes[1] == 32768
    assert np.isnan(last(result, "debloatedBufferSize.1", "slow")).all()


def test_a_gate_of_a_union_counts_the_time_without_input() -> None:
    """A task asks its only gate, finds nothing and stops the clock; a union does not ask a gate that has run dry."""
    bytes_per_second = []
    for operators in (DIAMOND, ({"name": "map", "inputs": ["source"]}, {"name": "sink", "service": 0.001})):
        job = [{"name": "source"}, *operators[:-1], operators[-1] | {"service": 0.001}]
        simulation = Simulation(through({"operators": job, "options": DEBLOAT}, 200.0))
        simulation.advance(10.0)
        assert isinstance(simulation.flink, FlinkJob)
        gates = simulation.flink.graph.vertices[-1].subtasks[0].gates
        bytes_per_second.append([gate.meter.throughput for gate in gates if gate.meter is not None])
    assert bytes_per_second[0] == pytest.approx([150 * 1029, 50 * 1029], rel=0.5)
    assert bytes_per_second[1] == pytest.approx([1029 / 0.001], rel=0.1)


def test_in_1_14_one_size_is_announced_to_all_gates() -> None:
    slow = (DIAMOND[0], DIAMOND[1], DIAMOND[2] | {"rate_limit": 200.0})
    result = alone(line(*slow), DEBLOAT, 500.0, 30.0, version="1.14")
    first, second = (last(result, name, "sink") for name in ("debloatedBufferSize", "debloatedBufferSize.1"))
    assert (first == second).all() and first.max() < 32768
    assert not Debloating((1, 14)).per_gate


@st.composite
def jobs(draw: st.DrawFn) -> list[OperatorSpec]:
    """Any job that fits together: lines, copies to sinks beside, records shared out and brought together again."""
    operators: list[dict[str, Any]] = [{"name": "source", "parallelism": draw(st.integers(1, 2))}]
    at = "source"
    for step in range(draw(st.integers(1, 3))):
        more = {"parallelism": draw(st.integers(1, 3)), "service": draw(st.sampled_from([0.0, 0.001, 0.004]))}
        more |= {"exchange": draw(st.sampled_from(["rebalance", "hash"]))}
        kind = draw(st.sampled_from(["line", "aside", "split"]))
        if kind == "aside":
            operators.append({"name": f"aside{step}", "inputs": [at]} | more)
        if kind == "split":
            operators += [{"name": f"{way}{step}", "inputs": [at], "share": 0.5} | more for way in "ab"]
            operators.append({"name": f"o{step}", "inputs": [f"a{step}", f"b{step}"]} | more)
        else:
            operators.append({"name": f"o{step}", "inputs": [at]} | more)
        at = f"o{step}"
    return [OperatorSpec.model_validate({"slot_sharing_group": f"g{i}"} | one) for i, one in enumerate(operators)]


@settings(max_examples=12, deadline=None)
@given(
    job=jobs(),
    options=st.sampled_from([{}, CHECKPOINTS, DEBLOAT | CHECKPOINTS, CHECKPOINTS | UNALIGNED]),
    version=st.sampled_from(["1.14", "1.18", "2.3"]),
)
def test_any_graph_brings_no_record_to_an_operator_twice(
    job: list[OperatorSpec], options: dict[str, str], version: str
) -> None:
    FlinkSpec(operators=tuple(job))
    result = alone(job, options, 300.0, 5.0, version=version, keys=Keys(distinct=50))
    assert len(np.unique(result.records["number"])) == len(result.records["number"]) > 0
    for name in set(result.beside["operator"]):
        mine = result.beside["record"][result.beside["operator"] == name]
        assert len(np.unique(mine)) == len(mine)
    spent = sum(result.flink[f"{name}TimeMsPerSecond"] for name in ("idle", "busy", "softBackPressured", "hardBackPressured"))
    np.testing.assert_allclose(spent, 1000, atol=1e-6)


WHOLE = [
    {"name": "source", "parallelism": 2},
    {"name": "audit", "inputs": ["source"], "service": 0.004, "slot_sharing_group": "a"},
    {"name": "known", "inputs": ["source"], "share": 0.7, "parallelism": 2, "service": 0.003, "slot_sharing_group": "b"},
    {"name": "new", "inputs": ["source"], "share": 0.3, "service": 0.01, "slot_sharing_group": "c"},
    {"name": "sink", "inputs": ["known", "new"], "parallelism": 2, "exchange": "hash", "service": 0.005},
]
TIMEOUT = UNALIGNED | {"execution.checkpointing.aligned-checkpoint-timeout": "300 ms"}


def whole(options: dict[str, str], faults: Sequence[Any] = (), once: bool = True, **flink: Any) -> Scenario:
    conf = CHECKPOINTS | options | {"execution.checkpointing.interval": "2 s"}
    job = {"operators": WHOLE, "options": conf, "exactly_once_sink": once} | flink
    return through(job, rate=260.0, duration=18.0, client={"keys": {"distinct": 60}}, faults=faults)


CRASHES = [{"kind": "crash", "target": "flink", "at": at, "lasts": 1.0} for at in (6.3, 9.7, 13.1)]


@pytest.mark.parametrize("options", [{}, TIMEOUT])
def test_a_crash_writes_nothing_twice_in_any_sink_that_is_exactly_once(options: dict[str, str]) -> None:
    result = run(whole(options, CRASHES))
    records, beside = result.tables["records"], result.tables["side_sinks"]
    assert records["redelivered"].sum() == 0
    assert len(np.unique(beside["record"])) == len(beside["record"]) > 1000
    delivered = np.flatnonzero(records["fate"] == Fate.DELIVERED)
    assert options or np.array_equal(np.sort(beside["record"]), delivered), "aligned, both commit what came before one barrier"
    assert summary(result)["side_sinks_written"] == len(beside["record"])


def test_otherwise_sinks_beside_write_again_what_the_job_reads_again() -> None:
    result = run(whole({}, CRASHES, once=False))
    found = summary(result)
    twice = len(result.tables["side_sinks"]["record"]) - len(np.unique(result.tables["side_sinks"]["record"]))
    assert found["side_sinks_written_again"] == twice > 100
    assert result.tables["records"]["redelivered"].sum() > 100


def test_nothing_is_lost_beside_either() -> None:
    """Once the load is over and the job has caught up, every record has been written in both sinks, whatever crashed."""
    scenario = whole(UNALIGNED, CRASHES).but(duration=30.0)
    arrivals = {"kind": "piecewise", "points": [{"at": 0, "rate": 100.0}, {"at": 10, "rate": 100.0}, {"at": 11, "rate": 1e-6}]}
    tree = scenario.model_dump(exclude_none=True)
    result = run(Scenario.model_validate(tree | {"client": tree["client"] | {"arrivals": arrivals}}))
    records = result.tables["records"]
    assert (records["fate"] == Fate.DELIVERED).all() and len(records["fate"]) > 900
    np.testing.assert_array_equal(np.sort(result.tables["side_sinks"]["record"]), np.arange(len(records["fate"])))


def test_of_several_inputs_those_in_the_same_slot_are_local() -> None:
    places = zip(DIAMOND, ("here", "there", "here"), strict=True)
    groups = [operator | {"slot_sharing_group": group} for operator, group in places]
    simulation = Simulation(through({"operators": [{"name": "source", "slot_sharing_group": "there"}, *groups]}))
    assert isinstance(simulation.flink, FlinkJob)
    fast, slow, sink = (vertex.subtasks[0] for vertex in simulation.flink.graph.vertices[1:])
    kinds = [[type(channel).__name__ for channel in subtask.channels] for subtask in (fast, slow, sink)]
    assert kinds == [["RemoteInputChannel"], ["LocalInputChannel"], ["LocalInputChannel", "RemoteInputChannel"]]


def test_a_union_with_a_backlog_goes_on_after_a_crash() -> None:
    job = [{"name": "source"}, *DIAMOND[:2], DIAMOND[2] | {"service": 0.02}]
    crash = [{"kind": "crash", "target": "flink", "at": 8.0, "lasts": 1.0}]
    records = run(through({"operators": job}, 100.0, 16.0, faults=crash)).tables["records"]
    assert (~np.isnan(records["ended_s"])).sum() + records["redelivered"].sum() == pytest.approx(50 * 15, rel=0.05)


def test_a_saved_result_has_the_sinks_beside(tmp_path: Any) -> None:
    result = run(whole({}).but(duration=8.0))
    result.save(tmp_path)
    kept = Result.load(tmp_path).tables["side_sinks"]
    assert list(kept["operator"]) == ["audit"] * len(kept["record"]) and len(kept["record"]) > 100


def test_async_io_asks_before_its_answers_are_copied() -> None:
    ask = {"name": "ask", "async_io": {"latency": 0.05}}
    job = line(ask, {"name": "audit", "inputs": ["ask"]}, {"name": "sink", "inputs": ["ask"]})
    result = alone(job, {"execution.buffer-timeout.interval": "0 ms"}, 100.0, 10.0)
    records, beside = result.records, result.beside
    np.testing.assert_allclose(records["done_s"] - records["created_s"], 0.05, atol=1e-6)
    np.testing.assert_allclose(beside["written_s"] - beside["entered_s"], 0.05, atol=1e-6)


def test_copies_for_sinks_beside_are_no_part_of_the_ledger() -> None:
    """A job that is down is its last checkpoint: what that holds on the way to the last operator, each record once."""
    job = [WHOLE[0], WHOLE[1] | {"service": 0.02}, *WHOLE[2:]]
    simulation = Simulation(whole(UNALIGNED, CRASHES, operators=job))
    for moment in (6.5, 10.0, 13.5):
        simulation.advance(moment)
        assert isinstance(simulation.flink, FlinkJob)
        inside = [int(row[0]) for row in simulation.flink.unfinished() if row[1] == 1]
        fate = simulation.result().tables["records"]["fate"]
        assert len(set(inside)) == len(inside) and not (fate[inside] == Fate.DELIVERED).any()
    assert inside


def test_an_async_sink_may_stand_beside_the_writer() -> None:
    beside = {"max_batch_size": 10, "max_in_flight_requests": 2, "max_buffered_requests": 100, "max_time_in_buffer": 0.5}
    ask = {"name": "ask", "async_io": {"latency": 0.3}}
    job = [{"name": "source"}, ask, {"name": "audit", "async_sink": beside | {"latency": 0.02}}, SINK]
    result = run(through({"operators": job}, rate=100.0, writer={}))
    assert len(result.tables["side_sinks"]["record"]) == pytest.approx(3000, rel=0.1)
    assert (result.tables["records"]["fate"] == Fate.DELIVERED).mean() > 0.95


def test_operators_are_chained_only_in_a_line() -> None:
    job = line(
        {"name": "aside", "inputs": ["source"]},
        {"name": "map", "inputs": ["source"]},
        {"name": "sink", "inputs": ["map"], "exchange": "forward", "slot_sharing_group": "g2"},
    )
    topology = Topology.of(job)
    assert [[operator.name for operator in task] for task in topology.tasks] == [["source"], ["aside"], ["map", "sink"]]
    assert topology.main == {0, 2} and topology.outputs[0] == (2, 1) and topology.volumes == [1.0, 1.0, 1.0]


def test_a_task_that_gets_a_share_works_for_a_share() -> None:
    spec = through({"operators": [{"name": "source"}, *DIAMOND[:1], DIAMOND[1] | {"service": 0.02}, DIAMOND[2]]}).flink
    assert spec is not None and spec.topology.volumes == [1.0, 0.75, 0.25, 1.0]
    assert spec.seconds_per_record == pytest.approx(0.005)


def test_shares_that_come_together_in_steps_are_all_records_again() -> None:
    job = [
        {"name": "source"},
        {"name": "a", "share": 0.5},
        {"name": "b", "inputs": ["source"], "share": 0.5},
        {"name": "a1", "inputs": ["a"], "share": 0.1},
        {"name": "a2", "inputs": ["a"], "share": 0.9},
        {"name": "c", "inputs": ["a1", "b"]},
        {"name": "sink", "inputs": ["c", "a2"]},
    ]
    topology = Topology.of([OperatorSpec.model_validate(operator) for operator in job])
    assert topology.volumes == pytest.approx([1.0, 0.5, 0.5, 0.05, 0.45, 0.55, 1.0])
    through({"operators": job})


@pytest.mark.parametrize(
    ("operators", "said"),
    [
        ([{"name": "a", "inputs": ["b"]}, {"name": "b"}], "operators.0.inputs: the first operator is the source"),
        ([{"name": "source"}, {"name": "b", "inputs": ["sorce"]}], "operators.1.inputs.0: .* did you mean 'source'"),
        ([{"name": "a"}, {"name": "b", "inputs": ["c"]}, {"name": "c"}], "no operator above it is called c; there are a"),
        ([{"name": "a"}, {"name": "b", "inputs": ["b"]}], "no operator above it is called b"),
        ([{"name": "a"}, {"name": "b", "inputs": ["a", "a"]}], "operators.1.inputs.1: b reads a already"),
        ([{"name": "a"}, {"name": "b"}, {"name": "c", "inputs": ["a"]}, {"name": "d", "inputs": ["b", "c"]}], "by b and by c"),
        ([{"name": "a"}, {"name": "b", "share": 0.5}, {"name": "c", "inputs": ["a"]}], "get 0.5 of them in all"),
        ([{"name": "a", "share": 0.5}, {"name": "b"}], "operators.0.share: of the records of one input"),
        (
            [{"name": "a"}, {"name": "b", "share": 0.5}, {"name": "c", "inputs": ["a"], "share": 0.5}],
            "operators.2: .* only what is given to c comes to it",
        ),
        (
            [{"name": "a"}, {"name": "b", "exchange": "forward"}, {"name": "c", "inputs": ["a"]}],
            "operators.1.chained: c reads a, too, and a task is a line here; set chained: false",
        ),
        (
            [{"name": "a"}, DIAMOND[0] | {"inputs": ["a"], "record_size": 10}, DIAMOND[1] | {"inputs": ["a"]}, DIAMOND[2]],
            "operators.3.record_size: .*fast 10, slow as they came",
        ),
        ([{"name": "a"}, {"name": "b", "async_io": {"latency": 0.1}}, {"name": "c", "inputs": ["a"]}], "nowhere to go"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(operators: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        through({"operators": operators})


def test_restored_with_another_parallelism_data_goes_where_its_keys_live_and_else_in_turn() -> None:
    simulation = Simulation(whole({}))
    simulation.advance(2.0)
    assert isinstance(simulation.flink, FlinkJob)
    graph = simulation.flink.graph
    graph.clear()
    graph.restore({(2, 5): [1, 2, 3], (4, 2): list(range(50))})
    assert [subtask.unfinished for subtask in graph.vertices[2].subtasks] == [[], [1, 2, 3]]
    homes = simulation._router()(list(range(50)), 2)
    for number, subtask in enumerate(graph.vertices[4].subtasks):
        assert subtask.unfinished == [record for record in range(50) if homes[record] == number] != []


def test_a_graph_is_rescaled_as_a_whole() -> None:
    quick = {"metrics_window": 3.0, "stabilization_interval": 1.0, "control_interval": 1.0, "catch_up_duration": 10.0}
    scenario = whole({}, once=False, recovery=1.0, autoscaler=quick | {"restart_time": 1.0})
    simulation = Simulation(scenario)
    simulation.advance(18.0)
    assert isinstance(simulation.flink, FlinkJob)
    graph = simulation.flink.graph
    found = {vertex.name: len(vertex.subtasks) for vertex in graph.vertices}
    assert found["audit"] > 1 and found["new"] > 1 and found["sink"] > 2
    simulation.result()
