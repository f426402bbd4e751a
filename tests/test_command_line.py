"""The commands as a user types them: what they print, their exit codes, and what they leave on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bpsim.plots import FIGURES
from bpsim.scenario_file import load
from tests.typed import typed

ROOT = Path(__file__).parents[1]
TINY = """\
question: A tiny one?
duration: 3 s
client:
  arrivals: {kind: poisson, rate: 50/s}
  timeout: 200 ms
  retry: {kind: exponential, base: 10 ms, cap: 1 s}
api:
  workers: 4
  service: {kind: exponential, mean: 10 ms}
producer: {linger: 5 ms}
broker: {}
consumer: {}
writer: {per_insert: 5 ms}
faults:
  - {kind: stall, target: api, at: 1 s, lasts: 0.5 s}
variants:
  a: {}
  b: {client: {retry: {kind: none}}}
expect:
  - a.amplification > b.amplification
"""


def bpsim(*words: object, cwd: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, for what `typed` cannot see: the exit status, the terminal, and signals."""
    command = [sys.executable, "-m", "bpsim", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | options)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_run_prints_a_table_and_leaves_the_files(tiny: Path) -> None:
    done = bpsim("run", tiny, cwd=tiny.parent)
    assert done.returncode == 0, done.stderr
    assert "A tiny one?" in done.stdout
    assert "attempts per request" in done.stdout
    assert "pass  a.amplification > b.amplification" in done.stdout
    assert done.stderr == ""
    out = tiny.parent / "out" / "tiny"
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    tables = {f"{v}/{t}.parquet" for v in "ab" for t in ("requests", "attempts", "records", "hops", "marks")}
    figures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    files = {"summary.json", "timeseries.parquet", "scenario.yaml", "manifest.json", "report.html"}
    files |= {"a/result.json", "b/result.json"}
    assert names == tables | figures | files
    assert not list(tiny.parent.glob("out/.*")), "something temporary was left"


def test_the_resolved_scenario_gives_the_same_run(tiny: Path) -> None:
    first = json.loads(typed("run", tiny, "--no-figures", "--json", "--seed", 5, cwd=tiny.parent).out)
    again = tiny.parent / "out" / "tiny" / "scenario.yaml"
    second = json.loads(typed("run", again, "--no-figures", "--json", "--seed", 5, "--out", "again", cwd=tiny.parent).out)
    prints = [{name: v["fingerprint"] for name, v in document["variants"].items()} for document in (first, second)]
    assert prints[0] == prints[1]
    assert load(again).expect[0].text == "a.amplification > b.amplification"


def test_exit_codes(tiny: Path) -> None:
    here = tiny.parent
    assert typed("run", cwd=here).code == 2
    assert typed("run", tiny, "--seed", "-1", cwd=here).code == 2
    assert typed("run", tiny, "--variant", "c", cwd=here).code == 2
    assert bpsim("run", "missing.yaml", cwd=here).returncode == 3
    failing = typed("run", tiny, "--no-figures", "--set", "variants.b.client.retry.kind=immediate", cwd=here)
    assert failing.code == 4
    assert "FAIL  a.amplification > b.amplification" in failing.out
    quiet = typed("run", tiny, "--no-figures", "--quiet", "--force", cwd=here)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_an_invalid_scenario_writes_nothing(tiny: Path) -> None:
    tiny.write_text(TINY.replace("workers", "wrokers"))
    done = typed("run", tiny, cwd=tiny.parent)
    assert done.code == 3
    assert "did you mean 'workers'?" in done.err
    assert "Traceback" not in done.err
    assert list(tiny.parent.iterdir()) == [tiny]


def test_an_output_folder_is_never_overwritten_unasked(tiny: Path) -> None:
    mine = tiny.parent / "out" / "tiny" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    refused = typed("run", tiny, cwd=tiny.parent)
    assert refused.code == 2
    assert "--force" in refused.err
    foreign = typed("run", tiny, "--force", cwd=tiny.parent)
    assert foreign.code == 2, "a folder that bpsim did not write is not replaced even with --force"
    assert mine.read_text() == "precious"
    assert typed("run", tiny, "--out", "other", "--no-figures", cwd=tiny.parent).code == 0
    before = (tiny.parent / "other" / "manifest.json").stat().st_mtime_ns
    assert typed("run", tiny, "--out", "other", "--no-figures", "--force", cwd=tiny.parent).code == 0
    assert (tiny.parent / "other" / "manifest.json").stat().st_mtime_ns > before


def test_a_failed_write_leaves_no_half_result(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bpsim.experiment import run_variants
    from bpsim.output import write
    from bpsim.result import Result

    experiment = run_variants(load(tiny))
    folder = tiny.parent / "kept"
    folder.mkdir()
    (folder / "old.txt").write_text("old")

    def full(self: Result, where: Path) -> None:
        (where / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Result, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write(experiment, folder, ["bpsim"], lambda path: None, force=True)
    assert [path.name for path in folder.iterdir()] == ["old.txt"]
    assert sorted(path.name for path in tiny.parent.iterdir()) == ["kept", "tiny.yaml"]


def test_an_interrupted_run_keeps_and_labels_what_was_done(tiny: Path) -> None:
    command = [sys.executable, "-m", "bpsim", "run", str(tiny), "--set", "duration=100000 s", "--no-figures"]
    began = time.perf_counter()
    bpsim("validate", tiny, cwd=tiny.parent)
    start_up = time.perf_counter() - began
    process = subprocess.Popen(command, cwd=tiny.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(3 + 3 * start_up)  # it is simulating by then, however busy the machine
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted after" in errors
    summary = json.loads((tiny.parent / "out" / "tiny" / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert summary["claims"] == []
    assert 0 < summary["variants"]["a"]["simulated_s"] < 100_000


def test_output_is_plain_where_the_terminal_is(tiny: Path) -> None:
    done = bpsim("run", tiny, "--no-figures", cwd=tiny.parent, PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


def test_validate_predicts_the_utilisation(tmp_path: Path) -> None:
    done = typed("validate", ROOT / "scenarios" / "death_spiral.yaml", cwd=tmp_path)
    assert done.code == 0
    api = next(line for line in done.out.splitlines() if line.startswith("api"))
    assert api.split() == ["api", "78%", "234%", "78%", "1,280/s"]
    assert "api is overloaded 60 s to 90 s" in done.out


def test_list_walks_every_family(tmp_path: Path) -> None:
    text = typed("list", cwd=tmp_path).out
    for word in ("death_spiral", "poisson", "closed", "lognormal", "empirical", "exponential", "outage", "amplification"):
        assert word in text


def test_the_schema_knows_every_field(tmp_path: Path) -> None:
    schema = json.loads(typed("schema", cwd=tmp_path).out)
    assert {"question", "duration", "client", "api", "writer", "faults", "variants", "expect"} <= schema["properties"].keys()
    assert "max_block" in schema["$defs"]["ProducerSpec"]["properties"]
