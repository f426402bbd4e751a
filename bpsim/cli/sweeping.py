"""`bpsim sweep`."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, get_args

from rich import box
from rich.table import Table

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import load_or_fail
from bpsim.cli.many import Common, check_out, check_variant, making, print_table, write
from bpsim.designs import Kind, Point, listed, points_of, span
from bpsim.document import InvalidScenario
from bpsim.folder import SCHEMA_VERSION
from bpsim.metrics import METRICS
from bpsim.scenario_file import Written
from bpsim.sweeps import Sweep, run_cells, scenarios_at

ROWS = 24
"""More lines than this are in the file only."""
PROBLEMS = 8
"""As many problems of a large design are said."""


@dataclass(frozen=True)
class Asked:
    """Which settings, and of which variants."""

    over: tuple[str, ...]
    points: Path | None
    sample: int | None
    design: str | None
    only: tuple[str, ...]


def sweep_command(common: Common, asked: Asked, as_json: bool) -> None:
    """Check every point, run them all, show the means and save the table."""
    check_out(common)
    points = _points(asked)
    variants = _variants(common, asked.only)
    try:
        cells = scenarios_at(variants, points, str(common.scenario))
    except InvalidScenario as error:
        _refuse(error)
    seeds = tuple(range(1, common.seeds + 1))
    with making(common, "sweep") as m:
        found = run_cells(points, cells, seeds, m.place, m.journal, m.on_progress)
    if as_json:
        say(json.dumps(document(found), indent=1, allow_nan=False))
    else:
        _show(found)
    write(common, partial(_fill, found), {"seeds": common.seeds}, "runs.parquet, points.csv, sweep.json", as_json)


def _points(asked: Asked) -> list[Point]:
    """Leaves with a message when what was asked for is no design, or options contradict each other."""
    if (asked.points is None) == (not asked.over):
        fail("which settings? Give --over PATH=VALUES, or --points FILE.csv", Exit.USAGE)
    if asked.points is not None and asked.sample is not None:
        fail("--points are run as they are; --sample takes them from the ranges of --over", Exit.USAGE)
    if asked.design is not None and asked.sample is None:
        fail("--design says how to sample; give --sample N as well", Exit.USAGE)
    kinds: tuple[Kind, ...] = get_args(Kind)
    kind = next((kind for kind in kinds if kind == (asked.design or "lhs")), None)
    if kind is None:
        fail(f"--design {asked.design}: one of {', '.join(kinds)}", Exit.USAGE)
    try:
        return listed(asked.points) if asked.points is not None else points_of([*map(span, asked.over)], asked.sample, kind)
    except ValueError as error:
        fail(str(error), Exit.USAGE)


def _variants(common: Common, only: tuple[str, ...]) -> dict[str, Written]:
    written = load_or_fail(common.scenario, common.sets).written
    for name in only:
        check_variant(name, list(written))
    return {name: one for name, one in written.items() if not only or name in only}


def _refuse(error: InvalidScenario) -> NoReturn:
    lines = str(error).splitlines()
    more = f"\n… and {len(lines) - PROBLEMS} more" if len(lines) > PROBLEMS else ""
    fail("\n".join(lines[:PROBLEMS]) + more, Exit.INVALID_SCENARIO)


def _show(found: Sweep) -> None:
    say(f"{found.question}\n{found.size}; means over the seeds")
    frame = found.table
    table = Table(box=box.ASCII, show_edge=False, pad_edge=False)
    for name in frame.columns:
        table.add_column(name.rsplit(".", 1)[-1] if name in found.paths else name, justify="right")
    for row in frame.head(ROWS).itertuples(index=False):
        table.add_row(*map(str, row))
    print_table(table)
    if len(frame) > ROWS:
        say(f"… and {len(frame) - ROWS} lines more: see sweep.json, or runs.parquet for every run")


def document(found: Sweep) -> dict[str, Any]:
    """What `sweep.json` holds and `--json` prints; a number that does not exist is null."""
    rows = [
        {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in row.items()}
        for row in found.means.to_dict(orient="records")
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "question": found.question,
        "variants": list(found.variants),
        "paths": list(found.paths),
        "seeds": list(found.seeds),
        "metrics": dict(METRICS),
        "means": rows,
    }


def _fill(found: Sweep, folder: Path) -> None:
    found.frame.to_parquet(folder / "runs.parquet", index=False)
    (folder / "sweep.json").write_text(json.dumps(document(found), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with (folder / "points.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found.paths)
        writer.writeheader()
        writer.writerows(found.points)
