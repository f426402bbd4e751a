"""The charts of a view, each with a sentence for those who cannot see it. Colours and names as in the figures on paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from bpsim.dashboard.view import View
from bpsim.metrics.windows import FAILURES
from bpsim.names import TIER_NAMES
from bpsim.plots.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET, count, percent, seconds

# Channels are written as objects: from a string Altair makes them by trying its whole schema, in twice the time of the chart.
COLOURS = (BLUE, ORANGE, RED, PURPLE, GREY, VIOLET)
HEIGHT = 300
"""Pixels, axis and legend included."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [10, 4], [4, 4])
CAUSES = {f"{outcome.name.lower()}_per_s": outcome.name.lower().replace("_", " ") for outcome in FAILURES}


@dataclass(frozen=True)
class Chart:
    """A chart, what it says in words, and its numbers."""

    title: str
    picture: dict[str, Any]
    """As Vega-Lite takes it."""
    words: str
    table: pd.DataFrame

    @classmethod
    def of(cls, title: str, picture: alt.TopLevelMixin, words: str, table: pd.DataFrame) -> Chart:
        """Not held against Altair's schema: that takes as long as making the chart, and a test does it."""
        return cls(title, picture.to_dict(validate=False), words, table)


def charts(view: View) -> list[Chart]:
    """Every chart of `view`, the wave first."""
    return [wave(view), rates(view), latency(view), occupancy(view), *losses(view)]


def _long(view: View, names: dict[str, str], what: str) -> pd.DataFrame:
    """A row a window and series."""
    begin = view.edges[:-1]
    parts = [pd.DataFrame({"time_s": begin, "series": label, what: view.series[name]}) for name, label in names.items()]
    return pd.concat(parts, ignore_index=True)


def _faults(view: View) -> Any:
    rows = [{"begin": f.begin, "end": f.end, "fault": f.words} for f in view.faults]
    frame = pd.DataFrame(rows, columns=["begin", "end", "fault"])
    return (
        alt.Chart(frame)
        .mark_rect(color=GREY, opacity=0.22)
        .encode(x=alt.X("begin:Q"), x2=alt.X2("end"), tooltip=[alt.Tooltip("fault:N")])
    )


def _lines(view: View, names: dict[str, str], what: str, unit: str, log: bool = False) -> tuple[Any, pd.DataFrame]:
    frame = _long(view, names, what)
    if log:
        frame = frame[frame[what] > 0]
    labels = list(names.values())
    scale: Any = alt.Scale(type="log") if log else alt.Scale(zero=True)
    lines = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x=alt.X("time_s:Q", title="time (s)", scale=alt.Scale(domain=[0, float(view.edges[-1])], nice=False)),
            y=alt.Y(f"{what}:Q", title=unit, scale=scale),
            color=alt.Color("series:N", scale=alt.Scale(domain=labels, range=list(COLOURS)), sort=labels, title=None),
            strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=labels, range=list(DASHES)), sort=labels, title=None),
            tooltip=[alt.Tooltip("series:N"), alt.Tooltip("time_s:Q", format=".1f"), alt.Tooltip(f"{what}:Q", format=".4g")],
        )
    )
    picture = alt.layer(_faults(view), lines).properties(height=HEIGHT)
    picture = picture.configure_legend(orient="top", labelLimit=260, columns=2)
    return picture, frame.pivot(index="time_s", columns="series", values=what)[list(labels)]


def _joined(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells of the wave; neighbours in time whose colours nobody can tell apart (1 %) are one cell."""
    cells = frame.assign(pressure=frame["pressure"].round(2))
    begins = (cells["tier"] != cells["tier"].shift()) | (cells["pressure"] != cells["pressure"].shift())
    joined = cells.groupby(begins.cumsum(), sort=False).agg({
        "tier": "first", "time_s": "first", "until_s": "last", "pressure": "first",
    })  # fmt: skip
    return joined.reset_index(drop=True)


def wave(view: View) -> Chart:
    """Pressure by tier and time, the client on top."""
    begin, end = view.edges[:-1], view.edges[1:]
    parts = [
        pd.DataFrame({"tier": TIER_NAMES[tier], "time_s": begin, "until_s": end, "pressure": view.pressure[tier]})
        for tier in view.tiers
    ]
    frame = pd.concat(parts, ignore_index=True)
    order = [TIER_NAMES[tier] for tier in view.tiers]
    cells = (
        alt.Chart(_joined(frame))
        .mark_rect()
        .encode(
            x=alt.X("time_s:Q", title="time (s)", scale=alt.Scale(domain=[0, float(view.edges[-1])], nice=False)),
            x2=alt.X2("until_s"),
            y=alt.Y("tier:N", sort=order, title=None),
            color=alt.Color(
                "pressure:Q", scale=alt.Scale(scheme="cividis", domain=[0, 1]), legend=alt.Legend(format=".0%", orient="top")
            ),
            tooltip=[alt.Tooltip("tier:N"), alt.Tooltip("time_s:Q", format=".1f"), alt.Tooltip("pressure:Q", format=".0%")],
        )
    )
    dots = pd.DataFrame(
        [{"tier": TIER_NAMES[tier], "at": moment} for tier, moment in view.onsets.items()], columns=["tier", "at"]
    )
    onset = (
        alt.Chart(dots)
        .mark_point(shape="diamond", filled=True, size=110, color="white", stroke="black")
        .encode(
            x=alt.X("at:Q"),
            y=alt.Y("tier:N", sort=order),
            tooltip=[alt.Tooltip("tier:N"), alt.Tooltip("at:Q", format=".1f", title="from (s)")],
        )
    )
    ladder = ", ".join(
        f"{TIER_NAMES[tier]} at {moment:.1f} s" for tier, moment in sorted(view.onsets.items(), key=lambda o: o[1])
    )
    words = f"Lasting pressure began: {ladder}." if ladder else "No tier came under lasting pressure after a fault began."
    picture = alt.layer(cells, onset).properties(height=54 * len(order) + 60)
    table = frame.pivot(index="time_s", columns="tier", values="pressure")[order]
    return Chart.of("The wave: who is under pressure, and when", picture, words, table)


def rates(view: View) -> Chart:
    """What is asked, what is tried, what succeeds."""
    names = {"offered_per_s": "new requests", "attempts_per_s": "attempts", "goodput_per_s": "answered in time"}
    picture, table = _lines(view, names, "per_s", "per second")
    found = view.summary
    words = (
        f"{found['attempts']:,.0f} attempts were made for {found['offered']:,.0f} requests; "
        f"{percent(found['success_share'])} of those that ended succeeded."
    )
    return Chart.of("What is asked, tried, and answered", picture, words, table)


def latency(view: View) -> Chart:
    """Time to the final outcome, from the intended first send."""
    names = {f"latency_final_s_{name}": name for name in ("p50", "p95", "p99")}
    picture, table = _lines(view, names, "latency_s", "seconds (log)", log=True)
    found = view.summary
    words = (
        f"Half of the requests had their outcome within {seconds(found['latency_final_s_p50'])}, 99 % within "
        f"{seconds(found['latency_final_s_p99'])}; failures count, those still waiting ({found['pending']:,.0f}) cannot."
    )
    return Chart.of("Time to the final outcome", picture, words, table)


def occupancy(view: View) -> Chart:
    """Where the bytes are."""
    tiers = [tier for tier in view.tiers if tier != "client"]
    frame = _long(view, {f"{tier}.bytes": TIER_NAMES[tier] for tier in tiers}, "bytes")
    labels = [TIER_NAMES[tier] for tier in tiers]
    picture = (
        alt.Chart(frame)
        .mark_area()
        .encode(
            x=alt.X("time_s:Q", title="time (s)", scale=alt.Scale(domain=[0, float(view.edges[-1])], nice=False)),
            y=alt.Y("bytes:Q", stack=True, title="bytes", axis=alt.Axis(format="~s")),
            color=alt.Color("series:N", scale=alt.Scale(domain=labels, range=list(COLOURS)), sort=labels, title=None),
            tooltip=[alt.Tooltip("series:N"), alt.Tooltip("time_s:Q", format=".1f"), alt.Tooltip("bytes:Q", format=",.0f")],
        )
        .properties(height=HEIGHT)
        .configure_legend(orient="top", columns=3)
    )
    peaks = [f"{TIER_NAMES[tier]} {count(view.summary[f'{tier}_peak_records'])}" for tier in tiers]
    words = f"Most records (or requests) inside at once: {', '.join(peaks)}."
    return Chart.of(
        "Where the bytes are", picture, words, frame.pivot(index="time_s", columns="series", values="bytes")[labels]
    )


def losses(view: View) -> list[Chart]:
    """Failed attempts by cause; none when nothing failed."""
    names = {name: label for name, label in CAUSES.items() if np.nansum(view.series[name]) > 0}
    if not names:
        return []
    most = dict(sorted(names.items(), key=lambda item: -np.nansum(view.series[item[0]]))[: len(COLOURS)])
    picture, table = _lines(view, most, "per_s", "failed attempts per second")
    words = f"Attempts failed by: {', '.join(most.values())}."
    return [Chart.of("Failed attempts by cause", picture, words, table)]


def overlay(views: list[View], metric: str, unit: str, log: bool = False) -> Chart:
    """One series of several views over time."""
    parts = [
        pd.DataFrame({"time_s": view.edges[:-1], "series": f"{letter}: {view.order.title}", "value": view.series[metric]})
        for letter, view in zip("ABCDEF", views, strict=False)
    ]
    frame = pd.concat(parts, ignore_index=True)
    if log:
        frame = frame[frame["value"] > 0]
    labels = list(dict.fromkeys(frame["series"]))
    picture = (
        alt.Chart(frame)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("time_s:Q", title="time (s)"),
            y=alt.Y("value:Q", title=unit, scale=alt.Scale(type="log") if log else alt.Scale(zero=True)),
            color=alt.Color("series:N", scale=alt.Scale(domain=labels, range=list(COLOURS)), sort=labels, title=None),
            strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=labels, range=list(DASHES)), sort=labels, title=None),
            tooltip=[alt.Tooltip("series:N"), alt.Tooltip("time_s:Q", format=".1f"), alt.Tooltip("value:Q", format=".4g")],
        )
        .properties(height=HEIGHT)
        .configure_legend(orient="top", columns=1, labelLimit=600)
    )
    words = f"{unit} over time of {len(views)} settings: {'; '.join(labels)}."
    return Chart.of(
        unit[0].upper() + unit[1:],
        picture,
        words,
        frame.pivot(index="time_s", columns="series", values="value")[labels],
    )
