"""`bpsim compare`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import load_or_fail
from bpsim.cli.many import Common, check_out, making, print_table, save_figure, write
from bpsim.comparison import Comparison, hold_against
from bpsim.contenders import named
from bpsim.folder import SCHEMA_VERSION
from bpsim.metrics import METRICS
from bpsim.metrics.headlines import headline
from bpsim.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 4
"""Metrics in the figure, the first of those in which something differs."""
STYLES = {"better": "green", "worse": "bold red", "differs": "bold", "tiny": "dim", "~": "dim", "same": "dim"}


def compare_command(
    common: Common, baseline: str | None, only: tuple[str, ...], metrics: tuple[str, ...], as_json: bool
) -> None:
    """Run every variant with the same seeds, say what differs, and save it."""
    check_out(common)
    scenarios = _chosen(common, baseline, only)
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        fail(f"--metric {unknown[0]}: {_near(unknown[0], METRICS)}", Exit.USAGE)
    if len(scenarios) < 2:
        fail("there is one scenario; give a second file, or a file with variants", Exit.USAGE)
    if common.seeds < 2:
        fail("--seeds: a difference of one seed has no interval; take 2 or more", Exit.USAGE)
    seeds = tuple(range(1, common.seeds + 1))
    with making(common, "compare") as m:
        found = hold_against(scenarios, baseline, seeds, metrics, m.place, m.journal, m.on_progress)
    if as_json:
        say(json.dumps(document(found), indent=1, allow_nan=False))
    else:
        say(found.question)
        for sentence in found.words:
            say(sentence)
        print_table(_table(found))
        say(found.note)
    write(common, partial(_fill, found), {"seeds": common.seeds}, "differences.csv, runs.parquet, differences.png", as_json)


def _chosen(common: Common, baseline: str | None, only: tuple[str, ...]) -> dict[str, Scenario]:
    scenarios = named([(str(path), load_or_fail(path, common.sets).variants) for path in common.scenarios])
    for option, names in (("--variant", only), ("--baseline", (baseline,) if baseline else ())):
        for name in names:
            if name not in scenarios:
                fail(f"{option} {name}: {_near(name, scenarios)}", Exit.USAGE)
    kept = {*only, *((baseline,) if baseline else ())} if only else set(scenarios)
    return {name: scenario for name, scenario in scenarios.items() if name in kept}


def _near(word: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(list(known)[:8])} …"


def _table(found: Comparison) -> Table:
    table = Table(box=box.ASCII, show_edge=False, pad_edge=False)
    table.add_column("")
    for name in found.names:
        table.add_column(f"{name}\n{'mean' if name == found.baseline else f'vs {found.baseline}'}", justify="right")
    for metric in found.metrics:
        cells = [found.cell(name, metric) for name in found.names]
        table.add_row(headline(metric).label, *(Text(cell, STYLES.get(cell.split()[-1], "")) for cell in cells))
    return table


def document(found: Comparison) -> dict[str, Any]:
    """What `comparison.json` holds and `--json` prints; a number that does not exist is null."""
    rows = [{key: _plain(value) for key, value in row.items()} for row in found.rows()]
    return {
        "schema_version": SCHEMA_VERSION,
        "question": found.question,
        "baseline": found.baseline,
        "seeds": list(found.seeds),
        "same_arrivals": found.same_arrivals,
        "words": list(found.words),
        "note": found.note,
        "differences": rows,
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _fill(found: Comparison, folder: Path) -> None:
    text = json.dumps(document(found), indent=1, allow_nan=False)
    (folder / "comparison.json").write_text(text + "\n", encoding="utf-8")
    found.differences.to_csv(folder / "differences.csv", index=False)
    found.frame.to_parquet(folder / "runs.parquet", index=False)
    save_figure(_figure(found), folder, "differences", " ".join(found.words))


def _figure(found: Comparison) -> Figure:
    from bpsim.plots.differences import Panel, differences

    def differs(metric: str) -> bool:
        return any(found.better(name, metric) for name in found.others)

    compared = [metric for metric in found.metrics if any(found.found[name, metric].pairs for name in found.others)]
    metrics = sorted(compared, key=lambda metric: not differs(metric))[:PANELS]
    panels = []
    for metric in metrics:
        how = headline(metric)
        ones = [found.found[name, metric] for name in found.others]
        widest = max((abs(one.difference) + one.half_width for one in ones if isfinite(one.half_width)), default=0.0)
        unit, size = how.unit_for_gap(widest)
        gaps = [(found.values[name][metric] - found.values[found.baseline][metric]) / size for name in found.others]
        panels.append(
            Panel(
                how.label,
                f"difference from {found.baseline}" + (f" ({unit.strip()})" if unit else ""),
                found.others,
                [gap[np.isfinite(gap)] for gap in gaps],
                [one.difference / size for one in ones],
                [one.half_width / size for one in ones],
                [found.better(name, metric) for name in found.others],
                [found.cell(name, metric) for name in found.others],
            )
        )
    return differences(found.question, panels, f"{len(found.seeds)} seeds, one tick each; bars are 95 % intervals")
