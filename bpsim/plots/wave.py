"""The backpressure wave: tiers against time, the client on top, so that pressure is seen climbing."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from bpsim.metrics.spans import stretches
from bpsim.names import TIER_NAMES, the
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.style import (
    INK,
    NARROWEST,
    PALE,
    SMALL,
    WIDTH,
    column_titles,
    count,
    panels,
    percent,
    seconds,
    styled,
    time_axis,
    time_unit,
)
from bpsim.result import TIERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLOCKED = 0.5
"""Share of time from which a tier counts as blocked (the Flink UI's HIGH)."""
HIGH, LOW = 0.28, 0.73
"""Heights within a row for words that would meet in its middle."""
BOX = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.88}
NOTE = (
    "Colour: how full the tier's buffer is, or the share of time its servers are blocked, whichever is more (for the "
    "client: failures, or p95 to the outcome as a share of its timeout). Hatched: blocked over half of the time. "
    "Dotted: a queue without a bound, full colour when it holds what arrives within the client's timeout. "
    "White dots: where lasting pressure begins, and how long after the fault does."
)


@styled
def wave(results: Results) -> Figure:
    """Pressure by tier and time, the client on top and the writer at the bottom."""
    readings = read(results)
    tiers = [tier for tier in TIERS if any(tier in reading.tiers for reading in readings.values())]
    figure, grid = panels(readings, "Who is under pressure, and when", 1.9 + 0.62 * len(tiers), NOTE, sharey=True)
    unit = time_unit(readings)
    mesh: Any = None
    for ax, reading in zip(grid[0], readings.values(), strict=True):
        mesh = _heat(ax, reading, tiers, unit)
        _texture(ax, reading, tiers, unit)
        _faults(ax, reading, tiers, unit)
        _cascade(ax, reading, tiers, unit, (max(WIDTH / len(readings), NARROWEST) - 1.1) * 72)
        time_axis(ax, reading.end, unit)
    column_titles(grid[0], {name: wave_finding(reading) for name, reading in readings.items()})
    grid[0, 0].set_yticks(np.arange(len(tiers)) + 0.5, [TIER_NAMES[tier] for tier in tiers], fontsize=12)
    grid[0, 0].set_ylim(len(tiers), 0)
    bar = figure.colorbar(mesh, ax=list(grid[0]), ticks=(0, 0.5, 1), pad=0.015, aspect=28)
    bar.set_ticklabels(("0 %", "50 %", "100 %"))
    bar.set_label("pressure")
    return figure


def _heat(ax: Axes, reading: Reading, tiers: list[str], unit: tuple[str, float]) -> Any:
    from matplotlib import colormaps

    windows = len(reading.edges) - 1
    rows = [alive(reading, tier) if tier in reading.tiers else np.full(windows, np.nan) for tier in tiers]
    ax.set_facecolor(PALE)
    edges = (reading.edges / unit[1], np.arange(len(tiers) + 1))
    mesh = ax.pcolormesh(*edges, np.ma.masked_invalid(rows), cmap=colormaps["cividis"], vmin=0, vmax=1, rasterized=True)
    for row in range(1, len(tiers)):
        ax.axhline(row, color="white", lw=3)
    ax.tick_params(axis="y", length=0)
    return mesh


def alive(reading: Reading, tier: str) -> Any:
    """The tier's pressure while it lives: NaN where the API process, and the producer in it, is dead."""
    dead = (reading.edges[:-1] >= reading.crash) & (tier in ("api", "producer"))
    return np.where(dead, np.nan, reading.pressure(tier))


def _texture(ax: Axes, reading: Reading, tiers: list[str], unit: tuple[str, float]) -> None:
    """Hatches where a tier is blocked, dots and the peak where a queue without a bound is long."""
    edges = reading.edges / unit[1]
    for row, tier in enumerate(tiers):
        if tier not in reading.tiers or tier == "client":
            continue
        blocked = reading.series[f"{tier}.blocked_share"] >= BLOCKED
        long = np.full(len(blocked), reading.unbounded(tier)) & (reading.pressure(tier) >= BLOCKED) & ~blocked
        for where, hatch in ((blocked, "///"), (long, "...")):
            for begin, end in stretches(where):
                ax.fill_between(edges[[begin, end]], row + 0.04, row + 0.96, facecolor="none", edgecolor="#00000088",
                                hatch=hatch, lw=0)  # fmt: skip
        if long.any():
            _label_queue(ax, reading, row, tier, edges[np.flatnonzero(long)[-1] + 1])


def _label_queue(ax: Axes, reading: Reading, row: int, tier: str, end: float) -> None:
    """How long a queue without a bound became, beside the stretch in which it was long or at the end of it."""
    beside = end < 0.6 * ax.get_xlim()[1]
    ax.annotate(
        f"{count(reading.summary[f'{tier}_peak_records'])} in queue", (end, row + HIGH), (5 if beside else -5, 0),
        textcoords="offset points", ha="left" if beside else "right", va="center", fontsize=SMALL, zorder=5, bbox=BOX,
    )  # fmt: skip


def _faults(ax: Axes, reading: Reading, tiers: list[str], unit: tuple[str, float]) -> None:
    """A red frame around the tier and the time of each fault, its words beside the frame."""
    from matplotlib.patches import Rectangle

    for fault in reading.faults:
        row = tiers.index(fault.tier)
        begin, end = fault.begin / unit[1], fault.end / unit[1]
        ax.add_patch(Rectangle((begin, row + 0.03), end - begin, 0.94, fill=False, ec="#ff4d5e", lw=2.6, zorder=4))
        late = fault.end > 0.6 * reading.end
        ax.annotate(
            fault.words, (end, row + LOW), (-6 if late else 6, 0), textcoords="offset points",
            ha="right" if late else "left", va="center", fontsize=SMALL, color="white", fontweight="bold", zorder=6,
            bbox=BOX | {"fc": "#b3101f", "alpha": 1},
        )  # fmt: skip


def onsets(reading: Reading) -> dict[str, float]:
    """When lasting pressure began, in seconds, of the tiers that came under it."""
    found = {tier: reading.summary[f"{tier}_onset_s"] for tier in reading.tiers}
    return {tier: moment for tier, moment in found.items() if isfinite(moment)}


def first_of(onsets: Mapping[str, float]) -> str | None:
    """The tier whose pressure began first; None when nothing came under pressure."""
    return min(onsets, key=onsets.__getitem__, default=None)


def _cascade(ax: Axes, reading: Reading, tiers: list[str], unit: tuple[str, float], width: float) -> None:
    """A dot where each tier's pressure begins, and how long after the first fault's beginning; a cross where the API
    process dies. The axes are about `width` points wide."""
    if isfinite(reading.crash):
        where = (max(reading.crash, 0.02 * reading.end) / unit[1], tiers.index("api") + 0.5)
        ax.plot(*where, marker="X", ms=13, mfc="#e42536", mec="white", zorder=7, clip_on=False)
        ax.annotate(f"dies at {seconds(reading.crash)}", where, (11, 0), textcoords="offset points", va="center",
                    fontsize=SMALL, bbox=BOX, zorder=7)  # fmt: skip
    began = onsets(reading)
    if not began:
        return
    first = min(fault.begin for fault in reading.faults)
    x = [moment / unit[1] for moment in began.values()]
    y = [tiers.index(tier) + 0.5 for tier in began]
    ax.plot(x, y, color="white", lw=3.2, zorder=5)
    ax.plot(x, y, color=INK, lw=1.4, marker="o", ms=7, mfc="white", mec=INK, mew=1.6, zorder=6)
    for place, row, moment in zip(x, y, began.values(), strict=True):
        left = moment / reading.end * width > 62
        ax.annotate(
            f"+{seconds(moment - first)}", (place, row if left else row - 0.5 + HIGH), (-8 if left else 8, 0),
            textcoords="offset points", ha="right" if left else "left", va="center", fontsize=SMALL, zorder=6, bbox=BOX,
        )  # fmt: skip


def wave_finding(reading: Reading) -> str:
    """How far up the pressure came, and how fast."""
    began = onsets(reading)
    if isfinite(reading.crash):
        return f"the API process runs out of memory after {seconds(reading.crash)}"
    if not reading.faults:
        return f"no fault; {percent(1 - reading.summary['success_share'])} of requests fail"
    if not began:
        return "no tier comes under lasting pressure"
    first = min(fault.begin for fault in reading.faults)
    if "client" in began:
        return f"client hit after {seconds(began['client'] - first)}, {recovery(reading)}"
    top = min(began, key=TIERS.index)
    above = TIERS[TIERS.index(top) - 1]
    if above in reading.tiers and reading.unbounded(above) and np.nanmax(reading.pressure(above)) >= BLOCKED:
        queue = count(reading.summary[f"{above}_peak_records"])
        return f"pressure ends in {the(above)}, as a queue of {queue}; the client feels nothing"
    return f"pressure stops at {the(top)}; the client feels nothing"


def recovery(reading: Reading) -> str:
    """When requests succeed again, in words."""
    time = reading.summary["recovery_time_s"]
    if not isfinite(time):
        return "no recovery"
    return f"recovers {seconds(time)} after the fault" if time > 0 else "recovers when the fault ends"
