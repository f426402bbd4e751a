"""The ledger as a waterfall: from all that was offered down to what was of use, one step a way to get lost."""

from __future__ import annotations

from itertools import cycle
from math import nan
from typing import TYPE_CHECKING

from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.stacks import RECORDS, REQUESTS, record_lines
from bpsim.plots.style import BLUE, GREY, HATCHES, INK, SMALL, column_titles, count, panels, percent, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEPT = {"ok": "requests offered", "delivered_in_time": "records produced"}
"""The line that is of use, and what all the lines together are."""
Step = tuple[str, float, float, str, str]
"""Label, from, to, colour, hatch."""


@styled
def waterfall(results: Results) -> Figure:
    """Requests from offered to answered in time, and records from produced to known to be in the database."""
    readings = read(results)
    ledgers = [("Requests", REQUESTS, {name: reading.ledger["requests"] for name, reading in readings.items()})]
    if any("producer" in reading.tiers for reading in readings.values()):
        ledgers.append(("Records", RECORDS, {name: record_lines(reading) for name, reading in readings.items()}))
    shown = [[name for name in causes if any(lines.get(name) for lines in found.values())] for _, causes, found in ledgers]
    heights = [len(names) + 1 for names in shown]
    figure, grid = panels(
        readings, "From all that was offered to what was of use", 2.2 + 0.42 * sum(heights), "Every step ends where the next "
        "begins: the lines of the ledger add up.", nrows=len(ledgers), sharey="row", sharex=True, height_ratios=heights,
    )  # fmt: skip
    for row, ((title, causes, found), names) in enumerate(zip(ledgers, shown, strict=True)):
        for column, lines in enumerate(found.values()):
            _steps(grid[row, column], steps(lines, causes, names))
        grid[row, 0].set_ylabel(title, fontweight="bold", fontsize=12)
    column_titles(grid[0], {name: waterfall_finding(reading) for name, reading in readings.items()})
    figure.align_ylabels(grid[:, 0])
    for ax in grid[-1]:
        ax.set_xlabel("share of all (%)")
    return figure


def steps(lines: dict[str, int], causes: dict[str, tuple[str, str]], names: list[str]) -> list[Step]:
    """All of it, then each loss as a step down, then what is left, which is the line of use."""
    total, use = sum(lines.values()), next(iter(causes))
    found: list[Step] = [(KEPT[use], 0, total, GREY, "")]
    left, hatches = total, dict(zip(causes, cycle(HATCHES), strict=False))
    for name in names:
        if name != use:
            number = lines.get(name, 0)
            found.append((causes[name][0], left - number, left, causes[name][1], hatches[name]))
            left -= number
    return [*found, (causes[use][0], 0, left, BLUE, "")]


def _steps(ax: Axes, found: list[Step]) -> None:
    total = max(found[0][2], 1)
    ax.set_xlim(0, 175)
    ax.set_xticks((0, 50, 100))
    ax.tick_params(axis="y", length=0)
    for row, (_, begin, end, colour, hatch) in enumerate(found):
        ax.barh(
            row, 100 * (end - begin) / total, 0.72, left=100 * begin / total, color=colour, hatch=hatch, edgecolor="white", lw=0
        )
        words = f"{percent((end - begin) / total)}   {count(end - begin)}" if end > begin else "0"
        ax.annotate(words, (100 * end / total, row), (5, 0), textcoords="offset points", va="center", fontsize=SMALL)
        if row + 1 < len(found):
            ax.plot([100 * begin / total if row else 100 * end / total] * 2, [row + 0.36, row + 0.64], color=INK, lw=0.8)
    ax.set_yticks(range(len(found)), [label for label, *_ in found], fontsize=11)
    ax.set_ylim(len(found) - 0.4, -0.6)


def waterfall_finding(reading: Reading) -> str:
    """How much of what was offered was answered in time."""
    lines = reading.ledger["requests"]
    offered = sum(lines.values())
    return f"{percent(lines['ok'] / offered if offered else nan)} of {count(offered)} answered in time"
