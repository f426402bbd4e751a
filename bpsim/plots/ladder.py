"""The ladder: who was under pressure from when to when, and of what kind, from the database up to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpsim.metrics.pressure import Stretch
from bpsim.names import TIER_NAMES, the
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SMALL,
    column_titles,
    panels,
    seconds,
    styled,
    time_axis,
    time_unit,
)
from bpsim.result import TIERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {
    "saturated": ("busy all the time", BLUE, ""),
    "blocked": ("waits for room downstream", PURPLE, "///"),
    "full": ("its buffer is full", ORANGE, "..."),
    "behind": ("unread records pile up", GREY, "\\\\\\"),
    "harmed": ("users notice", RED, "xx"),
}
"""In words, colour and hatch: no kind is told apart by its colour alone."""
HEIGHT = 0.8
NOTE = "Every bar says when it begins; grey: while the fault lasts."


@styled
def ladder(results: Results) -> Figure:
    """Stretches of pressure by tier, the client on top, each labelled with its beginning."""
    readings = read(results)
    tiers = [tier for tier in TIERS if any(tier in reading.tiers for reading in readings.values())]
    figure, grid = panels(readings, "The ladder of pressure", 1.9 + 0.62 * len(tiers), NOTE, sharey=True)
    unit = time_unit(readings)
    for ax, reading in zip(grid[0], readings.values(), strict=True):
        for row, tier in enumerate(tiers):
            _row(ax, reading, tier, row, unit)
        for fault in reading.faults:
            ax.axvspan(fault.begin / unit[1], fault.end / unit[1], color=GREY, alpha=0.18, lw=0, zorder=0)
        time_axis(ax, reading.end, unit)
        ax.tick_params(axis="y", length=0)
    column_titles(grid[0], {name: ladder_finding(reading) for name, reading in readings.items()})
    grid[0, 0].set_yticks(range(len(tiers)), [TIER_NAMES[tier] for tier in tiers], fontsize=12)
    grid[0, 0].set_ylim(len(tiers) - 0.5, -0.5)
    used = [kind for kind in KINDS if any(one.kind == kind for reading in readings.values() for one in reading.rungs)]
    handles = [_handle(kind) for kind in used]
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=SMALL)
    return figure


def _handle(kind: str) -> object:
    from matplotlib.patches import Patch

    words, colour, hatch = KINDS[kind]
    return Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=words)


def _row(ax: Axes, reading: Reading, tier: str, row: int, unit: tuple[str, float]) -> None:
    """A tier's stretches, one lane a kind; the first of each kind says when it begins."""
    mine = [one for one in reading.rungs if one.tier == tier]
    kinds = list(dict.fromkeys(one.kind for one in mine))
    ax.axhline(row + 0.5, color="#d8d8dc", lw=0.8, zorder=0)
    for lane, kind in enumerate(kinds):
        high = HEIGHT / len(kinds)
        y = row - HEIGHT / 2 + lane * high
        same = [one for one in mine if one.kind == kind]
        for one in same:
            _bar(ax, one, y, high, reading.end, unit)
        first = same[0].begin_s
        late = first > 0.6 * reading.end
        ax.annotate(
            seconds(first), (first / unit[1], y + high / 2), (4 if late else -4, 0), textcoords="offset points",
            ha="left" if late else "right", va="center", fontsize=SMALL - 1, color=INK,
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8}, zorder=4,
        )  # fmt: skip


def _bar(ax: Axes, one: Stretch, y: float, high: float, end: float, unit: tuple[str, float]) -> None:
    _, colour, hatch = KINDS[one.kind]
    width = (min(one.end_s, end) - one.begin_s) / unit[1]
    ax.barh(y, width, high * 0.92, left=one.begin_s / unit[1], align="edge", color=colour, hatch=hatch, edgecolor="white", lw=0)


def ladder_finding(reading: Reading) -> str:
    """Who came first, and how many tiers followed."""
    rungs = reading.rungs
    if not rungs:
        return "no tier comes under lasting pressure"
    tiers = list(dict.fromkeys(one.tier for one in rungs))
    first = rungs[0]
    then = f", then {', '.join(the(tier) for tier in tiers[1:])}" if len(tiers) > 1 else ""
    return f"first {the(first.tier)} at {seconds(first.begin_s)}{then}"
