"""How every figure looks: one column a variant, large text, colours for all eyes, labels at the lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import isfinite, isnan, log10
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from bpsim.plots.reading import Column, Reading, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, RED, PURPLE, GREY, VIOLET = "#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"
"""petroff6 (arXiv 2107.02270): told apart with every kind of colour blindness."""
INK, PALE = "#22242a", "#e9e9ec"
HATCHES = ("", "///", "...", "\\\\\\", "xx", "++", "oo")
WIDTH, DPI = 12.8, 125
"""Inches and dots an inch: 1600 pixels for up to three variants."""
NARROWEST = 3.6
SMALL = 10.0
RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11.5,
    "axes.labelsize": 11,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "hatch.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.dash_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": "bpsim",
}
NB = "\N{NO-BREAK SPACE}"
"""Between a number and its unit."""
Plot = Callable[[Results], "Figure"]


def styled(plot: Plot) -> Plot:
    """`plot` drawn with our settings, whatever the user's own are."""

    @wraps(plot)
    def drawn(results: Results) -> Figure:
        from matplotlib import rc_context, rcParamsDefault

        ours: Any = {key: value for key, value in rcParamsDefault.items() if key != "backend"} | RC
        with rc_context(ours):
            return plot(results)

    return drawn


def panels(readings: Mapping[str, Reading], title: str, height: float, note: str = "", **axes: Any) -> tuple[Figure, Any]:
    """An empty figure with one column a variant under `title` and over `note`; `axes` goes to `Figure.subplots`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width = max(WIDTH, NARROWEST * len(readings))
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, fontweight="bold")
    if note:
        wrapped = fill(note, int(width * 12.3))
        figure.supxlabel(wrapped, x=0.012, ha="left", fontsize=SMALL, color="#4a4d55")
    grid = figure.subplots(ncols=len(readings), squeeze=False, **axes)
    return figure, grid


def column_titles(axes: Sequence[Axes], findings: Mapping[str, str]) -> None:
    """Above each column the variant's name in bold, and below it what came out."""
    width = max(WIDTH / len(axes), NARROWEST)
    wrapped = [fill(finding, max(18, int(width * 72 / 7.4))) for finding in findings.values()]
    lines = max(text.count("\n") + 1 for text in wrapped)
    rise = 6 + 14.5 * lines
    for ax, name, text in zip(axes, findings, wrapped, strict=True):
        ax.set_title(name.replace("_", " "), loc="left", pad=rise + 5, fontsize=13.5, fontweight="bold")
        note = ax.annotate(text, (0, 1), (0, rise), "axes fraction", "offset points", va="top", annotation_clip=False)
        note.set_in_layout(False)  # wide words must not narrow the axes


def time_unit(readings: Mapping[str, Reading] | float) -> tuple[str, float]:
    """Name and seconds of the unit in which the time axis is best read."""
    longest = readings if isinstance(readings, int | float) else max(reading.end for reading in readings.values())
    return ("h", 3600.0) if longest > 3 * 3600 else ("min", 60.0) if longest > 600 else ("s", 1.0)


def time_axis(ax: Axes, end: float, unit: tuple[str, float], label: bool = True) -> None:
    """From 0 to `end` seconds, labelled in `unit`."""
    from matplotlib.ticker import MaxNLocator

    name, seconds = unit
    ax.set_xlim(0, end / seconds)
    sixty = name == "s" and end >= 60
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 3, 6, 10] if sixty else [1, 2, 5, 10]))
    if label:
        ax.set_xlabel(f"time ({name})")


def inner_ticks(axis: Any) -> None:
    """Keep the ticks of an axis that lie within its limits: matplotlib places some, unseen, beyond them."""
    low, high = sorted(axis.get_view_interval())
    axis.set_ticks([float(tick) for tick in axis.get_majorticklocs() if low <= tick <= high])


def shade_faults(ax: Axes, reading: Reading, unit: tuple[str, float], label: bool = True) -> None:
    """Each fault's window in grey, its words at the top of it."""
    for index, fault in enumerate(reading.faults):
        begin, end = fault.begin / unit[1], fault.end / unit[1]
        ax.axvspan(begin, end, color=GREY, alpha=0.22, lw=0, zorder=0)
        if not label:
            continue
        late = fault.begin > 0.55 * reading.end
        ax.annotate(
            fault.words, (end if late else begin, 1), (-4 if late else 4, -4 - 13 * index),
            ("data", "axes fraction"), "offset points", ha="right" if late else "left", va="top", fontsize=SMALL,
            color="#4a4d55",
        )  # fmt: skip


def contrasting(colour: str) -> Any:
    """`colour`, darkened until it can be read on white (4.5 : 1)."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    while _luminance(rgb) > 1.05 / 4.5 - 0.05:
        rgb = rgb * 0.95
    return tuple(rgb)


def _luminance(rgb: Column) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """`places` moved as little as keeps them `gap` apart and inside [gap / 2, 1], the first of equals on top."""
    order = sorted(range(len(places)), key=lambda i: (places[i], -i))
    pools: list[list[float]] = []  # isotonic regression of place − rank · gap: neighbours in conflict share their mean
    for rank, i in enumerate(order):
        pools.append([places[i] - rank * gap])
        while len(pools) > 1 and fmean(pools[-2]) >= fmean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    highest = max(gap / 2, 1 - (len(places) - 1) * gap)
    base = [min(max(fmean(pool), gap / 2), highest) for pool in pools for _ in pool]
    found = [0.0] * len(places)
    for rank, i in enumerate(order):
        found[i] = base[rank] + rank * gap
    return found


def label_ends(ax: Axes, labels: Sequence[tuple[str, float, str]], height: float) -> None:
    """(text, value, colour) of lines at their right ends, beside axes `height` inches high, without overlap."""
    shown = [label for label in labels if isfinite(label[1])]
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log":
        places = [(log10(max(value, low)) - log10(low)) / (log10(high) - log10(low)) for _, value, _ in shown]
    else:
        places = [(value - low) / (high - low) for _, value, _ in shown]
    lines = max((text.count("\n") + 1 for text, _, _ in shown), default=1)
    for (text, _, colour), place in zip(shown, spread(places, lines * 13.5 / (72 * height)), strict=True):
        ax.annotate(
            text, (1, place), (5, 0), "axes fraction", "offset points", va="center", fontsize=SMALL,
            color=contrasting(colour), annotation_clip=False,
        )  # fmt: skip


def steps(values: Column) -> Column:
    """`values` with the last one twice: what `Axes.step(edges, …, where="post")` wants."""
    return np.append(values, values[-1:])


def last_finite(values: Column) -> float:
    """The last value that is a number; NaN when there is none."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else float("nan")


def count(value: float) -> str:
    """A count for people: 1234567 -> '1,234,567'; NaN -> '–'."""
    return "–" if isnan(value) else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share for people, which never rounds something to nothing or to all."""
    if isnan(share):
        return "–"
    if 0 < share < 0.001:
        return f"<{NB}0.1{NB}%"
    if 0.999 < share < 1:
        return f">{NB}99.9{NB}%"
    text = f"{100 * share:.1f}" if share < 0.1 or share > 0.99 else f"{100 * share:.0f}"
    return f"{text.removesuffix('.0')}{NB}%"


def seconds(value: float) -> str:
    """A duration for people: NaN -> '–', 0.0123 -> '12 ms', 83.1 -> '83 s', 1056 -> '17.6 min'."""
    if isnan(value):
        return "–"
    if value < 1:
        return f"{_three(value * 1e3)}{NB}ms"
    return f"{_three(value)}{NB}s" if value < 600 else f"{_three(value / 60)}{NB}min"


def size(value: float) -> str:
    """A size for people: 9_600_000 -> '9.6 MB'."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor * 0.9995:
            return f"{_three(value / factor)}{NB}{unit}"
    return "–" if isnan(value) else f"{value:.0f}{NB}B"


def _three(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
