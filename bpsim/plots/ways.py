"""Where the time goes: by tier at p50 and p99, and one slow request hop by hop."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

from bpsim.metrics.journeys import WAYS, Trace
from bpsim.names import TIER_NAMES, the
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.style import BLUE, GREY, INK, ORANGE, PURPLE, RED, SMALL, column_titles, inner_ticks, panels, seconds, styled
from bpsim.result import TIERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = {"p50": 0.5, "p99": 0.99}
LEAST_S = 1e-4
LOOKS = {"queued": (ORANGE, ""), "served": (BLUE, "///"), "blocked": (PURPLE, "...")}


@styled
def tier_time(results: Results) -> Figure:
    """Seconds queued, served and blocked in each tier, of the journeys at the median and of the slowest percent."""
    readings = read(results)
    found = {name: {level: reading.journeys.at(at) for level, at in LEVELS.items()} for name, reading in readings.items()}
    tiers = [tier for tier in TIERS if any(tier in at for levels in found.values() for at in levels.values())] or ["client"]
    note = (
        "From the intended first send to the database (to the reply, in a pipeline that ends at the API), of those that got "
        "there. The client's time: earlier tries, their pauses, the network. Each panel has its own scale."
    )
    figure, grid = panels(readings, "Where the time goes", 2.6 + 0.72 * len(tiers), note, nrows=2, sharey=True)
    for column, levels in enumerate(found.values()):
        for row, (level, at) in enumerate(levels.items()):
            _bars(grid[row, column], at, tiers, level)
    column_titles(grid[0], {name: tier_time_finding(reading) for name, reading in readings.items()})
    grid[0, 0].set_yticks(range(len(tiers)), [TIER_NAMES[tier] for tier in tiers])
    grid[0, 0].set_ylim(len(tiers) - 0.4, -0.6)
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=way) for way, (colour, hatch) in LOOKS.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=SMALL)
    return figure


def _bars(ax: Axes, at: dict[str, dict[str, float]], tiers: list[str], level: str) -> None:
    whole = sum(sum(ways.values()) for ways in at.values())
    for row, tier in enumerate(tiers):
        base, ways = 0.0, at.get(tier, dict.fromkeys(WAYS, 0.0))
        for way, (colour, hatch) in LOOKS.items():
            ax.barh(row, ways[way], 0.7, left=base, color=colour, hatch=hatch, edgecolor="white", lw=0)
            base += ways[way]
        if base > 0:
            ax.annotate(
                seconds(base) if base >= LEAST_S else "< 0.1 ms",
                (base, row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL - 1,
            )
    longest = max((sum(ways.values()) for ways in at.values()), default=0.0)
    ax.set_xlim(0, 1.35 * longest or 1.0)
    inner_ticks(ax.xaxis)
    ax.set_xlabel(f"seconds at {level}: {seconds(whole)} in all" if at else f"{level}: nothing got there")
    ax.tick_params(axis="y", length=0)


def tier_time_finding(reading: Reading) -> str:
    """Where most of the slowest percent's time goes."""
    at = reading.journeys.at(LEVELS["p99"])
    if not at:
        return "nothing got to the end"
    share = {(tier, way): value for tier, ways in at.items() for way, value in ways.items()}
    tier, way = max(share, key=lambda key: share[key])
    whole = sum(share.values())
    how = {"queued": "waiting in", "served": "being served by", "blocked": "waiting for room behind"}[way]
    place = "before its last try" if tier == "client" else f"{how} {the(tier)}"
    return f"the slowest percent: {seconds(share[tier, way])} of {seconds(whole)} {place}"


@styled
def trace(results: Results) -> Figure:
    """One request at p99 of the time to the final outcome, span by span."""
    readings = read(results)
    found = {name: reading.journeys.trace() for name, reading in readings.items()}
    rows = max((len(one.spans) for one in found.values() if one is not None), default=1)
    note = (
        f"Time since its intended first send, up to {REACH} times what the user waited; after the dashed line the user is gone."
    )
    figure, grid = panels(readings, "One of the slowest requests, hop by hop", 1.9 + 0.3 * min(rows, MOST), note)
    for ax, one in zip(grid[0], found.values(), strict=True):
        if one is not None:
            _spans(ax, one)
        ax.set_xlabel("seconds")
    column_titles(grid[0], {name: trace_finding(reading) for name, reading in readings.items()})
    return figure


def _spans(ax: Axes, one: Trace) -> None:
    shown = one.spans[:MOST]
    waited = max(one.ended_s - one.born_s, 1e-9)
    ends = [span.end_s - one.born_s if isfinite(span.end_s) else inf for span in shown]
    right = min(REACH * waited, 1.05 * max(max(ends), waited))
    for row, (span, end) in enumerate(zip(shown, ends, strict=True)):
        begin = span.begin_s - one.born_s
        way = span.what.split()[-1]
        colour, hatch = LOOKS.get(way, (GREY if way == "ok" else RED, "xx"))
        if begin < right:
            ax.barh(row, min(end, right) - begin, 0.72, left=begin, color=colour, hatch=hatch, edgecolor="white", lw=0)
            ax.plot([begin], [row], marker="|", color=INK, ms=9)
        if end > right:
            words = f"until {seconds(end)} →" if isfinite(end) else "to the end of the run →"
            ax.annotate(words, (right, row), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=SMALL - 1,
                        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85})  # fmt: skip
    ax.axvline(waited, color=INK, lw=1, ls=(0, (4, 3)), zorder=0)
    ax.set_xlim(0, right)
    inner_ticks(ax.xaxis)
    ax.set_yticks(range(len(shown)), [f"{TIER_NAMES[span.tier]}: {span.what}" for span in shown], fontsize=SMALL - 1)
    ax.set_ylim(len(shown) - 0.4, -0.6)


MOST = 24
"""Spans that are drawn; a request with more of them is cut short."""
REACH = 4


def trace_finding(reading: Reading) -> str:
    """How it ended for the user."""
    one = reading.journeys.trace()
    if one is None:
        return "no request had an outcome"
    return f"{one.outcome.replace('_', ' ')} after {seconds(one.ended_s - one.born_s)}"
