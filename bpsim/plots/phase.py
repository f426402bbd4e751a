"""Maps of collapse: probabilities over a grid, and the loop of a load that rises and falls."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from bpsim.plots.reading import Column
from bpsim.plots.style import BLUE, GREY, INK, ORANGE, RC, SMALL, contrasting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Label = tuple[str, Sequence[str]]
"""A path of the scenario and its values."""


def phase_map(title: str, x: Label, y: Label, probability: Column, note: str) -> Figure:
    """P(collapse) as a heat map, printed in each cell; `probability[row of y][column of x]`."""
    import matplotlib.pyplot as plt

    rows, columns = probability.shape
    with plt.rc_context(RC):
        figure, ax = plt.subplots(figsize=(max(6.4, 1.6 + 1.05 * columns), max(3.6, 2.1 + 0.55 * rows)), layout="constrained")
        image = ax.imshow(probability, cmap="cividis", vmin=0, vmax=1, aspect="auto", origin="lower")
        for row in range(rows):
            for column in range(columns):
                p = float(probability[row, column])
                ink = "white" if p < 0.55 else INK
                ax.text(column, row, f"{p:.0%}", ha="center", va="center", color=ink, fontsize=SMALL + 1)
        _ticks(ax, x, y)
        bar = figure.colorbar(image, ax=ax, ticks=[0, 0.5, 1], pad=0.02)
        bar.ax.set_yticklabels(["never", "half", "always"])
        bar.set_label("collapses")
        _words(figure, ax, title, note)
    return figure


def phase_line(title: str, x: Label, numbers: Sequence[float], middle: Column, low: Column, high: Column, note: str) -> Figure:
    """P(collapse) along one axis, with its interval."""
    import matplotlib.pyplot as plt

    with plt.rc_context(RC):
        figure, ax = plt.subplots(figsize=(8.0, 4.2), layout="constrained")
        ax.fill_between(numbers, low, high, color=BLUE, alpha=0.2, lw=0)
        ax.plot(numbers, middle, color=BLUE, marker="o")
        at = int(np.argmax(middle >= 0.5)) if (middle >= 0.5).any() else len(middle) - 1
        ax.annotate("95 % interval", (numbers[at], high[at]), (0, 8), textcoords="offset points", color=BLUE, ha="right")
        ax.set_xticks(numbers, x[1])
        ax.set_xlabel(x[0])
        ax.set_ylim(-0.03, 1.08)
        ax.set_yticks([0, 0.5, 1], ["never", "half", "always"])
        ax.set_ylabel("collapses")
        _words(figure, ax, title, note)
    return figure


def loop(title: str, loads: Column, up: Column, down: Column, breaks_at: float, recovers_at: float, note: str) -> Figure:
    """Success share against load, on the way up and on the way down (`down` in the order of time), mean over the seeds."""
    import matplotlib.pyplot as plt

    with plt.rc_context(RC):
        figure, ax = plt.subplots(figsize=(8.4, 4.6), layout="constrained")
        for shares, way, colour, marker in ((up, "load rises", BLUE, "o"), (down[::-1], "load falls", ORANGE, "s")):
            ax.plot(loads, shares, color=colour, marker=marker)
            at = len(loads) // 3 if way == "load rises" else 2 * len(loads) // 3
            below = way == "load falls" and shares[at] > 0.2
            words = f"{way} →" if way == "load rises" else f"← {way}"
            ax.annotate(
                words,
                (loads[at], shares[at]),
                (0, -9 if below else 9),
                textcoords="offset points",
                color=contrasting(colour),
                va="top" if below else "bottom",
            )
        _arrows(ax, loads, up, down[::-1])
        marks = ((breaks_at, "breaks", BLUE, "left"), (recovers_at, "recovers", ORANGE, "right"))
        for load, word, colour, side in marks:
            if not isnan(load):
                ax.axvline(load, color=colour, lw=1, ls=":")
                shift = 4 if side == "left" else -4
                ax.annotate(f"{word} at {load:,.4g}/s", (load, 1.06), (shift, 0), textcoords="offset points",
                            ha=side, va="bottom", color=INK, fontsize=SMALL)  # fmt: skip
        ax.set_ylim(-0.04, 1.16)
        ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        ax.set_ylabel("requests that succeed")
        ax.set_xlabel("offered load (requests/s)")
        _words(figure, ax, title, note)
    return figure


def _arrows(ax: Axes, loads: Column, up: Column, down: Column) -> None:
    middle = len(loads) // 2
    for shares, begin, end, colour in ((up, middle - 1, middle, BLUE), (down, middle, middle - 1, ORANGE)):
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 2}
        ax.annotate("", (loads[end], shares[end]), (loads[begin], shares[begin]), arrowprops=arrow)


def _ticks(ax: Axes, x: Label, y: Label) -> None:
    ax.set_xticks(range(len(x[1])), x[1])
    ax.set_yticks(range(len(y[1])), y[1])
    ax.set_xlabel(x[0])
    ax.set_ylabel(y[0])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _words(figure: Figure, ax: Axes, title: str, note: str) -> None:
    ax.set_title(fill(title, 84), loc="left", fontweight="bold")
    figure.text(0.01, -0.02, note, fontsize=SMALL - 1, color=GREY, va="top", wrap=True)
