"""The figures: each takes the variants' results and returns one, a column a variant."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bpsim.metrics import ledger, timeseries
from bpsim.metrics.occupancy import Occupancy
from bpsim.plots.style import PETROFF6, mark_crash, scale, shade_fault, sheet
from bpsim.result import TIERS, Result
from bpsim.units import format_bytes, parse

Series = dict[str, np.ndarray]  # type: ignore[type-arg]
Results = dict[str, Result]
LINES = ("-", "--", ":", "-.")


def pressure(series: Series, tier: str) -> np.ndarray:  # type: ignore[type-arg]
    """How hard a tier is pressed, 0 to 1: how full its buffer is, or how much of its servers' time is spent blocked. A
    tier with neither bound nor blocking is pressed when all its servers are busy and work waits; the client when its
    requests fail."""
    if tier == "client":
        offered = series["attempts_per_s"]
        failed = sum(series[f"{name}_per_s"] for name in ("rejected", "timed_out", "refused", "produce_failed", "reset"))
        return np.clip(np.divide(failed, offered, out=np.zeros_like(offered), where=offered > 0), 0, 1)
    fill, blocked = series[f"{tier}.fill"], series[f"{tier}.blocked_share"]
    full = np.where(np.isnan(fill), 0.0, np.minimum(fill, 1.0))
    waits = np.clip(series[f"{tier}.waiting"] / 20.0, 0, 1)
    saturated = np.where(series[f"{tier}.busy_share"] >= 0.98, waits, 0.0)
    return np.maximum(np.maximum(full, blocked), saturated)


def wave(results: Results) -> Figure:
    """Tiers × time: where pressure is, and when it got there."""
    figure, axes = sheet(results, "Who is under pressure, and when (client on top, database at the bottom)")
    unit, _ = scale(results)
    tiers = [tier for tier in TIERS if any(tier in result.scenario for result in results.values())]
    mesh = None
    for axis, result in zip(axes, results.values(), strict=True):
        series = timeseries(result)
        rows = np.array([pressure(series, tier) if tier in result.scenario else np.full(len(series["time_s"]), np.nan) for tier in tiers])
        edges = np.append(series["time_s"], series["time_s"][-1] + series["window_s"][-1]) / unit
        mesh = axis.pcolormesh(edges, np.arange(len(tiers) + 1), rows, cmap="cividis", vmin=0, vmax=1, rasterized=True)
        axis.set_yticks(np.arange(len(tiers)) + 0.5, tiers)
        axis.set_ylim(len(tiers), 0)
        axis.tick_params(axis="y", length=0)
        _outline_faults(axis, result, tiers, unit)
        mark_crash(axis, result, unit)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axes, shrink=0.9, pad=0.01, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["calm", "half", "full or\nblocked"])
    return figure


def _outline_faults(axis: Axes, result: Result, tiers: list[str], unit: float) -> None:
    marks = result.tables["marks"]
    for index, fault in enumerate(result.scenario.get("faults", [])):
        begin = marks["time_s"][(marks["kind"] == "fault_begins") & (marks["value"] == index)]
        end = marks["time_s"][(marks["kind"] == "fault_ends") & (marks["value"] == index)]
        if not len(begin):
            continue
        stop = (end[0] if len(end) else result.ended_s) / unit
        row = tiers.index(fault["target"])
        x = [begin[0] / unit, stop, stop, begin[0] / unit, begin[0] / unit]
        axis.plot(x, [row + 0.04, row + 0.04, row + 0.96, row + 0.96, row + 0.04], color=PETROFF6[2], lw=2.5)
        axis.annotate(
            fault["kind"], (stop, row + 0.5), xytext=(5, 0), textcoords="offset points", va="center", fontsize=10,
            color="white", fontweight="bold",
        )  # fmt: skip


def latency(results: Results) -> Figure:
    """Percentiles of the time to success and to the final outcome, log scale."""
    figure, axes = sheet(results, "How long requests take, from the intended first send")
    unit, _ = scale(results)
    for number, (axis, result) in enumerate(zip(axes, results.values(), strict=True)):
        series = timeseries(result)
        time = series["time_s"] / unit
        for style, name in zip(LINES[:2], ("p50", "p99"), strict=True):
            axis.plot(time, series[f"latency_success_s_{name}"], color=PETROFF6[0], ls=style, lw=1.8, label=f"success {name}")
        axis.plot(time, series["latency_final_s_p99"], color=PETROFF6[2], lw=1.3, label="success or failure p99")
        timeout = result.scenario["client"].get("timeout")
        if timeout is not None:
            limit = parse(timeout, "duration")
            axis.axhline(limit, color="#555555", lw=1, ls=":")
            axis.annotate(
                "client timeout", (1, limit), xycoords=("axes fraction", "data"), xytext=(0, -11), ha="right",
                textcoords="offset points", fontsize=9, color="#555555",
            )  # fmt: skip
        shade_fault(axis, result, unit, number == 0)
        mark_crash(axis, result, unit)
        axis.set_yscale("log")
    axes[0].set_ylabel("seconds (log scale)")
    _legend_below(figure, axes[0])
    return figure


def memory(results: Results) -> Figure:
    """Bytes in each tier, stacked, and the heap limit of the API process."""
    figure, axes = sheet(results, "Where the bytes are")
    unit, _ = scale(results)
    tiers = [tier for tier in TIERS if tier != "client" and any(tier in result.scenario for result in results.values())]
    hatches = ("", "//", "", "\\\\", "", "..")
    for number, (axis, result) in enumerate(zip(axes, results.values(), strict=True)):
        series = timeseries(result)
        stack = [series.get(f"{tier}.bytes", np.zeros(len(series["time_s"]))) for tier in tiers]
        areas = axis.stackplot(series["time_s"] / unit, stack, labels=tiers, colors=PETROFF6, lw=0)
        for area, hatch in zip(areas, hatches, strict=False):
            area.set_hatch(hatch)
            area.set_edgecolor("white")
        heap = result.scenario["api"].get("heap")
        if heap is not None:
            limit = parse(heap, "size")
            axis.axhline(limit, color=PETROFF6[2], lw=1.5, ls="--")
            axis.annotate(
                f"heap of the API process: {format_bytes(limit)}", (0.98, limit), xycoords=("axes fraction", "data"),
                xytext=(0, 4), textcoords="offset points", ha="right", fontsize=9, color=PETROFF6[2],
            )  # fmt: skip
        shade_fault(axis, result, unit, number == 0)
        mark_crash(axis, result, unit)
    heaps = {result.scenario["api"].get("heap") for result in results.values()}
    if len(heaps) > 1:
        axes[0].set_yscale("symlog", linthresh=1e6)
        axes[0].set_ylim(bottom=0)
    axes[0].yaxis.set_major_formatter(lambda value, _: format_bytes(value) if value else "0")
    _legend_below(figure, axes[0])
    return figure


CAUSES = (
    ("requests", "rejected", "rejected (429)"),
    ("requests", "timed_out", "timed out"),
    ("requests", "refused", "refused, API down"),
    ("requests", "produce_failed", "produce failed (503)"),
    ("requests", "reset", "reset by the crash"),
    ("requests", "pending", "no outcome yet"),
    ("records", "evicted", "records evicted unread"),
    ("records", "acked_then_lost", "records acked, then lost"),
    ("records", "lost_in_crash", "records lost unacked"),
    ("records", "delivered_wasted", "records nobody waited for"),
    ("records", "duplicate", "duplicate records"),
)


def losses(results: Results) -> Figure:
    """How many requests and records were lost or wasted, by cause."""
    figure, axes = sheet(results, "What was lost or wasted, by cause")
    books = [ledger(result) for result in results.values()]
    causes = [(table, line, label) for table, line, label in CAUSES if any(book[table][line] for book in books)]
    causes = causes or [CAUSES[0]]
    most = max(book[table][line] for book in books for table, line, _ in causes)
    for axis, book in zip(axes, books, strict=True):
        counts = [book[table][line] for table, line, _ in causes]
        colors = [PETROFF6[2] if table == "requests" else PETROFF6[0] for table, _, _ in causes]
        bars = axis.barh(np.arange(len(causes)), counts, color=colors, height=0.7)
        axis.bar_label(bars, [f" {count:,}" for count in counts], fontsize=10)
        axis.set_yticks(np.arange(len(causes)), [label for _, _, label in causes])
        axis.set_xlim(0, max(1, most) * 1.3)
        axis.set_xlabel(f"of {sum(book['requests'].values()):,} requests")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k" if value >= 1000 else f"{value:.0f}")
        axis.locator_params(axis="x", nbins=4)
    axes[0].invert_yaxis()
    return figure


def goodput(results: Results) -> Figure:
    """Requests per second: offered, attempts, and what succeeds."""
    figure, axes = sheet(results, "What clients offer, what the API is sent, and what succeeds")
    unit, _ = scale(results)
    for number, (axis, result) in enumerate(zip(axes, results.values(), strict=True)):
        series = timeseries(result)
        time = series["time_s"] / unit
        axis.plot(time, series["attempts_per_s"], color=PETROFF6[1], lw=1.5, label="attempts (first tries and retries)")
        axis.plot(time, series["offered_per_s"], color="#333333", lw=1.5, ls="--", label="offered (requests)")
        axis.fill_between(time, series["goodput_per_s"], color=PETROFF6[0], alpha=0.35, lw=0)
        axis.plot(time, series["goodput_per_s"], color=PETROFF6[0], lw=1.8, label="goodput (answered in time)")
        shade_fault(axis, result, unit, number == 0)
        mark_crash(axis, result, unit)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("per second")
    _legend_below(figure, axes[0])
    return figure


def _legend_below(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
