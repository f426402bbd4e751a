"""`bpsim explain` and `bpsim report`: what a run that is done has to tell."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from rich.console import Console

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import load_or_fail
from bpsim.cli.simulating import check_variants, simulated
from bpsim.explanation import TITLES, Explanation, explain
from bpsim.folder import SCHEMA_VERSION
from bpsim.result import Result


def explain_command(what: Path, only: tuple[str, ...], seed: int, sets: tuple[str, ...], as_json: bool) -> None:
    """Explain every run in a folder, or those of a scenario."""
    if (what / "manifest.json").is_file():
        if sets:
            fail(f"--set {sets[0]}: {what} holds runs that are done; give the scenario instead", Exit.USAGE)
        results = saved_results(what)
        check_variants(only, results)
        results = {name: result for name, result in results.items() if not only or name in only}
    else:
        file = load_or_fail(what, sets)
        check_variants(only, file.variants)
        experiment = simulated(file, seed, only)
        results = experiment.results
        if experiment.interrupted:
            say("warning: interrupted; this is about the part that was simulated", sys.stderr)
    found = {name: explain(result) for name, result in results.items()}
    if as_json:
        document = {"schema_version": SCHEMA_VERSION, "explanations": {name: one.document() for name, one in found.items()}}
        say(json.dumps(document, indent=1, allow_nan=False))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100_000
        say("\n\n".join("\n".join(lines(name if len(found) > 1 else "", one, width)) for name, one in found.items()))


def saved_results(folder: Path) -> dict[str, Result]:
    """The results in the output folder of a run, by variant in the order they were run. Leaves with a message if it is not
    one."""
    try:
        names = list(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["variants"])
        return {name: Result.load(folder / name) for name in names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{folder} is not the output folder of a run: {type(error).__name__}: {error}", Exit.USAGE)


def report_command(folder: Path, out: Path | None) -> None:
    """Write the page about the runs in a folder."""
    from bpsim.report import page

    results = saved_results(folder)
    document = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    target = out if out is not None else folder / "report.html"
    patient = Console(stderr=True, quiet=not sys.stderr.isatty())
    with patient.status("drawing"):
        text = page(document, results)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {target}: {error}", Exit.ABORTED)
    say(f"Report: {target} ({len(text.encode()) / 1e6:.2g} MB, one file)")


def lines(name: str, one: Explanation, width: int) -> Iterator[str]:
    """An explanation as text, `width` columns wide."""
    yield fill(f"{name}: {one.headline}" if name else one.headline, width)
    for part, title in TITLES.items():
        if one.part(part):
            yield f"  {title}"
        for finding in one.part(part):
            yield fill(f"{finding.words} [{finding.place}]", width, initial_indent="  - ", subsequent_indent="    ",
                       break_long_words=False, break_on_hyphens=False)  # fmt: skip
