"""Sweeps: what is run, what survives a kill, and that it is the same wherever it ran."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bpsim
from bpsim.designs import Span, full, listed, points_of, sampled, span
from bpsim.document import InvalidScenario
from bpsim.runs import RunFailed, code_fingerprint
from bpsim.settings import Axis, as_written, axis, changed
from bpsim.sweeps import scenarios_at
from tests.cluster import cluster
from tests.files import TINY
from tests.pipelines import exponential, poisson, station
from tests.typed import typed

STATION = """\
question: How long is the line?
duration: {duration}
client: {{arrivals: {{kind: poisson, rate: 50/s}}}}
api: {{workers: 1, service: {{kind: exponential, mean: 10 ms}}, reject_time: 0}}
"""


def command(*words: object, cwd: Path) -> list[str]:
    return [sys.executable, "-m", "bpsim", *map(str, words)]


@pytest.fixture
def line(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(STATION.format(duration="20 s"))
    return path


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs.parquet")


def test_a_grid_is_every_combination_with_every_variant_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    found = bpsim.sweep(path, {"api.workers": [2, 4], "client.timeout": ["50 ms", "100 ms"]}, seeds=2, jobs=1)
    frame = found.frame
    assert len(frame) == 2 * 2 * 2 * 2
    assert not frame.duplicated(["api.workers", "client.timeout", "variant", "seed"]).any()
    assert sorted(frame["client.timeout"].unique()) == [0.05, 0.1]
    one = frame.query("variant == 'naive' and seed == 2 and `api.workers` == 4 and `client.timeout` == 0.1").iloc[0]
    alone = bpsim.summary(bpsim.run(bpsim.load(path).variants["naive"], seed=2))
    assert all(repr(float(one[metric])) == repr(value) for metric, value in alone.items())
    assert len(found.means) == 8
    assert "naive" in found._repr_html_()


def test_a_setting_of_words_is_a_column_of_words() -> None:
    base = station(poisson(50.0), exponential(0.01), 1.0, queue=10)
    found = bpsim.sweep(base, {"api.order": ["fifo", "lifo"], "client.arrivals.rate": "20..40:2"}, seeds=1, jobs=1)
    assert found.frame["api.order"].tolist() == ["fifo", "fifo", "lifo", "lifo"]
    assert found.frame["client.arrivals.rate"].tolist() == [20.0, 40.0, 20.0, 40.0]


def test_points_may_be_listed_and_leave_out_what_they_do_not_change() -> None:
    base = station(poisson(50.0), exponential(0.01), 1.0)
    found = bpsim.sweep(base, [{"api.workers": 2}, {"duration": 2.0}], seeds=1, jobs=1)
    assert found.frame[["api.workers", "duration"]].to_numpy().tolist() == [[2.0, 1.0], [1.0, 2.0]]


def test_a_latin_hypercube_meets_each_slice_of_each_range_once() -> None:
    parts = [span("a=0.0..1.0"), span("b=1ms..1000ms:log"), span("c=1..20"), span("d=x,y")]
    points = sampled(parts, 20)
    assert sorted(int(float(point["a"]) * 20) for point in points) == list(range(20))
    slices = [int(np.log10(float(point["b"].removesuffix("ms"))) / 3 * 20) for point in points]
    assert sorted(slices) == list(range(20))
    assert sorted(int(point["c"]) for point in points) == list(range(1, 21))
    assert [point["d"] for point in points].count("x") == 10
    assert points == sampled(parts, 20)


def test_more_random_points_keep_the_first_ones() -> None:
    parts = [span("a=0.0..1.0"), span("b=1..100:log")]
    assert sampled(parts, 10, "random") == sampled(parts, 30, "random")[:10]
    whole = [int(point["b"]) for point in sampled(parts, 4000, "random")]
    assert (min(whole), max(whole)) == (1, 100)
    assert np.mean(np.array(whole) < 10) == pytest.approx(np.log(10) / np.log(101), abs=0.04)


def test_spans_are_read_with_their_unit_and_kind() -> None:
    assert span("a=1..10") == Span("a", 1.0, 10.0, "", True, False)
    assert span("a=1.5/s..10/s:log") == Span("a", 1.5, 10.0, "/s", False, True)
    assert span("a=1..10:4") == axis("a=1..10:4")
    assert axis("a={kind: none},{kind: fixed, delay: 1 s}").values == ("{kind: none}", "{kind: fixed, delay: 1 s}")
    for text, why in (("a=5..1", "end above"), ("a=0..1:log", "above 0"), ("a=1s..1ms", "one unit"), ("a=-..1", "not a range")):
        with pytest.raises(ValueError, match=why):
            span(text)
    with pytest.raises(ValueError, match="how many values of a"):
        points_of([span("a=1..10")], None, "lhs")
    with pytest.raises(ValueError, match="a stands there twice"):
        full([Axis("a", ("1",)), Axis("a", ("2",))])


def test_a_list_of_points_is_read_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("api.workers, client.timeout\n2,50 ms\n\n4,100 ms\n")
    assert listed(path) == [
        {"api.workers": "2", "client.timeout": "50 ms"}, {"api.workers": "4", "client.timeout": "100 ms"},
    ]  # fmt: skip
    path.write_text("a,b\n1,2\n1\n")
    with pytest.raises(ValueError, match=r"points\.csv:3: 2 values are needed"):
        listed(path)


def test_a_setting_may_change_one_variant_alone() -> None:
    base = station(poisson(50.0), exponential(0.01), 1.0)
    both = as_written({"a": base, "b": base})
    found = changed(both, ["variants.b.api.workers=4", "duration=2 s"], "x")
    assert [(one.api.workers, one.duration) for one in found.values()] == [(1, 2.0), (4, 2.0)]
    with pytest.raises(InvalidScenario, match="no variant 'c'"):
        changed(both, ["variants.c.api.workers=4"], "x")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_can_be_changed_and_resolved_without_changing(path: Path) -> None:
    file = bpsim.load(path)
    asked = {name: scenario.but(question="Another?") for name, scenario in file.variants.items()}
    assert changed(file.written, ["question=Another?"], path.name) == asked
    assert changed(as_written(file.variants), ["question=Another?"], path.name) == asked


def test_a_setting_has_the_effect_that_set_has(tmp_path: Path) -> None:
    """Kafka's own names, and defaults that depend on what is set."""
    path = Path(__file__).parents[1] / "scenarios" / "slow_database.yaml"
    for text in ("producer.batch.size=20000", "producer.client=librdkafka", "client.retry.kind=none", "faults.0.factor=3"):
        assert changed(bpsim.load(path).written, [text], "x") == bpsim.load(path, [text]).variants


def test_every_point_is_checked_before_the_first_run() -> None:
    base = station(poisson(50.0), exponential(0.01), 1.0)
    with pytest.raises(InvalidScenario) as caught:
        scenarios_at(as_written({"base": base}), [{"api.workers": "2"}, {"api.workers": "0"}, {"api.wrokers": "1"}], "x")
    words = str(caught.value)
    assert "--set api.workers=0" in words
    assert "did you mean 'workers'?" in words


def test_killed_at_any_moment_and_resumed_it_is_as_if_nothing_had_happened(line: Path) -> None:
    here = line.parent
    asked = ("sweep", line, "--over", "api.workers=1,2", "--seeds", 8, "--set", "duration=60 s", "--jobs", 2)
    whole = typed(*asked, "--out", "whole", cwd=here)
    assert whole.code == 0, whole.err
    journal = here / "torn.journal"
    known = 0
    for _ in range(2):
        running = subprocess.Popen([*command(*asked, "--out", "torn", "--resume", cwd=here)], cwd=here, stderr=subprocess.PIPE)
        _wait(lambda known=known: journal.exists() and journal.read_bytes().count(b"\n") > known + 1)
        running.kill()
        running.communicate()
        known = journal.read_bytes().count(b"\n")
    assert 3 <= known < 17, "it was killed midway, twice"
    journal.write_bytes(journal.read_bytes()[:-7])
    refused = typed(*asked, "--out", "torn", cwd=here)
    assert refused.code == 2
    assert "--resume goes on with it" in refused.err
    done = typed(*asked, "--out", "torn", "--resume", cwd=here)
    assert done.code == 0, done.err
    assert "1 torn line" in done.err
    pd.testing.assert_frame_equal(table(here / "torn"), table(here / "whole"), check_exact=True)
    assert not journal.exists()
    keys = [line.split(b'"')[1] for line in (here / "torn" / "runs.journal").read_bytes().splitlines()]
    assert len(keys) == len(set(keys)) == 17, "no run is there twice, and the head"


def _wait(condition: object, patience_s: float = 30.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def test_a_finished_sweep_is_added_to_and_never_lost(line: Path) -> None:
    here = line.parent
    asked = ("sweep", line, "--over", "api.workers=1,2", "--jobs", 1, "--out", "o")
    assert typed(*asked, "--seeds", 2, cwd=here).code == 0
    first = table(here / "o")
    assert typed(*asked, "--seeds", 3, cwd=here).code == 2
    more = typed(*asked, "--seeds", 3, "--resume", cwd=here)
    assert more.code == 0, more.err
    both = table(here / "o")
    assert len(both) == 6
    pd.testing.assert_frame_equal(both[both.seed < 3].reset_index(drop=True), first, check_exact=True)
    other = typed("phase", line, "--x", "api.workers=1,2", "--seeds", 1, "--out", "o", "--resume", cwd=here)
    assert other.code == 2
    assert "holds runs of sweep" in other.err


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(line: Path) -> None:
    here = line.parent
    asked = ("sweep", line, "--over", "api.workers=1,2", "--seeds", 40, "--set", "duration=200 s", "--jobs", 2, "--out", "o")
    running = subprocess.Popen(command(*asked, cwd=here), cwd=here, stderr=subprocess.PIPE, text=True, start_new_session=True)
    _wait(lambda: (here / "o.journal").exists() and (here / "o.journal").read_bytes().count(b"\n") >= 3)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "runs are kept, and the same command with --resume goes on" in said
    assert said.count("\n") == 1, said
    assert not (here / "o").exists()


def test_the_same_numbers_on_a_cluster_of_which_a_worker_is_killed_midway(line: Path) -> None:
    here = line.parent
    asked = ("sweep", line, "--over", "api.workers=1,2", "--over", "client.arrivals.rate=50/s,80/s", "--seeds", 8)
    local = typed(*asked, "--out", "local", "--jobs", 1, cwd=here)
    assert local.code == 0, local.err
    with cluster(2) as on:
        words = command(*asked, "--set", "duration=20 s", "--on", on.address, "--out", "far", cwd=here)
        running = subprocess.Popen(words, cwd=here, stderr=subprocess.PIPE, text=True)
        _wait(lambda: (here / "far.journal").exists() and (here / "far.journal").read_bytes().count(b"\n") >= 5)
        on.workers[0].kill()
        left = (here / "far.journal").read_bytes().count(b"\n")
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0, said
        assert left < 33, "the worker was killed midway"
        pd.testing.assert_frame_equal(table(here / "far"), table(here / "local"), check_exact=True)
        broken = station(poisson(50.0), exponential(0.01), 1.0)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(RunFailed, match="another version of bpsim"):
            patch.setattr("bpsim.runs.places.code_fingerprint", lambda: f"not {code_fingerprint()}")
            bpsim.sweep(broken, {"api.workers": [1]}, seeds=1, on=on.address)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "which settings?"),
        (("--over", "api.workers=1..9"), 2, "how many values of api.workers?"),
        (("--over", "api.workers=1,2", "--points", "p.csv"), 2, "which settings?"),
        (("--points", "p.csv"), 2, "p.csv cannot be read"),
        (("--over", "api.workers=1,2", "--design", "lhs"), 2, "give --sample N as well"),
        (("--over", "api.workers=1..9", "--sample", "3", "--design", "sobol"), 2, "one of lhs, random"),
        (("--over", "api.wrokers=1,2"), 3, "did you mean 'workers'?"),
        (("--over", "api.workers.many=1,2"), 3, "there is nothing inside 'api.workers'"),
        (("--over", "client.timeout=1,2"), 3, "has no unit"),
        (("--over", "api.workers=1,2", "--variant", "x"), 2, "--variant x: there are base"),
        (("--over", "api.workers=1,2", "--on", "cluster"), 2, "write dask://host:port"),
        (("--over", "api.workers=1,2", "--on", "dask://127.0.0.1:1"), 5, "no Dask scheduler answers at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line_and_leaves_nothing(
    arguments: tuple[str, ...], code: int, said: str, line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bpsim.runs.places.PATIENCE_S", 1)
    ran = typed("sweep", line, "--seeds", 1, *arguments, cwd=line.parent)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert list(line.parent.iterdir()) == [line]


def test_json_is_the_file_and_nothing_else(line: Path) -> None:
    ran = typed("sweep", line, "--over", "api.workers=1,2", "--seeds", 1, "--json", "--jobs", 1, "--out", "o", cwd=line.parent)
    document = json.loads(ran.out)
    assert document["schema_version"] == 1
    assert [row["api.workers"] for row in document["means"]] == [1.0, 2.0]
    assert document == json.loads((line.parent / "o" / "sweep.json").read_text())


def test_a_terminal_sees_a_bar_with_the_time_to_go(line: Path) -> None:
    ours, theirs = pty.openpty()
    words = command("sweep", line, "--over", "api.workers=1,2", "--seeds", 4, "--jobs", 1, "--out", "o", cwd=line.parent)
    running = subprocess.Popen(
        words, cwd=line.parent, stdout=subprocess.DEVNULL, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert running.wait() == 0
    assert b"runs" in seen
    assert b"/8" in seen
    assert b"0:00:0" in seen
