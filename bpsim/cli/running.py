"""`bpsim run`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bpsim.cli.app import Exit, fail
from bpsim.cli.looking import load_or_fail
from bpsim.cli.table import result_lines
from bpsim.experiment import Experiment, run_variants
from bpsim.experiment import Progress as Where
from bpsim.output import OutputExists, summary_document, warnings, write
from bpsim.scenario_file import ScenarioFile


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
    figures: bool
    debug: bool


def run_command(options: Options) -> None:
    """Load, run, show, write; the exit code says how it went."""
    file = load_or_fail(options.scenario, options.sets)
    unknown = [name for name in options.only if name not in file.variants]
    if unknown:
        fail(f"--variant {unknown[0]}: there are {', '.join(file.variants)}", Exit.USAGE)
    if options.out.exists() and not options.force:
        fail(f"{options.out} exists already; choose another --out, or --force to replace it", Exit.USAGE)
    try:
        experiment = _run(file, options)
        _write(experiment, options)
    except (OSError, AssertionError, ArithmeticError, MemoryError, ValueError) as error:
        if options.debug:
            raise
        fail(f"aborted: {type(error).__name__}: {error}; nothing was written (--debug shows where)", Exit.ABORTED)
    _show(experiment, options)
    if experiment.interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    if not all(verdict.passed for verdict in experiment.verdicts):
        raise typer.Exit(Exit.CLAIM_FAILED)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """SIGINT fills the list instead of stopping Python in the middle of something."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _run(file: ScenarioFile, options: Options) -> Experiment:
    visible = sys.stderr.isatty() and not options.quiet
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} s simulated"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with (
        _interrupts() as seen,
        Progress(*columns, console=Console(stderr=True), disable=not visible, transient=True) as bar,
    ):
        tasks: dict[str, Any] = {}

        def show(where: Where) -> None:
            if where.variant not in tasks:
                tasks[where.variant] = bar.add_task(where.variant, total=where.duration_s, rate="")
            task = bar.tasks[tasks[where.variant]]
            rate = f"{where.events / task.elapsed:,.0f} events/s" if task.elapsed else ""
            bar.update(task.id, completed=where.now_s, rate=rate)

        return run_variants(file, options.seed, options.only, show, lambda: bool(seen))


def _write(experiment: Experiment, options: Options) -> None:
    def draw(folder: Path) -> None:
        if options.figures and experiment.results:
            from bpsim.plots import save_figures

            save_figures(experiment.results, folder)

    try:
        write(experiment, options.out, sys.argv, draw, options.force)
    except OutputExists:
        fail(f"{options.out} exists already; choose another --out, or --force to replace it", Exit.USAGE)


def _show(experiment: Experiment, options: Options) -> None:
    if options.as_json:
        typer.echo(json.dumps(summary_document(experiment), indent=1))
        return
    for warning in warnings(experiment):
        typer.echo(f"warning: {warning}", err=True)
    if options.quiet:
        return
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    for line in result_lines(experiment, unicode=(sys.stdout.encoding or "").lower().startswith("utf")):
        console.print(line)
    files = "summary.json, timeseries.parquet, figures/" if options.figures else "summary.json, timeseries.parquet"
    console.print(f"Written to {options.out}/: {files}, tables a variant, scenario.yaml, manifest.json", markup=False)
