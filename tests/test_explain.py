"""Why a run went as it did: the root, the way, the end, each with its number, its time and its line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bpsim.cli.app import app
from bpsim.experiment import Experiment, run_variants
from bpsim.explanation import Explanation, explain
from bpsim.metrics.bookmarks import bookmarks
from bpsim.metrics.spans import stretches
from bpsim.output import summary_document, write
from bpsim.result import Outcome, Result
from bpsim.scenario_file import load
from tests.made_results import Asked, Mark, Try, fault, made, once, served

FOLDER = Path(__file__).parents[1] / "scenarios"
PIPELINE = """\
question: Who started it?
duration: 60 s
client:
  arrivals: {kind: poisson, rate: 200/s}
  timeout: 1 s
  record_size: 1 kB
api:
  workers: 20
  service: {kind: exponential, mean: 20 ms}
producer:
  buffer: {bytes: 100 kB}
  linger: 5 ms
broker:
  partitions: 2
  ack_latency: 2 ms
  overflow: hold_producer
  retention: {bytes: 300 kB}
consumer:
  max_poll_records: 50
flink:
  parallelism: 1
  service: 1 ms
  network_buffers: {bytes: 100 kB}
writer:
  connections: 1
  batch_rows: 50
  batch_interval: 20 ms
  per_insert: 5 ms
  per_row: 500 us
  buffer: {records: 100}
faults:
  - {kind: slowdown, target: writer, at: 20 s, lasts: 15 s, factor: 20}
variants:
  hold: {}
  log:
    broker: {overflow: evict_oldest, retention: {bytes: 300 MB}}
  evicting:
    broker: {overflow: evict_oldest}
  harmless:
    faults: [{kind: slowdown, target: writer, at: 20 s, lasts: 15 s, factor: 1.2}]
  calm:
    faults: []
  api_too:
    faults:
      - {kind: slowdown, target: writer, at: 20 s, lasts: 15 s, factor: 20}
      - {kind: slowdown, target: api, at: 20 s, lasts: 15 s, factor: 10}
  api_hardly:
    faults:
      - {kind: slowdown, target: api, at: 15 s, lasts: 20 s, factor: 1.5}
      - {kind: slowdown, target: writer, at: 20 s, lasts: 15 s, factor: 20}
  too_much:
    client: {arrivals: {kind: poisson, rate: 1200/s}}
    faults: []
  killed:
    faults: [{kind: crash, target: api, at: 20 s, lasts: 2 s}]
  spike:
    faults: [{kind: spike, at: 20 s, lasts: 10 s, factor: 6}]
"""


pytestmark = pytest.mark.xdist_group("explain")
"""Ten variants are run for all of these tests: on one worker, they are run once."""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    path = tmp_path_factory.mktemp("explain") / "pipeline.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    return run_variants(load(path), 1, controls=False)


@pytest.fixture(scope="module")
def found(experiment: Experiment) -> dict[str, Explanation]:
    return experiment.explanations


@pytest.mark.parametrize(
    ("variant", "roots"),
    {
        "hold": {"writer"}, "log": {"writer"}, "evicting": {"writer"}, "harmless": set(), "calm": set(),
        "api_too": {"api", "writer"}, "api_hardly": {"writer"}, "too_much": {"client"}, "killed": {"api"}, "spike": {"client"},
    }.items(),
)  # fmt: skip
def test_the_roots_are_the_tiers_that_nobody_made_wait(found: dict[str, Explanation], variant: str, roots: set[str]) -> None:
    assert set(found[variant].roots) == roots, found[variant].headline
    assert (found[variant].root in roots) if roots else found[variant].root is None


def test_pressure_climbs_from_the_writer_to_the_api(found: dict[str, Explanation]) -> None:
    spread = found["hold"].part("spread")
    assert [one.tier for one in spread] == ["writer", "flink", "consumer", "broker", "producer", "api"]
    assert [one.time_s for one in spread] == sorted(one.time_s for one in spread)
    assert "holds its producers back" in spread[3].words
    assert not found["hold"].part("stop"), "it reached the users"
    assert found["hold"].part("felt")[0].values["failed"] > 100


def test_the_wave_stops_at_a_log_and_becomes_lag(found: dict[str, Explanation]) -> None:
    (stop,) = found["log"].part("stop")
    assert (stop.tier, stop.path) == ("broker", "broker.overflow")
    assert stop.values["lag_max_s"] > 8
    assert "becomes lag" in stop.words and "loss" not in stop.words
    (evicts,) = found["evicting"].part("stop")
    assert evicts.values["evicted"] == found["evicting"].part("lost")[0].values["count"] > 1000
    assert found["log"].part("felt")[0].words.startswith("Users notice nothing")


def test_what_nobody_noticed_is_said_to_have_changed_nothing(found: dict[str, Explanation]) -> None:
    assert found["harmless"].headline.startswith("Nothing happened that anybody had to wait for: 100 %")
    (cause,) = found["harmless"].part("cause")
    assert "becomes 1.2 times slower from 20 s to 35 s" in cause.words
    assert "No tier comes under pressure" in cause.words
    assert not found["calm"].part("cause") and not found["calm"].part("end")


def test_the_load_itself_may_be_the_cause(found: dict[str, Explanation]) -> None:
    (cause,) = found["too_much"].part("cause")
    assert cause.path == "client.arrivals"
    assert cause.values["load_per_s"] == 1200
    assert cause.values["capacity_per_s"] == pytest.approx(1000)


def test_a_killed_process_says_what_it_took(found: dict[str, Explanation]) -> None:
    lost = {one.path: one for one in found["killed"].part("lost")}
    assert lost["faults.0"].values["count"] > 0
    assert lost["faults.0"].time_s == 20


def test_every_sentence_has_a_number_a_time_and_a_line(experiment: Experiment, found: dict[str, Explanation]) -> None:
    for name, explanation in found.items():
        for one in explanation.findings:
            assert re.search(r"\d s\b", one.words), f"{name}: no time: {one.words}"
            assert len(re.findall(r"\d[\d,.]*", one.words)) > 1 and one.values, f"{name}: no number: {one.words}"
            file, _, line = one.place.rpartition(":")
            text = Path(file).read_text().splitlines()[int(line) - 1]
            parts = [part for part in one.path.split(".") if not part.isdigit()]
            assert any(part.rstrip("s") in text or part in text for part in parts) or "kind:" in text, f"{one.path}: {text}"
            assert one.words[-1] == "." and "nan" not in one.words and "inf" not in one.words.split(), one.words


def test_a_variants_own_lines_come_before_those_of_the_base(found: dict[str, Explanation]) -> None:
    lines = PIPELINE.splitlines()
    base, harmless = (lines.index(next(line for line in lines if f"factor: {factor}}}" in line)) + 1 for factor in (20, 1.2))
    assert found["hold"].part("cause")[0].place.endswith(f":{base}")
    assert found["harmless"].part("cause")[0].place.endswith(f":{harmless}")


def test_a_change_by_set_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    file = load(path, ("faults.0.at=21 s",))
    assert file.places["hold"]["faults.0.at"] == "--set faults.0.at=21 s"
    assert file.places["hold"]["faults.0"].endswith(":32")


def test_a_saved_run_is_explained_as_it_was(experiment: Experiment, found: dict[str, Explanation], tmp_path: Path) -> None:
    experiment.results["hold"].save(tmp_path)
    assert explain(Result.load(tmp_path)) == found["hold"]


def test_the_bookmarks_are_in_the_summary(experiment: Experiment, found: dict[str, Explanation]) -> None:
    document = summary_document(experiment)["variants"]["hold"]
    assert document["root"] == "writer"
    names = [mark["name"] for mark in document["bookmarks"]]
    assert names[:2] == ["first_fault", "first_saturated"]
    assert {"first_block", "first_full", "users_notice", "first_timeout", "recovered"} <= set(names)
    times = [mark.time_s for mark in found["hold"].bookmarks]
    assert times == sorted(times) and times[0] == 20


def test_bookmarks_are_the_first_of_their_kind() -> None:
    again = Asked(1.0, (Try(1.0, 2.0, Outcome.TIMED_OUT), Try(2.0, 2.5, Outcome.REJECTED), served(2.5, 2.5, 2.75)))
    marks = {mark.name: mark.time_s for mark in bookmarks(made([once(0, 0.5), again], marks=fault(1, 3, "api")))}
    expected = {"first_fault": 1, "first_timeout": 2, "many_retries": 2, "first_429": 2.5, "faults_over": 3}
    assert marks == expected


def test_a_death_is_of_memory_unless_a_fault_brought_it_about() -> None:
    crash = [Mark(5.0, "api", "crash", 7000.0)]
    assert {mark.name for mark in bookmarks(made([once(0, 0.5)], marks=crash))} == {"out_of_memory"}
    scenario: dict[str, Any] = {"faults": [{"kind": "crash", "target": "api", "at": "5 s", "lasts": "1 s"}]}
    killed = made([once(0, 0.5)], marks=[*crash, *fault(5, 6, "api")], **scenario)
    assert {mark.name for mark in bookmarks(killed)} == {"first_crash", "first_fault", "faults_over"}


def test_short_gaps_do_not_end_a_stretch_and_short_stretches_do_not_count() -> None:
    import numpy as np

    mask = np.array([1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1], dtype=bool)
    assert stretches(mask) == [(0, 2), (3, 4), (7, 8), (9, 12)]
    assert stretches(mask, gap=2, least=2) == [(0, 4), (7, 12)]


def test_the_command_explains_a_folder(experiment: Experiment, tmp_path: Path) -> None:
    write(experiment, tmp_path / "out", ["bpsim"], lambda folder: None)
    done = CliRunner().invoke(app, ["explain", str(tmp_path / "out"), "--variant", "hold"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("It begins at 20 s in the DB writer, which becomes 20 times slower (")
    assert "What started it" in done.stdout and "How it ended" in done.stdout
    told = CliRunner().invoke(app, ["explain", str(tmp_path / "out"), "--json"])
    document = json.loads(told.stdout)
    assert document["schema_version"] == 1
    assert document["explanations"]["api_too"]["roots"] == list(experiment.explanations["api_too"].roots)
    assert CliRunner().invoke(app, ["explain", str(tmp_path / "out"), "--variant", "hald"]).exit_code == 2
    assert CliRunner().invoke(app, ["explain", str(tmp_path / "out"), "--set", "a=b"]).exit_code == 2


def test_the_command_runs_a_scenario_that_has_not_been_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(PIPELINE, encoding="utf-8")
    done = CliRunner().invoke(app, ["explain", "p.yaml", "--variant", "log", "--set", "duration=30 s"])
    assert done.exit_code == 0, done.output
    assert "[p.yaml:32]" in done.stdout
    assert not Path("out").exists()
