"""Running the variants of a file while somebody watches: a progress bar on a terminal, and Ctrl-C that keeps what is done."""

from __future__ import annotations

import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bpsim.cli.app import Exit, fail
from bpsim.experiment import Experiment, run_variants
from bpsim.experiment import Progress as Where
from bpsim.scenario_file import ScenarioFile


def check_variants(wanted: Collection[str], there: Collection[str]) -> None:
    """Leave with a message when one of `--variant` does not exist."""
    unknown = [name for name in wanted if name not in there]
    if unknown:
        fail(f"--variant {unknown[0]}: there are {', '.join(there)}", Exit.USAGE)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """SIGINT fills the list instead of stopping Python in the middle of something; a second one does stop it."""
    seen: list[int] = []

    def heed(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, heed)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def simulated(
    file: ScenarioFile, seed: int, only: tuple[str, ...] = (), quiet: bool = False, controls: bool = False
) -> Experiment:
    """Run the variants; a bar on stderr shows how far they are, if that is a terminal."""
    visible = sys.stderr.isatty() and not quiet
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} s simulated"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with interrupts() as seen, Progress(*columns, console=Console(stderr=True), disable=not visible, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(where: Where) -> None:
            if where.run not in tasks:
                tasks[where.run] = bar.add_task(where.run, total=where.duration_s, rate="")
            task = bar.tasks[tasks[where.run]]
            rate = f"{where.events / task.elapsed:,.0f} events/s" if task.elapsed else ""
            bar.update(task.id, completed=where.now_s, rate=rate)

        return run_variants(file, seed, only, show, lambda: bool(seen), controls)
