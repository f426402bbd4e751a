"""Where bytes are held, and how requests and records end."""

from __future__ import annotations

from itertools import cycle
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from bpsim.names import TIER_NAMES, the
from bpsim.plots.reading import Column, Reading, Results, read
from bpsim.plots.style import (
    BLUE,
    GREY,
    HATCHES,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SMALL,
    VIOLET,
    column_titles,
    count,
    label_ends,
    panels,
    percent,
    seconds,
    shade_faults,
    size,
    styled,
    time_axis,
    time_unit,
)
from bpsim.result import TIERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORDER = ("api", "producer", "client", "broker", "consumer", "flink", "writer")
"""From the bottom up: first what the API process holds, so that its heap limit is a height."""
COLOURS = dict(zip(ORDER, (ORANGE, BLUE, GREY, PURPLE, VIOLET, RED, "#4a4d55"), strict=True))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
VISIBLE = 0.01
"""Share of the largest total from which a tier gets its label."""
APART = 20.0
"""Ratio of the largest to the smallest panel from which they get their own scales, when one of them ends in a crash."""
REQUESTS = {
    "ok": ("answered in time", BLUE),
    "rejected": ("429, turned away", ORANGE),
    "timed_out": ("client gave up waiting", RED),
    "refused": ("refused, API is down", PURPLE),
    "produce_failed": ("503, could not produce", VIOLET),
    "reset": ("API died while they waited", INK),
    "unavailable": ("503, dropped or turned away", PURPLE),
    "error": ("500, handler failed", INK),
    "breaker_open": ("not sent, breaker open", ORANGE),
    "throttled": ("not sent, client throttled", BLUE),
    "pending": ("no outcome yet at the end", GREY),
}
RECORDS = {
    "delivered_in_time": ("in the database, client knows", BLUE),
    "delivered_wasted": ("in the database, client gave up", ORANGE),
    "duplicate": ("in the database again (duplicate)", RED),
    "evicted": ("deleted by retention, unread", PURPLE),
    "expired": ("given up by the producer", ORANGE),
    "refused": ("refused by the broker", RED),
    "skipped": ("skipped by the consumer", BLUE),
    "dropped": ("given up by the DB writer", VIOLET),
    "acked_then_lost": ("lost in the crash after “done”", VIOLET),
    "lost_in_crash": ("lost in the crash", INK),
    "on_the_way": ("on their way at the end", GREY),
}
LOST = ("evicted", "expired", "refused", "skipped", "dropped", "acked_then_lost", "lost_in_crash")
"""Ways in which a record never comes to the database."""


@styled
def memory(results: Results) -> Figure:
    """Bytes held by each tier over time, stacked, with the API process's limit and its death."""
    readings = read(results)
    until = {name: shown_until(reading) for name, reading in readings.items()}
    held = {name: reading.held_bytes(until[name]) for name, reading in readings.items()}
    tops = {name: max(_peak(held[name][1]), np.nan_to_num(reading.heap)) for name, reading in readings.items()}
    shared = all(reading.end == until[name] for name, reading in readings.items()) or (
        max(tops.values()) <= APART * max(min(tops.values()), 1.0)
    )
    note = "API process: requests inside it and the producer's buffer. A broker's bytes are on disk."
    if not shared or len(set(until.values())) > 1:
        note = f"Every panel has its own scales: compare the numbers on the axes. {note}"
    figure, grid = panels(readings, "Bytes held, by tier", 5.4, note, sharey=shared)
    for ax, (name, reading) in zip(grid[0], readings.items(), strict=True):
        top = max(tops.values()) if shared else tops[name]
        _memory(ax, reading, *held[name], max(top, 1.0))
    column_titles(grid[0], {name: memory_finding(reading) for name, reading in readings.items()})
    return figure


def shown_until(reading: Reading) -> float:
    """The end of the memory panel: a little after the API process died, or the end of the run."""
    return min(reading.end, 1.25 * reading.crash) if isfinite(reading.crash) else reading.end


def _peak(held: dict[str, Column]) -> float:
    return float(sum(held.values(), np.zeros(1)).max())


def _memory(ax: Axes, reading: Reading, edges: Column, held: dict[str, Column], top: float) -> None:
    unit = time_unit(float(edges[-1]))
    scale = next(pair for pair in SIZES if top >= pair[0])
    tiers = [tier for tier in ORDER if tier in held]
    middle = (edges[:-1] + edges[1:]) / 2 / unit[1]
    layers = ax.stackplot(middle, [held[tier] / scale[0] for tier in tiers], colors=[COLOURS[tier] for tier in tiers])
    for layer, hatch in zip(layers, HATCHES, strict=False):
        layer.set(hatch=hatch, edgecolor="#ffffffaa", lw=0)
    ax.set_ylim(0, 1.18 * top / scale[0])
    if ax.yaxis.get_tick_params()["labelleft"]:
        ax.set_ylabel(f"bytes held ({scale[1]})")
    time_axis(ax, float(edges[-1]), unit)
    shade_faults(ax, reading, unit)
    if isfinite(reading.heap):
        ax.axhline(reading.heap / scale[0], color=RED, lw=2)
        ax.annotate(f"API process: out of memory at {size(reading.heap)}", (0, reading.heap / scale[0]), (4, 4),
                    ("axes fraction", "data"), "offset points", fontsize=SMALL, color="#b3101f")  # fmt: skip
    if isfinite(reading.crash):
        ax.axvline(reading.crash / unit[1], color=INK, lw=1.2, ls=":")
        where = (reading.crash / unit[1], reading.heap / scale[0])
        ax.plot(*where, marker="X", ms=13, mfc=RED, mec="white", clip_on=False)
    _label_layers(ax, {tier: held[tier] / scale[0] for tier in tiers}, top / scale[0])


def _label_layers(ax: Axes, held: dict[str, Column], top: float) -> None:
    """Names of the layers that can be seen, at the right, in the order of the stack where it is highest."""
    peak = int(np.argmax(sum(held.values(), np.zeros(1))))
    base, labels = 0.0, []
    for tier, values in held.items():
        if values.max() >= VISIBLE * top:
            labels.append((f"▮ {TIER_NAMES[tier]}", base + values[peak] / 2, COLOURS[tier]))
        base += float(values[peak])
    label_ends(ax, labels, 3.4)


def memory_finding(reading: Reading) -> str:
    """When the API process died and with how much, or how much it held at most."""
    found = reading.summary
    if isfinite(reading.crash):
        lost = f"{count(found['crash_lost_records'])} records ({size(found['crash_lost_bytes'])})"
        return f"dies after {seconds(reading.crash)}, losing {lost}"
    process = f"the API process holds up to {size(found['api_peak_bytes'])}"
    fullest = max(reading.tiers, key=lambda tier: found[f"{tier}_peak_records"])
    if fullest in ("client", "api", "producer"):
        return process
    most = found[f"{fullest}_peak_records"] * reading.occupancy.record_bytes
    return f"{the(fullest)} holds up to {size(most)}; {process}"


@styled
def losses(results: Results) -> Figure:
    """How the requests ended and where the records ended, each as shares and counts."""
    readings = read(results)
    sections = [("Requests: how they ended", REQUESTS, {n: r.ledger["requests"] for n, r in readings.items()})]
    if any("producer" in reading.tiers for reading in readings.values()):
        sections.append(("Records: where they ended", RECORDS, {n: record_lines(r) for n, r in readings.items()}))
    shown = [[cause for cause in causes if any(lines[cause] for lines in found.values())] or [next(iter(causes))]
             for _, causes, found in sections]  # fmt: skip
    rows = sum(map(len, shown))
    figure, grid = panels(readings, "Where requests and records ended", 2.4 + 0.42 * rows, nrows=len(sections),
                          sharex=True, sharey="row", height_ratios=[len(causes) for causes in shown])  # fmt: skip
    for row, ((title, causes, found), names) in enumerate(zip(sections, shown, strict=True)):
        for column, lines in enumerate(found.values()):
            looks = dict(zip(causes, zip((colour for _, colour in causes.values()), cycle(HATCHES), strict=False), strict=True))
            _bars(grid[row, column], [(*looks[name], lines[name]) for name in names], sum(lines.values()))
        grid[row, 0].set_yticks(range(len(names)), [causes[name][0] for name in names], fontsize=11)
        grid[row, 0].set_ylim(len(names) - 0.4, -0.6)
        grid[row, 0].set_ylabel(title.split(":")[0], fontweight="bold", fontsize=12)
    column_titles(grid[0], {name: losses_finding(reading) for name, reading in readings.items()})
    figure.align_ylabels(grid[:, 0])
    for ax in grid[-1]:
        ax.set_xlabel("share of all (%)")
    return figure


def record_lines(reading: Reading) -> dict[str, int]:
    """The ledger's record lines, those still in a tier taken together."""
    lines = reading.ledger["records"]
    kept = {cause: lines[cause] for cause in RECORDS if cause in lines}
    found = kept | {"on_the_way": sum(number for line, number in lines.items() if line.startswith("in_"))}
    assert sum(found.values()) == sum(lines.values()), f"lines without a name: {lines.keys() - found.keys()}"
    return found


def _bars(ax: Axes, bars: list[tuple[str, str, int]], total: int) -> None:
    ax.set_xlim(0, 190)
    ax.set_xticks((0, 50, 100))
    ax.tick_params(axis="y", length=0)
    for row, (colour, hatch, number) in enumerate(bars):
        share = number / total if total else 0.0
        ax.barh(row, 100 * share, 0.72, color=colour, hatch=hatch, edgecolor="white", lw=0)
        words = f"{percent(share)}   {count(number)}" if number else "0"
        ax.annotate(words, (100 * share, row), (5, 0), textcoords="offset points", va="center", fontsize=SMALL)


def losses_finding(reading: Reading) -> str:
    """The share of requests that failed, and what the pipeline lost or did for nobody."""
    lines = record_lines(reading)
    lost = sum(lines[name] for name in LOST)
    vain = lines["delivered_wasted"] + lines["duplicate"]
    words = f"{percent(1 - reading.summary['success_share'])} of requests failed"
    if lost:
        return f"{words}; {count(lost)} records lost"
    return f"{words}; {count(vain)} writes for nobody" if vain else words


assert set(ORDER) == set(TIERS)
