"""What the commands that make many runs share: the options, the journal, the progress bar, the output folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import find, load_or_fail
from bpsim.folder import OutputExists, check_free, put, write_manifest
from bpsim.runs import (
    Journal,
    JournalInUse,
    JournalMismatch,
    Place,
    PlaceFailed,
    Progress,
    RunFailed,
    code_fingerprint,
    place_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT = "runs.journal"
"""The journal in a finished folder: `--resume` adds to it."""


@dataclass(frozen=True)
class Common:
    """What all of them are told."""

    scenarios: tuple[Path, ...]
    sets: tuple[str, ...]
    variant: str | None
    seeds: int
    jobs: int
    on: str | None
    out: Path
    force: bool
    resume: bool

    @property
    def scenario(self) -> Path:
        """The file, where there is one."""
        return self.scenarios[0]

    @property
    def journal(self) -> Path:
        """Where runs are kept until the folder is whole."""
        return self.out.with_name(f"{self.out.name}.journal")


@dataclass(frozen=True)
class Making:
    """What a command needs for `bpsim.runs.measure_all`."""

    place: Place
    journal: Journal
    on_progress: Progress


def check_out(common: Common) -> None:
    """Leaves with a message when the output could not be written, or an unfinished one would be lost."""
    finished = common.resume and (common.out / KEPT).is_file()
    try:
        check_free(common.out, common.force or finished)
    except OutputExists as error:
        fail(str(error), Exit.USAGE)
    except OSError as error:
        fail(f"cannot write to {common.out}: {error}", Exit.ABORTED)
    if common.force and common.resume:
        fail("--force starts again and --resume goes on; choose one", Exit.USAGE)
    if common.journal.exists() and not (common.force or common.resume):
        fail(f"{common.journal} holds an unfinished one; --resume goes on with it, --force starts again", Exit.USAGE)


def variant_of(common: Common) -> str:
    """The variant asked for, or the only one. Leaves with a message when that is not clear."""
    names = list(load_or_fail(common.scenario, common.sets).variants)
    if common.variant is None and len(names) > 1:
        fail(f"which variant? --variant {names[0]} (there are {', '.join(names)})", Exit.USAGE)
    if common.variant is not None:
        check_variant(common.variant, names)
    return common.variant or names[0]


def check_variant(name: str, names: list[str], option: str = "--variant") -> None:
    """Leaves with a message when there is no such variant."""
    if name not in names:
        near = get_close_matches(name, names, 1)
        fail(f"{option} {name}: " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"), Exit.USAGE)


@contextmanager
def making(common: Common, of: str) -> Iterator[Making]:
    """Where the runs of `of` are made and kept, with a progress bar. Whatever stops them becomes one line that says what
    is kept."""
    place = _place(common)
    missing = [folder for folder in common.journal.resolve().parents if not folder.exists()]  # innermost first
    journal = _journal(common, f"{of}, model {code_fingerprint()}")
    with journal, progress() as on_progress:
        try:
            yield Making(place, journal, on_progress)
        except (RunFailed, PlaceFailed) as error:
            _stopped(common, journal, missing, str(error), Exit.ABORTED)
        except (KeyboardInterrupt, SystemExit):
            _stopped(common, journal, missing, "interrupted", Exit.INTERRUPTED)


def _place(common: Common) -> Place:
    try:
        return place_of(common.on, common.jobs)
    except ValueError as error:
        fail(f"--on: {error}", Exit.USAGE)


def _journal(common: Common, of: str) -> Journal:
    path, finished = common.journal, common.out / KEPT
    try:
        if common.force:
            path.unlink(missing_ok=True)
        elif common.resume and finished.is_file() and not path.exists():
            shutil.copyfile(finished, path)
        journal = Journal.open(path, of, common.resume)
    except JournalMismatch as error:
        fail(f"{error}; --force starts again", Exit.USAGE)
    except (JournalInUse, OSError) as error:
        fail(str(error), Exit.ABORTED)
    if journal.dropped:
        lines = "1 torn line" if journal.dropped == 1 else f"{journal.dropped} torn lines"
        say(f"warning: {lines} of {path} dropped, to be run again", sys.stderr)
    return journal


def _stopped(common: Common, journal: Journal, missing: list[Path], why: str, code: Exit) -> NoReturn:
    if journal.rows:
        fail(f"{why}; {len(journal.rows):,} runs are kept, and the same command with --resume goes on", code)
    common.journal.unlink(missing_ok=True)
    for folder in missing:
        with suppress(OSError):
            folder.rmdir()
    fail(f"{why}; nothing was written", code)


@contextmanager
def progress(what: str = "runs") -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal, to be told how many runs are made."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write(
    common: Common, fill: Callable[[Path], None], facts: dict[str, Any], highlights: str, quiet: bool = False
) -> None:  # fmt: skip
    """The output folder: what `fill` makes, the scenarios, the journal and the manifest; then say where it is."""
    from importlib.metadata import version

    def fill_all(folder: Path) -> None:
        fill(folder)
        for number, path in enumerate(common.scenarios, 1):
            name = "scenario.yaml" if len(common.scenarios) == 1 else f"scenario_{number}.yaml"
            shutil.copyfile(find(path), folder / name)
        shutil.copyfile(common.journal, folder / KEPT)
        versions = {package: version(package) for package in ("bpsim", "numpy", "simpy")}
        write_manifest(folder, {"command": ["bpsim", *sys.argv[1:]], **facts, "versions": versions})

    try:
        put(common.out, fill_all, common.force or common.resume)
        common.journal.unlink()
    except OSError as error:
        fail(f"cannot write to {common.out}: {error}; the runs are kept, and --resume goes on", Exit.ABORTED)
    if not quiet:
        say(f"Written to {common.out}/: {highlights} and more; manifest.json lists every file")


def save_figure(figure: Figure, folder: Path, name: str, alt: str) -> None:
    """As PNG and SVG with `alt` in words inside; the same figure is the same SVG, byte for byte."""
    import matplotlib.pyplot as plt

    from bpsim.plots.style import RC

    with plt.rc_context({key: value for key, value in RC.items() if key.startswith("svg")}):
        about: dict[str, Any] = {"Title": name, "Description": alt}
        figure.savefig(folder / f"{name}.png", dpi=125, bbox_inches="tight", metadata=about)
        figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata=about | {"Date": None})
    plt.close(figure)


def print_table(table: Table) -> None:
    """Fitted to the terminal, or as wide as it wants in a pipe."""
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False).print(table)
