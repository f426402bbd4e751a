"""`bpsim tune`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.table import Table

from bpsim.claims import UnknownName
from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import load_or_fail
from bpsim.cli.many import Common, check_out, making, print_table, save_figure, variant_of, write
from bpsim.designs import Span
from bpsim.document import InvalidScenario
from bpsim.folder import SCHEMA_VERSION
from bpsim.goals import Goal, goal
from bpsim.metrics.headlines import headline
from bpsim.tuning import Bench, Tried, Tuned, check_ends, ranges, search

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 16
"""Candidates shown: those next to what was found."""


@dataclass(frozen=True)
class Asked:
    """What is to be small, what may vary, and what must hold."""

    smallest: tuple[str, ...]
    vary: tuple[str, ...]
    goals: tuple[str, ...]
    share: float
    fresh: int
    tries: int | None


def tune_command(common: Common, asked: Asked, as_json: bool) -> None:
    """Search, say what was found and how sure it is, and save the candidates. Exit code 4 when nothing meets the goals."""
    check_out(common)
    variant = variant_of(common)
    smallest, varied = _ranges("--smallest", asked.smallest), _ranges("--vary", asked.vary)
    _refuse_twice([span.path for span in (*smallest, *varied)])
    if len(smallest) + len(varied) == 1 and asked.tries is not None:
        fail("--tries is for several settings; one alone is closed in on exactly", Exit.USAGE)
    goals = tuple(_goal(text, variant) for text in asked.goals)
    written = load_or_fail(common.scenario, common.sets).written[variant]
    seeds = tuple(range(1, common.seeds + 1))
    try:
        check_ends(written, variant, (*smallest, *varied), str(common.scenario))
        with making(common, "tune") as m:
            bench = Bench(
                written, variant, goals, seeds, smallest, asked.share, str(common.scenario), "yaml", m.place, m.journal,
                m.on_progress,
            )  # fmt: skip
            found = search(bench, varied, asked.tries or 60, asked.fresh)
    except InvalidScenario as error:
        fail(str(error), Exit.INVALID_SCENARIO)
    if as_json:
        say(json.dumps(document(found), indent=1, allow_nan=False))
    else:
        say("\n".join((found.question, *found.words)))
        print_table(_table(found))
    write(common, partial(_fill, found), {"seeds": common.seeds, "fresh": asked.fresh}, "tune.csv, tune.png", as_json)
    if found.found is None:
        raise typer.Exit(Exit.CLAIM_FAILED)


def _ranges(option: str, texts: tuple[str, ...]) -> tuple[Span, ...]:
    try:
        return ranges(texts)
    except ValueError as error:
        fail(f"{option}: {error}", Exit.USAGE)


def _refuse_twice(paths: list[str]) -> None:
    for number, path in enumerate(paths):
        if path in paths[:number]:
            fail(f"{path} stands there twice", Exit.USAGE)


def _goal(text: str, variant: str) -> Goal:
    try:
        return goal(text, variant)
    except (ValueError, UnknownName) as error:
        fail(f"--goal '{text}': {error}", Exit.USAGE)


def _near(found: Tuned) -> list[Tried]:
    """The candidates to show: all, or those around what was found."""
    at = found.tried.index(found.found) if found.found is not None else 0
    begin = max(0, min(at - ROWS // 2, len(found.tried) - ROWS))
    return list(found.tried[begin : begin + ROWS])


def _table(found: Tuned) -> Table:
    table = Table(box=box.ASCII, show_edge=False, pad_edge=False)
    paths = [span.path for span in (*found.smallest, *found.varied)]
    titles = [*(path.rsplit(".", 1)[-1] for path in paths), "meets all", *(one.text for one in found.goals)]
    for title in ("", *titles, *(headline(metric).label for metric in found.metrics)):
        table.add_column(title, justify="right")
    for one in _near(found):
        shares = [one.share(), *(one.share(number) for number in range(len(found.goals)))]
        means = [(headline(metric), one.mean(metric)) for metric in found.metrics]
        table.add_row(
            "->" if one is found.found else "", *(one.point[path] for path in paths), *(f"{share:.0%}" for share in shares),
            *(how.show(mean) if isfinite(mean) else "-" for how, mean in means),
        )  # fmt: skip
    return table


def document(found: Tuned) -> dict[str, Any]:
    """What `tune.json` holds and `--json` prints."""
    hits, of, low, high = found.sure
    rows = [
        {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in found.row(one).items()}
        for one in found.tried
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "question": found.question,
        "variant": found.variant,
        "goals": {one.text: one.claim.text for one in found.goals},
        "share": found.share,
        "found": found.found.point if found.found is not None else None,
        "exact": found.exact,
        "fresh": {"seeds": of, "meet": hits, "low": low, "high": high} if found.fresh is not None else None,
        "words": list(found.words),
        "candidates": rows,
    }


def _fill(found: Tuned, folder: Path) -> None:
    (folder / "tune.json").write_text(json.dumps(document(found), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    found.frame.to_csv(folder / "tune.csv", index=False)
    save_figure(_figure(found), folder, "tune", " ".join(found.words))


def _figure(found: Tuned) -> Figure:
    from bpsim.plots.tradeoff import Curve, tradeoff

    first = found.smallest[0]
    path = first.path + (f" ({first.unit})" if first.unit else "")

    def place(one: Tried) -> float:
        return first.number(one.point[first.path])

    tried = sorted(found.tried, key=place)
    curves = [Curve("seeds that meet all goals", "share", [one.share() for one in tried])]
    for metric in found.metrics[:3]:
        how = headline(metric)
        means = [one.mean(metric) for one in tried]
        unit, size = how.unit_for_gap(max((mean for mean in means if isfinite(mean)), default=1.0))
        curves.append(Curve(how.label, unit.replace("pts", "%").strip(), [mean / size for mean in means]))
    at = place(found.found) if found.found is not None else None
    good = [one.share() >= found.share for one in tried]
    note = (
        f"{found.variant}, {len(tried[0].rows)} seeds a candidate; filled: meets {', '.join(one.text for one in found.goals)}"
    )
    return tradeoff(found.words[0], path, [place(one) for one in tried], good, at, curves, note)
