"""Flink's options in a scenario: inline, or in a file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bpsim.document import InvalidScenario
from bpsim.engine import run
from bpsim.experiment import Experiment
from bpsim.output import resolved
from bpsim.scenario_file import ScenarioFile, load, loads
from bpsim.tiers.flink import FlinkSpec
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.conf_file import parse_conf
from bpsim.tiers.flink.graph import OperatorSpec
from bpsim.tiers.flink.placement import shares
from bpsim.tiers.flink.topology import Topology
from tests.flink_jobs import through

JOB = [{"name": "source", "parallelism": 2}, {"name": "sink", "parallelism": 2}]


def spec(**changes: Any) -> FlinkSpec:
    return FlinkSpec.model_validate({"operators": JOB} | changes)


def test_options_are_flinks_text_whatever_yaml_made_of_them() -> None:
    options = {"taskmanager.network.memory.buffer-debloat.enabled": True, "parallelism.default": 4, "a": 0.5, "b": "1 s"}
    found = spec(options=options)
    assert found.options == {"taskmanager.network.memory.buffer-debloat.enabled": "true", "parallelism.default": "4",
                             "a": "0.5", "b": "1 s"}  # fmt: skip
    assert found.resolved.debloating is not None
    assert found.resolved.parallelism == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"taskmanager": {"memory": {}}}}, "keys are written in one piece"),
        ({"options": {"execution.buffer-timeout": "soon"}}, "text does not start with a number"),
        ({"options": {"taskmanager.memory.network.min": "64 MiB"}}, "did you mean '64m'?"),
        ({"version": "3.0"}, "1.14 to 2.3"),
        ({"operators": [{"name": "a", "parallelism": 2000}, {"name": "b", "parallelism": 2000}]}, "4,000,000 channels between"),
        ({"operators": [], "service": 0.001, "options": {"a": 1}}, "options has no effect without operators"),
        ({"operators": [], "service": 0.001, "version": "1.20"}, "version has no effect without operators"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**changes)
    assert said in str(caught.value)


def test_a_job_that_does_not_fit_into_the_network_memory_is_refused_in_flinks_words() -> None:
    wide = [{"name": name, "parallelism": 40} for name in ("source", "sink")]
    slots = {"taskmanager.numberOfTaskSlots": 20}
    spec(operators=wide, options=slots)
    with pytest.raises(ValidationError, match=r"Insufficient number of network buffers: required .* 512 of 32768 bytes each"):
        spec(operators=wide, options=slots | {"taskmanager.memory.network.min": "16m", "taskmanager.memory.network.max": "16m"})


def test_an_editor_knows_flinks_options_and_their_defaults() -> None:
    found = FlinkSpec.model_json_schema()["properties"]["options"]["properties"]
    means = {key: schema["description"] for key, schema in found.items()}
    assert means["taskmanager.memory.segment-size"] == "default 32kb"
    assert means["taskmanager.memory.starting-segment-size"] == "default 1kb; came with 2.0"
    assert means["taskmanager.network.memory.buffers-per-channel"] == "default 2; removed in 2.0"
    assert means["taskmanager.network.memory.max-overdraft-buffers-per-gate"] == (
        "default 0 from 1.14, 5 from 1.16, 20 from 2.0; came with 1.16; removed in 2.0"
    )


def test_channels_within_a_task_manager_ask_for_no_buffers() -> None:
    operators = [OperatorSpec(name=name, parallelism=2) for name in ("source", "sink")]
    apart = shares(Topology.of(operators), spec().resolved)
    together = shares(Topology.of(operators), spec(options={"taskmanager.numberOfTaskSlots": 2}).resolved)
    assert apart.keys() == together.keys() == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert apart[0, 0].outputs[0].size == together[0, 0].outputs[0].size == 12
    assert apart[1, 0].floating[0].size == 8
    wide = [{"name": name, "parallelism": 20} for name in ("source", "sink")]
    small = {"taskmanager.memory.network.min": "14848k", "taskmanager.memory.network.max": "14848k"}
    spec(operators=wide, options=small | {"taskmanager.numberOfTaskSlots": 20})
    with pytest.raises(ValidationError, match="Insufficient number of network buffers"):
        spec(operators=wide, options=small | {"taskmanager.numberOfTaskSlots": 15})


def test_pools_get_less_when_buffers_are_scarce() -> None:
    operators = [OperatorSpec(name=name, parallelism=10) for name in ("source", "sink")]
    scarce = {
        "taskmanager.numberOfTaskSlots": "5",
        "taskmanager.memory.network.min": "6m",
        "taskmanager.memory.network.max": "6m",
    }
    found = shares(Topology.of(operators), spec(options=scarce).resolved)
    assert 11 <= found[0, 0].outputs[0].size < 28
    assert sum(found[0, n].outputs[0].size + found[1, n].floating[0].size + 5 * 2 for n in range(5)) == 192


SCENARIO = """\
question: what does the file say?
duration: 5 s
client: {arrivals: {kind: poisson, rate: 50/s}}
api: {service: 1 ms}
producer: {}
broker: {}
consumer: {when_full: block}
flink:
  conf: conf/flink-conf.yaml
  operators: [{name: source}, {name: sink, parallelism: 2}]
"""
CONF = """\
# as it stands
taskmanager.memory.process.size: 1728m
taskmanager.network.memory.buffer-debloat.enabled: true
  taskmanager.network.memory.buffers-per-channel: 3
"""


def beside(folder: Path, conf: str = CONF, scenario: str = SCENARIO, name: str = "flink-conf.yaml") -> Path:
    (folder / "conf").mkdir()
    (folder / "conf" / name).write_text(conf)
    (folder / "s.yaml").write_text(scenario.replace("flink-conf.yaml", name))
    return folder / "s.yaml"


def flink(file: ScenarioFile, variant: str = "base") -> FlinkSpec:
    found = file.variants[variant].flink
    assert found is not None
    return found


def problems(path: Path, sets: Sequence[str] = ()) -> list[str]:
    with pytest.raises(InvalidScenario) as caught:
        load(path, sets)
    return [str(problem) for problem in caught.value.problems]


def test_the_options_of_a_file_beside_the_scenario_are_those_of_the_job(tmp_path: Path) -> None:
    found = flink(load(beside(tmp_path)))
    assert found.version == "1.20", "the newest that reads a flink-conf.yaml"
    assert found.options["taskmanager.memory.process.size"] == "1728m"
    assert found.resolved.buffers_per_channel == 3
    assert found.resolved.debloating is not None


def test_options_of_the_scenario_are_stronger_than_those_of_the_file_and_set_is_stronger_still(tmp_path: Path) -> None:
    more = "  options: {taskmanager.network.memory.buffers-per-channel: 4, taskmanager.numberOfTaskSlots: 2}\n"
    path = beside(tmp_path, scenario=SCENARIO + more)
    assert flink(load(path)).resolved.buffers_per_channel == 4
    found = flink(load(path, ["flink.options.taskmanager.network.memory.buffers-per-channel=5"])).resolved
    assert (found.buffers_per_channel, found.task_slots, found.debloating is not None) == (5, 2, True)


def test_a_variant_changes_options_or_takes_another_file(tmp_path: Path) -> None:
    variants = """\
variants:
  on: {}
  off: {flink: {options: {taskmanager.network.memory.buffer-debloat.enabled: false}}}
  newer: {flink: {version: "2.3", conf: conf/config.yaml}}
"""
    path = beside(tmp_path, scenario=SCENARIO + variants)
    (tmp_path / "conf" / "config.yaml").write_text("taskmanager: {memory: {process: {size: 4g}, segment-size: 16kb}}")
    file = load(path, ["flink.options.parallelism.default=7"])
    assert [flink(file, name).resolved.debloating is not None for name in file.variants] == [True, False, False]
    assert [flink(file, name).resolved.segment_size for name in file.variants] == [32768, 32768, 16384]
    assert [flink(file, name).resolved.parallelism for name in file.variants] == [7, 7, 7]


def test_a_resolved_scenario_needs_no_file(tmp_path: Path) -> None:
    scenario = load(beside(tmp_path)).base
    (tmp_path / "conf" / "flink-conf.yaml").unlink()
    assert type(scenario).model_validate(scenario.model_dump(mode="json")).flink == scenario.flink


def test_a_resolved_file_with_variants_gives_the_same_options_again(tmp_path: Path) -> None:
    variants = """\
variants:
  on: {flink: {options: {parallelism.default: 3, taskmanager.numberOfTaskSlots: 2}}}
  off: {flink: {options: {taskmanager.network.memory.buffer-debloat.enabled: null, parallelism.default: 2}}}
"""
    file = load(beside(tmp_path, scenario=SCENARIO + variants))
    assert flink(file, "off").resolved.debloating is None
    (tmp_path / "again.yaml").write_text(resolved(Experiment(file, 1, {}, {}, (), False, {})))
    again = load(tmp_path / "again.yaml")
    assert {name: flink(again, name) for name in again.variants} == {name: flink(file, name) for name in file.variants}


def test_what_the_version_ignores_is_remarked_at_its_place_in_the_file(tmp_path: Path) -> None:
    said = [str(remark) for remark in load(beside(tmp_path), ["flink.version=2.3"]).remarks]
    place = f"{tmp_path}/conf/flink-conf.yaml"
    assert (
        f"{place}:4:51: 'taskmanager.network.memory.buffers-per-channel': set, but 2.3 ignores it; it is always 2 there" in said
    )
    assert any(line.startswith(f"{place}: Flink 2.3 reads config.yaml only") for line in said)
    assert load(tmp_path / "s.yaml").remarks == ()


def test_pools_that_could_use_more_than_there_is_are_remarked(tmp_path: Path) -> None:
    wide = SCENARIO.replace(
        "[{name: source}, {name: sink, parallelism: 2}]", "[{name: a, parallelism: 9}, {name: b, parallelism: 9}]"
    )
    small = "taskmanager.network.memory.min: 9m\ntaskmanager.network.memory.max: 9m\ntaskmanager.numberOfTaskSlots: 9"
    (remark,) = load(beside(tmp_path, CONF + small, wide)).remarks
    assert "s.yaml:10:3: Memory usage [" in str(remark)


def test_what_the_scenario_itself_sets_in_vain_is_remarked_there(tmp_path: Path) -> None:
    more = "  options:\n    taskmanager.memory.network.size: 1gb\n"
    (remark,) = load(beside(tmp_path, scenario=SCENARIO + more)).remarks
    assert str(remark).startswith(f"{tmp_path}/s.yaml:12:5: 'taskmanager.memory.network.size': Flink has no such option")


@pytest.mark.parametrize(
    ("conf", "place", "said"),
    [
        (CONF.replace("1728m", "1.5g"), "flink-conf.yaml:2:34", "did you mean '1536m'?"),
        (CONF + "execution.checkpointing.interval: soon", "flink-conf.yaml:5:35", "text does not start with a number"),
        ("parallelism.default: 4", "flink-conf.yaml", "need to be configured explicitly"),
    ],
)
def test_a_fault_in_the_file_is_reported_at_its_place_there(tmp_path: Path, conf: str, place: str, said: str) -> None:
    (problem,) = problems(beside(tmp_path, conf))
    assert problem.startswith(f"{tmp_path}/conf/{place}: ")
    assert said in problem


def test_faults_of_a_variant_are_found_in_its_file(tmp_path: Path) -> None:
    variants = 'variants: {a: {}, b: {flink: {conf: conf/config.yaml, version: "2.3"}}}\n'
    path = beside(tmp_path, scenario=SCENARIO + variants)
    (tmp_path / "conf" / "config.yaml").write_text("taskmanager:\n  memory: {process: {size: 4g}, segment-size: 5000}")
    (problem,) = problems(path)
    assert problem.startswith(f"{tmp_path}/conf/config.yaml:2:47: ")
    assert "Memory segment size must be a power of 2." in problem


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("flink-conf.yaml", "nowhere.yaml", "s.yaml:9:9: 'conf': there is no file conf/nowhere.yaml; paths are relative"),
        ("conf/flink-conf.yaml", "{a: 1}", "s.yaml:9:9: 'conf' is the path of a file; options: {…} holds options themselves"),
        (
            "  conf:",
            '  version: "9.9"\n  conf:',
            "s.yaml:9:12: 'version': '9.9' is not a version of Flink known here, 1.14 to 2.3",
        ),
        (
            "  conf:",
            "  options: {execution.buffer-timeout: 1 us}\n  conf:",
            "s.yaml:9:39: flink.options.execution.buffer-timeout",
        ),
    ],
)
def test_a_wrong_reference_is_reported_in_the_scenario(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert any(said in problem for problem in problems(beside(tmp_path, scenario=SCENARIO.replace(old, new))))


@pytest.mark.parametrize("name", ["conf/flink-conf.yaml", "../pyproject.toml", "/etc/passwd", "flink/../../pyproject.toml"])
def test_a_text_may_name_no_file_but_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    beside(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InvalidScenario, match=r"scenario\.yaml:9:9: 'conf': (there is no file|.* is not among the shipped files)"
    ):
        loads(SCENARIO.replace("conf/flink-conf.yaml", name))


def test_a_text_may_name_the_shipped_configuration() -> None:
    found = flink(loads(SCENARIO.replace("conf/flink-conf.yaml", "flink/flink-conf.yaml")))
    assert found.options["taskmanager.memory.network.fraction"] == "0.1"


def test_the_shipped_configuration_runs_as_it_stands() -> None:
    folder = Path(__file__).parents[1] / "scenarios" / "flink"
    text = (folder / "flink-conf.yaml").read_text()
    found = FlinkConf.of("1.20", parse_conf(text, "flink-conf.yaml", (1, 20)).options, strict=True)
    assert found.remarks == ()
    assert found.debloating is not None
    assert (found.buffers, found.debloating.target_ms, found.parallelism) == (4096, 1000, 4)
    job = {"version": "1.20", "options": parse_conf(text, "flink-conf.yaml", (1, 20)).options}
    result = run(through(job | {"operators": [{"name": "source"}, {"name": "sink", "service": 0.005}]}, duration=20.0))
    assert 0 < result.tables["flink"]["debloatedBufferSize"][-1] < 32768, "300/s meet 200/s"
