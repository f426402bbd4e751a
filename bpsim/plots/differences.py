"""Differences from a baseline, each with its interval and the seeds behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bpsim.plots.reading import Column
from bpsim.plots.style import BLUE, GREY, INK, ORANGE, RC, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {1: BLUE, -1: ORANGE, 0: GREY}
MARKERS = {1: "o", -1: "s", 0: "o"}


@dataclass(frozen=True)
class Panel:
    """One metric: a row a variant, the first on top."""

    title: str
    unit: str
    names: Sequence[str]
    gaps: Sequence[Column]
    """By variant, one difference a seed."""
    middle: Sequence[float]
    half: Sequence[float]
    better: Sequence[int]
    """1 better, -1 worse, 0 no difference to speak of."""
    labels: Sequence[str]


def differences(title: str, panels: Sequence[Panel], note: str) -> Figure:
    """One panel a metric, side by side; the vertical line is the baseline."""
    import matplotlib.pyplot as plt

    rows = len(panels[0].names)
    with plt.rc_context(RC):
        size = (3.4 * len(panels) + 1.2, 1.9 + 0.62 * rows)
        figure, grid = plt.subplots(1, len(panels), figsize=size, layout="constrained", sharey=True, squeeze=False)
        for ax, panel in zip(grid[0], panels, strict=True):
            _draw(ax, panel)
        grid[0][0].set_yticks(range(rows), panels[0].names)
        grid[0][0].set_ylim(rows - 0.45, -0.75)
        figure.suptitle(fill(title, int(size[0] * 11)), x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.supxlabel(fill(note, int(size[0] * 14)), x=0.01, ha="left", fontsize=SMALL - 1, color=INK)
    return figure


def _draw(ax: Axes, panel: Panel) -> None:
    ax.axvline(0, color=INK, lw=1)
    for row, gaps in enumerate(panel.gaps):
        side = panel.better[row]
        ax.plot(gaps, [row + 0.17] * len(gaps), "|", color=GREY, ms=6, mew=1)
        look: dict[str, Any] = {"fmt": MARKERS[side], "color": COLOURS[side], "mfc": COLOURS[side] if side else "white"}
        ax.errorbar(panel.middle[row], row, xerr=panel.half[row], ms=7, lw=2.5, capsize=4, **look)
        ax.annotate(panel.labels[row], (0.5, row - 0.3), xycoords=("axes fraction", "data"), ha="center", va="center",
                    fontsize=SMALL - 1, color=INK)  # fmt: skip
    ax.set_title(panel.title, loc="left", fontsize=11)
    ax.set_xlabel(panel.unit)
    ax.margins(x=0.12)
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
