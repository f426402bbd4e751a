"""`bpsim phase` and `bpsim hysteresis`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.looking import find, load_or_fail
from bpsim.cli.many import Common, check_out, making, print_table, save_figure, variant_of, write
from bpsim.document import InvalidScenario
from bpsim.folder import SCHEMA_VERSION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bpsim.claims import Claim
    from bpsim.hysteresis import Hysteresis
    from bpsim.phase import Phase
    from bpsim.settings import Axis


def _fill(name: str, document: dict[str, Any], rows: list[dict[str, Any]], figure: Figure, folder: Path) -> None:
    import pandas as pd

    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    save_figure(figure, folder, name, document["alt"])


def _axis(option: str, text: str) -> Axis:
    from bpsim.settings import axis

    try:
        return axis(text)
    except ValueError as error:
        fail(f"{option}: {error}", Exit.USAGE)


def _claim(text: str | None, variant: str) -> Claim | None:
    from bpsim.claims import UnknownName, parse
    from bpsim.metrics import METRICS

    if text is None:
        return None
    try:
        claim = parse(text)
        claim.check_names((variant,), METRICS)
    except (ValueError, UnknownName) as error:
        fail(f"--collapse: {error}", Exit.USAGE)
    return claim


def phase_command(common: Common, x: str, y: str | None, collapse: str | None, as_json: bool) -> None:
    """Run the grid, show and save it."""
    from bpsim.phase import cells, explore

    check_out(common)
    axes = (_axis("--x", x), _axis("--y", y) if y is not None else None)
    variant = variant_of(common)
    claim = _claim(collapse, variant)
    try:
        _, scenarios = cells(find(common.scenario), common.sets, variant, *axes)
    except InvalidScenario as error:
        fail(str(error), Exit.INVALID_SCENARIO)
    question = scenarios[0].question
    with making(common, f"phase ({collapse or 'success at the end'})") as m:
        found = explore(question, variant, scenarios, axes, common.seeds, claim, m.place, m.journal, m.on_progress)
    document = {
        "schema_version": SCHEMA_VERSION,
        "question": question,
        "variant": variant,
        "rule": found.rule,
        "seeds": found.seeds,
        "alt": found.alt,
        "cells": list(found.rows()),
    }
    if as_json:
        say(json.dumps(document, indent=1, allow_nan=False))
    else:
        say(f"{question}\nP(collapse) of {variant} over {found.seeds} seeds; collapse: {found.rule}")
        print_table(_phase_table(found))
    fill = partial(_fill, "phase", document, list(found.rows()), _phase_figure(found))
    write(common, fill, {"seeds": common.seeds}, "phase.png, phase.csv", as_json)


def _phase_table(found: Phase) -> Table:
    table = Table(box=box.ASCII, show_edge=False, pad_edge=False)
    table.add_column(found.y.path if found.y is not None else found.x.path)
    if found.y is None:
        table.add_column("P(collapse)", justify="right")
        table.add_column("95 % interval", justify="right")
        for line in found.rows():
            table.add_row(line[found.x.path], f"{line['probability']:.0%}", f"{line['low']:.0%} … {line['high']:.0%}")
        return table
    for value in found.x.values:
        table.add_column(f"{found.x.path.rsplit('.', 1)[-1]} {value}", justify="right")
    for row in reversed(range(len(found.y.values))):
        shown = []
        for column in range(len(found.x.values)):
            low, high = found.interval(row, column)
            shown.append(f"{found.probability[row, column]:.0%} ({low:.0%}…{high:.0%})")
        table.add_row(found.y.values[row], *shown)
    return table


def _phase_figure(found: Phase) -> Figure:
    from bpsim.plots.phase import phase_line, phase_map

    note = f"{found.variant}, {found.seeds} seeds a cell, the same in each; collapse: {found.rule}"
    x = (found.x.path, found.x.values)
    title = f"How often does {found.variant} collapse?"
    if found.y is not None:
        return phase_map(title, x, (found.y.path, found.y.values), found.probability, note)
    rows = list(found.rows())
    middle, low, high = ([row[name] for row in rows] for name in ("probability", "low", "high"))
    import numpy as np

    return phase_line(title, x, found.x.numbers, np.array(middle), np.array(low), np.array(high), note)


def hysteresis_command(common: Common, low: str, high: str, steps: int, hold: str, as_json: bool) -> None:
    """Run the staircase, show and save it."""
    import numpy as np

    from bpsim.hysteresis import climb
    from bpsim.plots.phase import loop
    from bpsim.units import parse

    check_out(common)
    try:
        bounds = [parse(text, "rate", bare=False) for text in (low, high)]
        hold_s = parse(hold, "duration", bare=False)
    except ValueError as error:
        fail(str(error), Exit.USAGE)
    if not 0 < bounds[0] < bounds[1] or hold_s <= 0:
        fail(f"--low {low} must be above 0 and below --high {high}, and --hold {hold} above 0", Exit.USAGE)
    variant = variant_of(common)
    scenario = load_or_fail(common.scenario, common.sets).variants[variant]
    loads = np.linspace(bounds[0], bounds[1], steps)
    with making(common, f"hysteresis ({hold_s:g} s a step)") as m:
        found = climb(scenario, variant, loads, hold_s, common.seeds, m.place, m.journal, m.on_progress)
    document = {"schema_version": SCHEMA_VERSION, "question": found.question, "variant": variant, "words": found.words,
                "alt": found.words, "seeds": common.seeds, "hold_s": hold_s, "steps": list(found.rows())}  # fmt: skip
    if as_json:
        say(json.dumps(document, indent=1, allow_nan=False))
    else:
        say(f"{found.question}\n{found.words}")
        print_table(_steps_table(found))
    note = f"{variant}, {common.seeds} seeds, {hold} a step, the second half of each is looked at; no faults"
    up, down = found.up.mean(axis=0), found.down.mean(axis=0)
    figure = loop(found.words, found.loads, up, down, *found.medians, note)
    fill = partial(_fill, "hysteresis", document, list(found.rows()), figure)
    write(common, fill, {"seeds": common.seeds}, "hysteresis.png, hysteresis.csv", as_json)


def _steps_table(found: Hysteresis) -> Table:
    table = Table(box=box.ASCII, show_edge=False, pad_edge=False)
    for title in ("way", "load", "succeed", "goodput"):
        table.add_column(title, justify="left" if title == "way" else "right")
    for row in found.rows():
        goodput, share = f"{row['goodput_per_s']:,.4g}/s", f"{row['success_share']:.1%}"
        table.add_row(row["way"], f"{row['load_per_s']:,.4g}/s", share, goodput)
    return table
