"""`bpsim run`."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import load_or_fail
from bpsim.cli.simulating import check_variants, simulated
from bpsim.cli.table import result_lines
from bpsim.experiment import Experiment
from bpsim.folder import OutputExists, check_free
from bpsim.output import summary_document, warnings, write

WIDE = 10_000
"""Columns of a file or a pipe: nothing is wrapped there."""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    scenario: Path
    seed: int
    sets: tuple[str, ...]
    out: Path
    force: bool
    only: tuple[str, ...]
    as_json: bool
    quiet: bool
    figures: tuple[str, ...]
    """Formats of the figures; none: neither figures nor a report."""
    controls: bool
    debug: bool


def run_command(options: Options) -> None:
    """Load, run, show, write; the exit code says how it went."""
    file = load_or_fail(options.scenario, options.sets)
    check_variants(options.only, file.variants)
    try:
        check_free(options.out, options.force)
    except OutputExists as error:
        fail(str(error), Exit.USAGE)
    except OSError as error:
        fail(f"cannot write to {options.out}: {error}", Exit.ABORTED)
    with _or_one_line("aborted", options.debug):
        experiment = simulated(file, options.seed, options.only, options.quiet, options.controls)
    _show(experiment, options)
    with _or_one_line(f"cannot write to {options.out}", options.debug):
        _write(experiment, options)
    if not (options.as_json or options.quiet):
        _say_where(options)
    if experiment.interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    if not all(verdict.passed for verdict in experiment.judged):
        raise typer.Exit(Exit.CLAIM_FAILED)


@contextmanager
def _or_one_line(what: str, debug: bool) -> Iterator[None]:
    """Whatever goes wrong inside becomes one line on stderr and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        fail("interrupted; nothing was written", Exit.INTERRUPTED)
    except Exception as error:
        if debug:
            traceback.print_exc()
        words = " ".join(str(error).split())[:300]
        fail(f"{what}: {type(error).__name__}: {words}; nothing was written (--debug shows where)", Exit.ABORTED)


def _write(experiment: Experiment, options: Options) -> None:
    def draw(folder: Path) -> None:
        if options.figures and experiment.results:
            from bpsim.plots import save_figures
            from bpsim.report import page

            (folder / "figures").mkdir()
            save_figures(experiment.results, folder / "figures", options.figures)
            text = page(summary_document(experiment), experiment.results)
            (folder / "report.html").write_text(text, encoding="utf-8")

    patient = Console(stderr=True, quiet=options.quiet or not sys.stderr.isatty())
    with patient.status("writing tables and figures"):
        write(experiment, options.out, ["bpsim", *sys.argv[1:]], draw, options.force)


def _show(experiment: Experiment, options: Options) -> None:
    for warning in warnings(experiment):
        say(f"warning: {warning}", sys.stderr)
    if options.as_json:
        say(json.dumps(summary_document(experiment), indent=1, allow_nan=False))
    elif not options.quiet:
        to_people = sys.stdout.isatty()
        console = Console(width=None if to_people else WIDE, highlight=False)
        for part in result_lines(experiment, unicode=(sys.stdout.encoding or "").lower().startswith("utf")):
            console.print(part, soft_wrap=not isinstance(part, Table))


def _say_where(options: Options) -> None:
    say(f"Written to {options.out}/: summary.json, scenario.yaml and more; manifest.json lists every file")
    if options.figures:
        say(f"Report: {options.out}/report.html (one file, no network needed); figures: {options.out}/figures/")
    say(f"Why: bpsim explain {options.out}")
