"""Programs get JSON with a version, terminals get colour unless they say no, pipes get neither colour nor a progress bar."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bpsim.cli.app import app
from tests.files import TINY


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "validate tiny.yaml",
        "explain tiny.yaml",
        "run tiny.yaml --no-figures",
        "test tiny.yaml --seeds 1 --jobs 1",
        "phase tiny.yaml --variant naive --x client.arrivals.rate=100/s,200/s --seeds 1 --jobs 1",
        "hysteresis tiny.yaml --variant naive --low 100/s --high 200/s --steps 2 --hold 1s --seeds 1 --jobs 1",
    ],
)
def test_every_command_with_results_prints_them_as_json(here: Path, command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--json"])
    assert json.loads(done.stdout)["schema_version"] == 1, done.output


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal of its own."""
    mine, its = pty.openpty()
    plain = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR")}
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "bpsim", *arguments]
    env = plain | {"PYTHONPATH": root, "TERM": "xterm-256color"} | environment
    process = subprocess.Popen(command, stdout=its, stderr=its, env=env)
    os.close(its)
    said = b""
    while True:
        try:
            part = os.read(mine, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    process.wait()
    os.close(mine)
    return said.decode()


def test_a_terminal_is_shown_colour_and_progress_unless_it_says_no(here: Path) -> None:
    shown = on_a_terminal("run", "tiny.yaml", "--no-figures")
    assert "\x1b[32m" in shown, "a claim that holds is green"
    assert "s simulated" in shown
    plain = on_a_terminal("run", "tiny.yaml", "--no-figures", "--force", NO_COLOR="1")
    assert "pass" in plain
    assert not any(f"\x1b[{code}m" in plain for code in (31, 32, 33, 36)), "NO_COLOR"


def test_a_pipe_gets_neither_colour_nor_progress(here: Path) -> None:
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "bpsim", "run", "tiny.yaml", "--no-figures"]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": root})
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stderr == b""
