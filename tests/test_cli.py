"""The command line, as a person or a script meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bpsim.cli.app import app
from bpsim.cli.listing import members, patterns
from bpsim.experiment import run_variants
from bpsim.metrics import METRICS
from bpsim.result import TIERS
from bpsim.scenario_file import ScenarioFile
from tests.files import TINY


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with `tiny.yaml` in it."""
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bpsim(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def in_a_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    plain = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING")}
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "bpsim", *arguments]
    return subprocess.run(command, capture_output=True, env=plain | {"PYTHONPATH": root} | environment, timeout=120)


def test_run_shows_a_table_and_claims_and_says_where_the_files_are(here: Path) -> None:
    done = bpsim("run", "tiny.yaml", "--no-figures")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "Does a tiny run work?"
    assert lines[1].split() == ["naive", "no_retry"]
    assert any(line.startswith("attempts per request") and line.split()[-1] == "1.00x" for line in lines)
    assert any(line.startswith("pass  no_retry.amplification == 1   [no_retry.amplification = 1]") for line in lines)
    assert any(line.startswith("Written to out/tiny/") for line in lines)
    assert lines[-1] == "Why: bpsim explain out/tiny"
    assert (here / "out" / "tiny" / "summary.json").exists()
    assert done.stderr == ""


def test_rows_without_information_are_left_out(here: Path) -> None:
    done = bpsim("run", "tiny.yaml", "--no-figures")
    assert "evicted unread" not in done.stdout
    assert "out of memory at" not in done.stdout


def test_json_is_summary_json_and_nothing_else(here: Path) -> None:
    done = bpsim("run", "tiny.yaml", "--json", "--no-figures")
    assert json.loads(done.stdout) == json.loads((here / "out" / "tiny" / "summary.json").read_text())


def test_quiet_prints_nothing(here: Path) -> None:
    done = bpsim("run", "tiny.yaml", "--quiet", "--no-figures")
    assert (done.exit_code, done.output) == (0, "")


def test_seed_set_out_and_variant_act(here: Path) -> None:
    options = [
        "--seed",
        "9",
        "--set",
        "client.record_size=2 kB",
        "--out",
        "there",
        "--variant",
        "no_retry",
        "--no-figures",
    ]
    done = bpsim("run", "tiny.yaml", *options)
    assert done.exit_code == 0, done.output
    summary = json.loads((here / "there" / "summary.json").read_text())
    assert summary["seed"] == 9
    assert list(summary["variants"]) == ["no_retry"]
    assert "record_size: 2000 B" in (here / "there" / "scenario.yaml").read_text()
    assert "1 of 2 claims not judged: their variants were not run" in done.stdout


def test_a_failed_claim_exits_with_4_shows_the_values_and_keeps_the_files(here: Path) -> None:
    done = bpsim("run", "tiny.yaml", "--set", "expect=[no_retry.amplification > 2, naive.crash_time_s < 5]", "--no-figures")
    assert done.exit_code == 4
    assert "FAIL  no_retry.amplification > 2   [no_retry.amplification = 1]" in done.stdout
    assert "[naive.crash_time_s = nan] because naive.crash_time_s is NaN" in done.stdout
    assert (here / "out" / "tiny" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "nope.yaml"], 3, "nope.yaml: there is no such file; `bpsim list`"),
        (["run", "tiny.yaml", "--set", "client.timout=3 s"], 3, "did you mean 'timeout'?"),
        (["run", "tiny.yaml", "--set", "nonsense"], 3, "not of the form path=value"),
        (["run", "tiny.yaml", "--set", "expect=[naive.amplificaton > 1]"], 3, "did you mean 'amplification'?"),
        (["validate", "tiny.yaml", "--set", "api.workers=0"], 3, "'workers'"),
        (["run", "tiny.yaml", "--variant", "nive"], 2, "there are naive, no_retry"),
        (["run", "tiny.yaml", "--seed", "-1"], 2, "--seed"),
        (["run", "tiny.yaml", "--seed", "x"], 2, "--seed"),
        (["run", "tiny.yaml", "--colour"], 2, "--colour"),
        (["run", "tiny.yaml", "--out", "taken"], 2, "taken exists already"),
        (["run", "tiny.yaml", "--out", "taken", "--force"], 2, "taken is not an output of bpsim"),
        (["run", "tiny.yaml", "--out", "tiny.yaml/o"], 5, "tiny.yaml is not a folder"),
        (["run"], 2, "SCENARIO"),
        (["jump"], 2, "jump"),
    ],
)
def test_a_mistake_is_told_on_stderr_and_nothing_is_written(here: Path, arguments: list[str], code: int, words: str) -> None:
    (here / "taken").mkdir()
    (here / "taken" / "mine.txt").write_text("mine")
    before = sorted(here.rglob("*"))
    done = bpsim(*arguments)
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.output
    assert sorted(here.rglob("*")) == before


def test_every_problem_of_a_file_is_told_with_its_place(here: Path) -> None:
    (here / "bad.yaml").write_text(TINY.replace("timeout: 100 ms", "timeout: 100 MB").replace("workers: 4", "wrokers: 4"))
    done = bpsim("validate", "bad.yaml")
    assert done.exit_code == 3
    assert "bad.yaml:5:12: " in done.stderr
    assert "did you mean 'workers'?" in done.stderr


@pytest.mark.parametrize("where", ["bpsim.cli.simulating.run_variants", "bpsim.cli.running.write"])
def test_an_unforeseen_error_is_one_line_and_exit_5(here: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def break_down(*args: object, **more: object) -> None:
        raise KeyError("a bug\nin two lines")

    import_module(where.rpartition(".")[0])
    monkeypatch.setattr(where, break_down)
    done = bpsim("run", "tiny.yaml", "--no-figures")
    assert done.exit_code == 5
    assert len(done.stderr.splitlines()) == 1
    assert "KeyError" in done.stderr and "--debug" in done.stderr
    assert "Traceback" in bpsim("run", "tiny.yaml", "--no-figures", "--debug").stderr
    assert bpsim("run", "tiny.yaml", "--no-figures", "--debug").exit_code == 5
    assert not (here / "out").exists()


def test_a_figure_that_cannot_be_drawn_leaves_nothing_but_the_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_font(*args: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr("bpsim.plots.save_figures", no_font)
    done = bpsim("run", "tiny.yaml")
    assert done.exit_code == 5
    assert "attempts per request" in done.stdout
    assert "Written" not in done.stdout
    assert not (here / "out").exists()


@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupt_keeps_what_is_done_and_a_second_one_stops_at_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    import bpsim.cli.simulating as simulating
    from bpsim.experiment import Experiment, Progress

    told: list[Progress] = []

    def disturbed(file: ScenarioFile, seed: int, only: tuple[str, ...], tell: Any, stop: Any, controls: bool) -> Experiment:
        def told_and_disturbed(where: Progress) -> None:
            tell(where)
            told.append(where)
            if len(told) == 50:
                for _ in range(signals):
                    signal.raise_signal(signal.SIGINT)

        return run_variants(file, seed, only, told_and_disturbed, stop, controls)

    monkeypatch.setattr(simulating, "run_variants", disturbed)
    before = signal.getsignal(signal.SIGINT)
    done = bpsim("run", "tiny.yaml", "--no-figures")
    assert signal.getsignal(signal.SIGINT) is before
    assert done.exit_code == 130
    assert len(told) == 50
    if signals == 2:
        assert done.stderr == "interrupted; nothing was written\n"
        assert not (here / "out").exists()
        return
    assert "warning: naive: interrupted after 500 ms of 2 s" in done.stderr
    assert "2 of 2 claims not judged: the run was interrupted" in done.stdout
    summary = json.loads((here / "out" / "tiny" / "summary.json").read_text())
    assert summary["interrupted"] is True
    assert summary["variants"]["naive"]["simulated_s"] == pytest.approx(0.5)


def test_ctrl_c_ends_the_process_with_130_and_no_traceback(here: Path) -> None:
    code = "import bpsim.cli.app as a, signal; a.app = lambda **more: signal.raise_signal(signal.SIGINT); a.main()"
    root = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONPATH": root})
    assert (done.returncode, done.stderr) == (130, b"")


def test_piped_output_is_plain_and_not_wrapped(here: Path) -> None:
    claim = "naive.amplification > 0 * (" + " + ".join(["naive.amplification"] * 12) + ")"
    done = in_a_process("run", "tiny.yaml", "--no-figures", "--set", f"expect=[{claim}]")
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in text
    assert any(line.startswith(f"pass  {claim}") for line in text.splitlines())
    assert done.stderr == b""


def test_a_terminal_without_unicode_gets_ascii(here: Path) -> None:
    for arguments in (["run", "tiny.yaml", "--no-figures"], ["list"], ["validate", "tiny.yaml"]):
        done = in_a_process(*arguments, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        done.stdout.decode("ascii")
    done = in_a_process("list", PYTHONIOENCODING="ascii")
    assert b"a + b*rows" in done.stdout


def test_validate_predicts_each_tier_and_names_the_overload(here: Path) -> None:
    done = bpsim("validate", "tiny.yaml")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "valid: Does a tiny run work?"
    api = next(line for line in lines if line.startswith("api "))
    assert api.split() == ["api", "50%", "250%", "50%", "400/s"]
    assert "  api is overloaded 500 ms to 800 ms: 200/s meet 80/s, so work piles up before it." in lines
    assert any("with 3 attempts a request api would face 600/s: 150% at full speed" in line for line in lines)
    assert {line.split()[0] for line in lines if line} >= {"api", "producer", "consumer", "flink", "writer"}


def test_variants_of_the_same_load_are_shown_once(here: Path) -> None:
    done = bpsim("validate", "tiny.yaml", "--set", "variants.no_retry.client.retry.kind=immediate")
    assert done.stdout.count("predicted utilisation") == 1
    assert "naive, no_retry: predicted" in done.stdout


def test_list_names_every_member_of_every_union() -> None:
    from bpsim.arrivals import Arrivals
    from bpsim.distributions import Distribution
    from bpsim.faults import Fault
    from bpsim.policies.retry import Retry

    done = bpsim("list")
    assert done.exit_code == 0
    words = set(done.stdout.split())
    for union in (Arrivals, Distribution, Retry, Fault):
        for member in members(union):
            assert member.model_fields["kind"].default in words
    assert set(TIERS) <= words
    assert {"death_spiral", "big_buffers", "slow_database", "fail_fast_429"} <= words


def test_the_list_as_json_is_the_list() -> None:
    found, shown = json.loads(bpsim("list", "--json").stdout), bpsim("list").stdout
    assert found["schema_version"] == 1
    assert set(found["metrics"]) == set(METRICS)
    assert found["scenarios"]["codel"] in shown
    for path, several in found["kinds"].items():
        assert several and all(" | ".join(one["kinds"]) in shown and one["meaning"] in shown for one in several), path
    assert found["kafka_options"]["producer"]["java"]["options"]["linger.ms"] == "producer.linger"
    assert "isolation.level" in found["kafka_options"]["consumer"]["java"]["ignored"]


def test_list_covers_every_metric_by_name_or_pattern() -> None:
    covered = set()
    for pattern in patterns(METRICS):
        for tier in TIERS if pattern.startswith("TIER_") else ("",):
            for phase in ("before", "during", "after") if pattern.startswith("PHASE_") else ("",):
                for level in ("p50", "p95", "p99", "p999") if pattern.endswith("QUANTILE") else ("",):
                    name = pattern.replace("TIER", tier, 1) if tier else pattern
                    covered.add(name.replace("PHASE", phase).replace("QUANTILE", level))
    assert covered == set(METRICS)


def test_schema_is_json_schema() -> None:
    schema = json.loads(bpsim("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"question", "client", "variants", "expect"} <= set(schema["properties"])


def test_init_writes_a_scenario_that_runs_and_its_schema(here: Path) -> None:
    done = bpsim("init", "new/mine.yaml")
    assert done.exit_code == 0, done.output
    first = (here / "new" / "mine.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=bpsim.schema.json"
    assert json.loads((here / "new" / "bpsim.schema.json").read_text())["title"] == "bpsim scenario"
    assert bpsim("validate", "new/mine.yaml").exit_code == 0
    done = bpsim("run", "new/mine.yaml", "--no-figures", "--set", "duration=70 s")
    assert done.exit_code == 0, done.output


def test_init_does_not_overwrite(here: Path) -> None:
    done = bpsim("init", "tiny.yaml")
    assert (done.exit_code, (here / "tiny.yaml").read_text()) == (2, TINY)
    assert not (here / "bpsim.schema.json").exists()
    (here / "bpsim.schema.json").write_text("{}")
    done = bpsim("init", "new.yaml")
    assert (done.exit_code, (here / "bpsim.schema.json").read_text()) == (2, "{}")
    assert not (here / "new.yaml").exists()


def test_version_and_help() -> None:
    assert bpsim("--version").stdout.startswith("bpsim 0.")
    done = in_a_process("--help")
    assert done.returncode == 0
    assert b"Exit codes" in done.stdout
    assert b"Usage: bpsim" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = "numpy pandas matplotlib scipy pyarrow pydantic simpy"
    code = f"import sys, bpsim.cli; print(*set({heavy.split()}) & set(sys.modules))"
    root = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONPATH": root}, text=True)
    assert done.stdout.strip() == "", done
