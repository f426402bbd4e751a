"""`bpsim test`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import load_or_fail
from bpsim.cli.many import print_table, progress
from bpsim.folder import SCHEMA_VERSION
from bpsim.runs import PlaceFailed, RunFailed, place_of
from bpsim.scenario_file import ScenarioFile
from bpsim.trials import Trial, try_claims

SHOWN = 3
"""Failing seeds that are shown with their numbers."""


def test_command(paths: list[Path], sets: tuple[str, ...], seeds: int, jobs: int, on: str | None, as_json: bool) -> None:
    """Every claim of every file over the seeds; what is done when Ctrl-C comes has been shown."""
    files = {str(path): load_or_fail(path, sets) for path in _files(paths)}
    without = [name for name, file in files.items() if not file.expect]
    for name in without:
        say(f"warning: {name} claims nothing (expect: …)", sys.stderr)
    found: dict[str, tuple[Trial, ...]] = {}
    for name, file in files.items():
        if not file.expect:
            continue
        try:
            found[name] = _trials(name, file, seeds, jobs, on)
        except (KeyboardInterrupt, SystemExit):
            _finish(found, as_json)
            fail(f"interrupted; {len(found)} of {len(files)} files are done", Exit.INTERRUPTED)
        if not as_json:
            _show(name, file, found[name])
    _finish(found, as_json)
    if not all(trial.holds for several in found.values() for trial in several):
        raise typer.Exit(Exit.CLAIM_FAILED)


def _files(paths: list[Path]) -> Iterator[Path]:
    """The files, and every `*.yaml` in the folders."""
    for path in paths:
        inside = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not inside:
            fail(f"{path}: no scenario (*.yaml) in this folder", Exit.USAGE)
        yield from inside


def _trials(name: str, file: ScenarioFile, seeds: int, jobs: int, on: str | None) -> tuple[Trial, ...]:
    try:
        place = place_of(on, jobs)
        with progress(Path(name).stem) as told:
            return try_claims(file, range(1, seeds + 1), place, told)
    except ValueError as error:
        fail(f"--on: {error}", Exit.USAGE)
    except (RunFailed, PlaceFailed) as error:
        fail(f"{name}: {error}", Exit.ABORTED)


def _show(name: str, file: ScenarioFile, several: tuple[Trial, ...]) -> None:
    say(f"{name}: {file.question}")
    table = Table(box=box.ASCII, show_edge=False, pad_edge=False)
    for title in ("", "claim", "holds", "P(holds)", "95 % interval", "asked for"):
        table.add_column(title, justify="left" if title in ("", "claim") else "right")
    for trial in several:
        low, high = trial.interval
        table.add_row(
            "pass" if trial.holds else "FAIL", escape(trial.claim), f"{trial.passed}/{trial.seeds}", f"{trial.share:.0%}",
            f"{low:.0%} ... {high:.0%}", f"{trial.demand:.0%}",
        )  # fmt: skip
    print_table(table)
    for trial in several:
        for seed, judged in list(trial.failures.items())[:SHOWN]:
            why = f" because {judged.note}" if judged.note else ""
            say(f"  seed {seed}: {trial.claim} does not hold [{judged.numbers}]{why}")
    say("")


def _finish(found: dict[str, tuple[Trial, ...]], as_json: bool) -> None:
    if as_json:
        say(json.dumps(document(found), indent=1, allow_nan=False))
        return
    every = [trial for several in found.values() for trial in several]
    say(f"{sum(trial.holds for trial in every)} of {len(every)} claims in {len(found)} files hold as often as they say")


def document(found: dict[str, tuple[Trial, ...]]) -> dict[str, Any]:
    """What `--json` prints."""
    files = {
        name: [
            {
                "claim": trial.claim, "holds": trial.holds, "passed": trial.passed, "seeds": trial.seeds,
                "share": trial.share, "interval": list(trial.interval), "asked_for": trial.demand,
                "failing_seeds": list(trial.failures),
            }
            for trial in several
        ]
        for name, several in found.items()
    }  # fmt: skip
    return {"schema_version": SCHEMA_VERSION, "files": files}
