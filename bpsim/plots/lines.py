"""Goodput and latency over time."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    SMALL,
    column_titles,
    count,
    label_ends,
    last_finite,
    panels,
    percent,
    seconds,
    shade_faults,
    steps,
    styled,
    time_axis,
    time_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTILES = (("p99", PURPLE, "-"), ("p95", ORANGE, (0, (5, 1.5))), ("p50", BLUE, (0, (1.2, 1.2))))
RATES = {"attempts": ORANGE, "offered": GREY, "goodput": BLUE}
KINDS = (("success", "successes"), ("final", "all outcomes, failures too"))


@styled
def goodput(results: Results) -> Figure:
    """Requests offered, HTTP attempts and requests answered in time, per second."""
    readings = read(results)
    note = "Offered: new requests. Attempts: every HTTP try of them, retries too. Goodput: requests answered in time."
    figure, grid = panels(readings, "Requests per second: offered, attempted, answered in time", 5.4, note, sharey=True)
    unit = time_unit(readings)
    top = max(float(reading.series[f"{name}_per_s"].max()) for reading in readings.values() for name in RATES)
    grid[0, 0].set_ylim(0, 1.15 * max(top, 1e-9))
    grid[0, 0].set_ylabel("requests per second")
    for ax, reading in zip(grid[0], readings.values(), strict=True):
        _goodput(ax, reading, unit)
    column_titles(grid[0], {name: goodput_finding(reading) for name, reading in readings.items()})
    return figure


def _goodput(ax: Axes, reading: Reading, unit: tuple[str, float]) -> None:
    shade_faults(ax, reading, unit)
    time_axis(ax, reading.end, unit)
    edges, series = reading.edges / unit[1], reading.series
    good = steps(series["goodput_per_s"])
    ax.fill_between(edges, good, step="post", color=BLUE, alpha=0.25, lw=0)
    ax.step(edges, steps(series["attempts_per_s"]), where="post", color=ORANGE, ls=(0, (5, 1.2)))
    ax.step(edges, steps(series["offered_per_s"]), where="post", color=GREY, ls=(0, (1.2, 1.2)))
    ax.step(edges, good, where="post", color=BLUE)
    tail = slice(-max(1, len(edges) // 10), None)
    widths = series["window_s"][tail]
    ends = {name: float(np.average(series[f"{name}_per_s"][tail], weights=widths)) for name in RATES}
    label_ends(ax, [(f"{name}\n{count(ends[name])}/s", ends[name], colour) for name, colour in RATES.items()], 3.4)


def goodput_finding(reading: Reading) -> str:
    """How much of the offered load is answered once the faults are over (or over the whole run)."""
    found = reading.summary
    if isfinite(found["after_offered_per_s"]) and found["after_offered_per_s"] > 0:
        share = min(1.0, found["after_goodput_per_s"] / found["after_offered_per_s"])
        return f"{percent(share)} answered in time after the fault{_tries(found['after_amplification'])}"
    return f"{percent(found['success_share'])} answered in time{_tries(found['amplification'])}"


def _tries(amplification: float) -> str:
    return f", {amplification:.2g} attempts a request" if amplification > 1.005 else ""


@styled
def latency(results: Results) -> Figure:
    """p50, p95 and p99 from the intended first send, of the requests answered in time and of every final outcome."""
    readings = read(results)
    note = "From the intended first send, retries included: it may exceed one attempt's timeout. A gap: nothing ended."
    figure, grid = panels(readings, "Seconds a request takes", 7.2, note, nrows=2, sharey=True, sharex="col")
    unit = time_unit(readings)
    low, high = _span(readings)
    grid[0, 0].set_yscale("log")
    grid[0, 0].set_ylim(low, high)
    for column, reading in enumerate(readings.values()):
        for row, (kind, words) in enumerate(KINDS):
            ax = grid[row, column]
            _latency(ax, reading, kind, unit, label=row == 0)
            time_axis(ax, reading.end, unit, label=row == 1)
            if column == 0:
                ax.set_ylabel(f"{words}\n(seconds, log scale)")
    column_titles(grid[0], {name: latency_finding(reading) for name, reading in readings.items()})
    return figure


def _span(readings: dict[str, Reading]) -> tuple[float, float]:
    """The range of the latency axis, with room for words above the lines."""
    found = [reading.series[f"latency_{kind}_s_{name}"] for reading in readings.values() for kind, _ in KINDS
             for name, _, _ in QUANTILES]  # fmt: skip
    values = np.concatenate([*found, [reading.timeout for reading in readings.values()]])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (1e-3, 1.0)
    high = max(high, 10 * low)
    return low / 1.4, high * (high / low) ** 0.18


def _latency(ax: Axes, reading: Reading, kind: str, unit: tuple[str, float], label: bool) -> None:
    from matplotlib.ticker import FuncFormatter

    shade_faults(ax, reading, unit, label)
    edges = reading.edges / unit[1]
    lines = [(name, reading.series[f"latency_{kind}_s_{name}"], colour, dash) for name, colour, dash in QUANTILES]
    for _, values, colour, dash in lines:
        ax.step(edges, steps(values), where="post", color=colour, ls=dash)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.grid(axis="y", color="#d8d8dc", lw=0.7)
    if isfinite(reading.timeout):
        ax.axhline(reading.timeout, color="#4a4d55", lw=1.2)
        ax.annotate(f"timeout {seconds(reading.timeout)}", (0, reading.timeout), (4, 3), ("axes fraction", "data"),
                    "offset points", va="bottom", fontsize=SMALL, color="#4a4d55")  # fmt: skip
    tail = max(1, len(edges) // 10)
    if not any(np.isfinite(values).any() for _, values, _, _ in lines):
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center")
    elif not any(np.isfinite(values[-tail:]).any() for _, values, _, _ in lines):
        gone = np.flatnonzero(np.isfinite(lines[0][1]))[-1] + 1
        where = (float(edges[gone]), 0.5)
        ax.annotate("none any more", where, (6, 0), ("data", "axes fraction"), "offset points", fontsize=SMALL)
    else:
        label_ends(ax, [(f"{name} {seconds(last_finite(v))}", last_finite(v), c) for name, v, c, _ in lines], 2.2)


def latency_finding(reading: Reading) -> str:
    """p99 to the final outcome before, during and after the faults (or over the whole run)."""
    phases = (("before", "before"), ("during", "in the fault"), ("after", "after"))
    found = [(words, reading.summary[f"{name}_latency_final_s_p99"]) for name, words in phases]
    known = [f"{words} {seconds(value)}" for words, value in found if isfinite(value)]
    if known:
        return f"p99 {', '.join(known)}"
    return f"p99: {seconds(reading.summary['latency_success_s_p99'])} to a success"
