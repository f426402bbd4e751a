"""The output folder: whole or not there, and nobody else's work is touched."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from bpsim import output
from bpsim.experiment import SLICES, Experiment, run_variants
from bpsim.folder import OutputExists, check_free
from bpsim.output import summary_document, warnings, write
from bpsim.result import Result
from bpsim.scenario_file import load
from tests.files import TINY

COMMAND = ["bpsim", "run", "tiny.yaml"]
BARE = """\
question: One queue alone?
duration: 2 s
client: {arrivals: {kind: deterministic, rate: 100/s}}
api: {workers: 1, service: 5 ms}
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return experiment_of(TINY, tmp_path_factory.mktemp("scenario"))


def experiment_of(text: str, folder: Path, **options: Any) -> Experiment:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return run_variants(load(path), **options)


def no_figures(folder: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / "wave.svg").write_text("<svg/>")


def fail(*args: object, **more: object) -> NoReturn:
    raise OSError(28, "No space left on device")


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_has_everything_and_the_manifest_lists_it(experiment: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "tiny"
    write(experiment, folder, COMMAND, no_figures)
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {name for name in everything_in(folder) if (folder / name).is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {"summary.json", "timeseries.parquet", "scenario.yaml", "figures/wave.svg", "naive/records.parquet"} <= files
    assert manifest["command"] == COMMAND
    assert manifest["runs"]["naive"]["fingerprint"] == experiment.results["naive"].fingerprint
    assert {"bpsim", "python", "numpy", "simpy"} <= set(manifest["runs"]["naive"]["versions"])
    assert everything_in(tmp_path / "out") == ["tiny", *(f"tiny/{name}" for name in everything_in(folder))]


def test_saved_tables_are_those_of_the_run(experiment: Experiment, tmp_path: Path) -> None:
    write(experiment, tmp_path / "o", COMMAND, no_figures)
    for name, result in experiment.results.items():
        assert Result.load(tmp_path / "o" / name).fingerprint == result.fingerprint
    series = pd.read_parquet(tmp_path / "o" / "timeseries.parquet")
    assert list(series["variant"].unique()) == ["naive", "no_retry"]


@pytest.mark.parametrize("text", [TINY, BARE, TINY.replace("naive: {}", "naive: {flink: null, writer: {batch_rows: 7}}")])
def test_the_resolved_scenario_gives_the_identical_run(text: str, tmp_path: Path) -> None:
    first = experiment_of(text, tmp_path, seed=7)
    write(first, tmp_path / "o", COMMAND, no_figures)
    again = run_variants(load(tmp_path / "o" / "scenario.yaml"), seed=7)
    assert {n: r.fingerprint for n, r in again.results.items()} == {n: r.fingerprint for n, r in first.results.items()}
    assert again.file.question == first.file.question
    assert again.judged == first.judged


def test_summary_json_is_strict_json_and_nan_is_null(experiment: Experiment) -> None:
    values = {name: summary | {"recovery_time_s": nan, "api_onset_s": inf} for name, summary in experiment.summaries.items()}
    document = summary_document(replace(experiment, summaries=values))
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["variants"]["naive"]["metrics"]["recovery_time_s"] is None
    assert document["schema_version"] == 1
    assert document["seed"] == 1
    assert document["interrupted"] is False
    assert [claim["passed"] for claim in document["claims"]] == [True, True]
    assert sum(document["variants"]["naive"]["ledger"]["requests"].values()) == values["naive"]["offered"]


def test_an_existing_folder_is_refused_and_untouched(experiment: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "o"
    write(experiment, folder, COMMAND, no_figures)
    before = everything_in(tmp_path)
    (folder / "mine.txt").write_text("kept")
    with pytest.raises(OutputExists, match="--force"):
        write(experiment, folder, COMMAND, no_figures)
    assert everything_in(tmp_path) == sorted([*before, "o/mine.txt"])


def test_force_replaces_an_earlier_output_wholly(experiment: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "o"
    write(experiment, folder, COMMAND, no_figures)
    before = everything_in(tmp_path)
    (folder / "stale.txt").write_text("old")
    write(experiment, folder, COMMAND, no_figures, force=True)
    assert everything_in(tmp_path) == before


def test_force_takes_an_empty_folder(experiment: Experiment, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    write(experiment, tmp_path / "o", COMMAND, no_figures, force=True)
    assert (tmp_path / "o" / "manifest.json").exists()


def test_force_never_frees_what_is_not_an_output(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("thesis", "file"):
        with pytest.raises(OutputExists, match="not an output of bpsim"):
            check_free(tmp_path / name, force=True)
    assert everything_in(tmp_path) == ["file", "thesis", "thesis/chapter.txt"]


def test_force_through_a_link_replaces_what_it_points_to(experiment: Experiment, tmp_path: Path) -> None:
    write(experiment, tmp_path / "o", COMMAND, no_figures)
    (tmp_path / "link").symlink_to("o")
    write(experiment, tmp_path / "link", COMMAND, no_figures, force=True)
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "o"]


@pytest.mark.parametrize("broken", ["to_parquet", "_write_manifest", "json", "draw"])
def test_a_failed_write_leaves_nothing_behind(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "to_parquet":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    elif broken == "json":
        monkeypatch.setattr(Path, "write_text", fail)
    elif broken == "_write_manifest":
        monkeypatch.setattr(output, "write_manifest", fail)
    with pytest.raises(OSError):
        write(experiment, tmp_path / "a" / "b" / "o", COMMAND, fail if broken == "draw" else no_figures)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("no font"), KeyboardInterrupt()])
def test_a_failed_forced_write_keeps_the_older_folder(experiment: Experiment, tmp_path: Path, error: BaseException) -> None:
    write(experiment, tmp_path / "o", COMMAND, no_figures)
    before = everything_in(tmp_path)

    def draw(folder: Path) -> None:
        (folder / "half.png").write_text("half")
        raise error

    with pytest.raises(type(error)):
        write(experiment, tmp_path / "o", COMMAND, draw, force=True)
    assert everything_in(tmp_path) == before


def test_a_failed_last_rename_brings_the_older_folder_back(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(experiment, tmp_path / "o", COMMAND, no_figures)
    before = everything_in(tmp_path)
    rename = Path.rename

    def rename_but_into_place(self: Path, target: Path) -> Path:
        if target.name == "o" and not self.name.endswith(".old"):
            fail()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_but_into_place)
    with pytest.raises(OSError):
        write(experiment, tmp_path / "o", COMMAND, no_figures, force=True)
    assert everything_in(tmp_path) == before


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        check_free(tmp_path / "file" / "o")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionError):
        check_free(tmp_path / "o")


@pytest.mark.parametrize("slices", [0, 3, SLICES + 3])
def test_an_interrupted_run_is_kept_and_labelled(tmp_path: Path, slices: int) -> None:
    told: list[object] = []
    experiment = experiment_of(TINY, tmp_path, on_progress=told.append, stop=lambda: len(told) >= slices)
    write(experiment, tmp_path / "o", COMMAND, no_figures)
    for name in ("summary.json", "manifest.json"):
        assert json.loads((tmp_path / "o" / name).read_text())["interrupted"] is True
    labelled = [warning for warning in warnings(experiment) if "interrupted after" in warning]
    assert len(labelled) == (slices > 0)


def test_a_run_that_ends_well_gives_no_warning(experiment: Experiment, tmp_path: Path) -> None:
    calm = experiment_of(BARE, tmp_path)
    assert warnings(calm) == []


def test_a_backlog_that_would_clear_asks_for_a_longer_run(tmp_path: Path) -> None:
    text = BARE.replace("duration: 2 s", "duration: 20 s") + "faults: [{kind: stall, target: api, at: 5 s, lasts: 14 s}]\n"
    (warning,) = warnings(experiment_of(text, tmp_path))
    # 14 s · 100/s came in the stall; in the last second 200 were served and 100 came: 1,301 left, 101/s to spare.
    assert warning.startswith("base: 1,301 attempts were waiting for the API")
    assert "about 12.9 s more: a longer `duration`" in warning


def test_a_backlog_that_only_grows_says_so(tmp_path: Path) -> None:
    text = BARE.replace("rate: 100/s", "rate: 400/s").replace("duration: 2 s", "duration: 10 s")
    (warning,) = warnings(experiment_of(text, tmp_path))
    assert "399/s still meet a capacity of 200/s" in warning


def test_a_tier_is_not_blamed_for_load_that_an_earlier_one_holds_back(tmp_path: Path) -> None:
    text = TINY.replace("rate: 200/s", "rate: 800/s").replace("workers: 4", "workers: 4, queue: {records: 10}")
    text = text.replace("duration: 2 s", "duration: 20 s").replace("mean: 1 ms", "mean: 2 ms").split("variants:")[0]
    text = text.replace("target: api, at: 500 ms, lasts: 300 ms, factor: 5", "target: flink, at: 2 s, lasts: 17 s, factor: 5")
    (warning,) = warnings(experiment_of(text, tmp_path))
    # The API lets 400/s through and Flink can do 500/s again: its backlog of about 5,000 clears at 100/s.
    assert warning.startswith("base: ")
    assert "waiting for Flink when" in warning and "a longer `duration`" in warning
