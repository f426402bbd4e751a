"""Every latency, not only its quantiles: time against latency, dark where nobody is and bright where many are."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from bpsim.metrics.windows import latencies
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.style import (
    SMALL,
    column_titles,
    inner_ticks,
    panels,
    percent,
    seconds,
    styled,
    time_axis,
    time_unit,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = 60
"""Bands of latency, of equal width on a log scale."""
SLICES = 120
FASTEST = 0.005
"""Those that are faster stand at the lower edge."""


@styled
def heatmap(results: Results) -> Figure:
    """Latency of every final outcome against time, as density."""
    from matplotlib import colormaps
    from matplotlib.ticker import FuncFormatter

    readings = read(results)
    note = "Bright: many of the requests that ended then took so long. A band that splits is two ways to fare, not an average."
    figure, grid = panels(readings, "How long every request took", 4.9, note, sharey=True)
    unit, found = time_unit(readings), {name: latencies(reading.result)["final"] for name, reading in readings.items()}
    bands = _bands([values for _, values in found.values()])
    mesh: Any = None
    for ax, reading, (when, values) in zip(grid[0], readings.values(), found.values(), strict=True):
        edges = np.linspace(0, max(reading.end, 1e-9), SLICES + 1)
        counts, _, _ = np.histogram2d(when, np.clip(values, bands[0], bands[-1]), (edges, bands))
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        picture = np.ma.masked_where(counts == 0, share).T
        mesh = ax.pcolormesh(edges / unit[1], bands, picture, cmap=colormaps["cividis"], vmin=0, vmax=0.5, rasterized=True)
        ax.set_yscale("log")
        ax.set_ylim(bands[0], bands[-1])
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if isfinite(reading.timeout) and bands[0] < reading.timeout < bands[-1]:
            ax.axhline(reading.timeout, color="#b3101f", lw=1.2, ls=(0, (5, 2)))
            ax.annotate(f"timeout {seconds(reading.timeout)}", (1, reading.timeout), (-4, 3), ("axes fraction", "data"),
                        "offset points", ha="right", va="bottom", fontsize=SMALL, color="#b3101f",
                        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7})  # fmt: skip
        inner_ticks(ax.yaxis)
        time_axis(ax, reading.end, unit)
    grid[0, 0].set_ylabel("time to the final outcome\n(seconds, log scale)")
    column_titles(grid[0], {name: heatmap_finding(reading) for name, reading in readings.items()})
    bar = figure.colorbar(mesh, ax=list(grid[0]), ticks=(0, 0.25, 0.5), pad=0.015, aspect=28)
    bar.set_ticklabels(("0 %", "25 %", "50 % or more"))
    bar.set_label("of those that ended then")
    return figure


def _bands(values: list[Any]) -> Any:
    every = np.concatenate(values)
    every = every[every > 0]
    low, high = (float(np.quantile(every, FASTEST)), float(every.max())) if len(every) else (1e-3, 1.0)
    return np.geomspace(low * 0.9, max(high, 2 * low) * 1.1, BANDS + 1)


def heatmap_finding(reading: Reading) -> str:
    """The middle, the slowest percent, and how many took over half of the client's patience."""
    _, values = latencies(reading.result)["final"]
    if not len(values):
        return "no request had an outcome"
    half, slow = (seconds(float(value)) for value in np.quantile(values, (0.5, 0.99)))
    words = f"half within {half}, the slowest percent {slow} or more"
    if isfinite(reading.timeout):
        words += f"; {percent(float((values >= reading.timeout).mean()))} take the timeout or longer"
    return words
