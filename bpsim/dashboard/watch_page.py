"""One run, computed to its end: verdict, pipeline, key figures, charts, ledger, downloads."""

from __future__ import annotations

import json
from time import monotonic, sleep
from typing import Any, TypeVar

import pandas as pd
import streamlit as st

from bpsim.dashboard import bet, jobs
from bpsim.dashboard.chart_page import draw
from bpsim.dashboard.desk import Desk
from bpsim.dashboard.player import player
from bpsim.dashboard.runs_page import judge, obtain
from bpsim.dashboard.share import NoLink, link
from bpsim.dashboard.story import tell
from bpsim.dashboard.study import Study, studies
from bpsim.dashboard.view import View
from bpsim.dashboard.words import plain
from bpsim.metrics import totals
from bpsim.output import resolved_scenario
from bpsim.plots.style import count, percent, seconds
from bpsim.runs import Job, PlaceFailed
from bpsim.verdict import Collapse, Verdict

T = TypeVar("T")
HEAD_START_S, FIRST_S, WAVE_S = 0.3, 0.5, 0.2
"""Wall seconds that the browser has to draw what is above the charts: whatever it gets at once it shows at once, when the last
chart is done. On its first page it has to load first what it draws with."""
COLOURS = {
    "healthy": "blue", "recovered": "blue", "degraded": "orange", "metastable": "red", "overloaded": "red", "crashed": "red",
    "inconclusive": "gray",
}  # fmt: skip
FIGURES = (
    ("Succeeded", "success_share", percent, "of the requests that ended"),
    ("Attempts per request", "amplification", lambda x: f"{x:.2f}", "what retries make of the load"),
    ("Slowest 1 %", "latency_final_s_p99", seconds, "time to the final outcome, from the intended first send"),
    ("Work for nobody", "wasted_share", percent, "of the attempts served, those nobody waited for any more"),
    (
        "Recovery",
        "recovery_time_s",
        seconds,
        "from the end of the last fault until requests keep succeeding; –: never, or no fault",
    ),
)


def show(desk: Desk) -> None:
    """Draw the page."""
    with studies().watch(desk.order) as study:
        view = obtain(study)
        if view is not None and bet.settled(desk, view):
            view = _run(desk, study, view)
            _take_away(desk, view)
            st.session_state.welcomed = True


def _run(desk: Desk, study: Study, view: View) -> View:
    """All that is to be seen; returns it judged."""
    verdict = st.empty()
    _say(verdict, view)
    for warning in [view.stopped, *view.warnings]:
        if warning:
            st.warning(plain(warning))
    if view.stopped is not None and st.button("Run it again", help="it may come further when the machine has less to do"):
        studies().shelf.forget(view.key)
        st.rerun()
    player(view.key, view.film, view.explanation.bookmarks, start_s=view.faults[0].begin if view.faults else 0.0)
    _figures(view)
    revealed = st.empty()
    bet.reveal(revealed, desk, view)
    st.subheader("Why", anchor=False)
    tell(view.explanation)
    if isinstance(view.verdict, Collapse):
        view = judge(study, view)
        _say(verdict, view)
        bet.reveal(revealed, desk, view)
    seen = monotonic()
    charts = view.charts
    sleep(max(seen + _head_start_s() - monotonic(), 0.0))
    for number, chart in enumerate(charts):
        if number == 1:  # the wave is seen while the others come
            sleep(WAVE_S)
        draw(chart, f"watch-{number}")
    _ledger(view)
    return view


def _head_start_s() -> float:
    return HEAD_START_S if st.session_state.get("welcomed") else FIRST_S


def _say(place: Any, view: View) -> None:
    """The verdict, or that it is still being looked for."""
    with place.container():
        if isinstance(view.verdict, Verdict):
            _verdict(view.verdict)
        elif view.verdict is not None:
            st.markdown(":gray-badge[judging] Running it once more without its cause, to tell why it ended so.")


def _verdict(verdict: Verdict) -> None:
    st.markdown(f":{COLOURS[verdict.state]}-badge[{verdict.state}] {plain(verdict.words)}")


def _figures(view: View) -> None:
    with st.container(horizontal=True):
        for label, name, show_number, why in FIGURES:
            value = view.summary[name]
            st.metric(label, show_number(value) if value == value else "–", help=why, border=True)


def _ledger(view: View) -> None:
    """Where everything ended; each column of the ledger sums to its total. As Markdown: what Streamlit shows tables with is
    700 kB more for the browser to read."""
    st.subheader("The ledger: where everything ended", anchor=False)
    for column, (name, lines) in zip(st.columns(len(view.ledger)), view.ledger.items(), strict=True):
        rows = [f"| {plain(line.replace('_', ' '))} | {number:,} |" for line, number in lines.items() if number]
        column.markdown("\n".join([f"| {plain(name)} | count |", "|---|---:|", *rows]))
    total = ", ".join(f"{count(number)} {name}" for name, number in totals(view.ledger).items())
    st.caption(f"In all {total}; the sums are exact, or the run would have failed.")


def _take_away(desk: Desk, view: View) -> None:
    st.subheader("Take it away", anchor=False)
    name = view.order.name
    with st.container(horizontal=True):
        if st.button("Put into the compare tray", disabled=view.order in desk.tray or len(desk.tray) >= 4):
            desk.tray.append(view.order)
            st.rerun()
        st.download_button(
            "Scenario (YAML)",
            lambda: resolved_scenario(view.order.scenario),
            f"{name}.yaml",
            "application/yaml",
            on_click="ignore",
        )
        st.download_button(
            "Summary (JSON)", lambda: json.dumps(view.document, indent=1, allow_nan=False), f"{name}.json",
            "application/json", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Series (CSV)",
            lambda: pd.DataFrame(view.series).to_csv(index=False),
            f"{name}.csv",
            "text/csv",
            on_click="ignore",
        )
        st.download_button(
            "Report (HTML)",
            lambda: _made(jobs.report, view.order, view.document),
            f"{name}.html",
            "text/html",
            on_click="ignore",
        )
        st.download_button(
            "The wave (PNG)",
            lambda: _made(jobs.picture, view.order),
            f"{name}_wave.png",
            "image/png",
            on_click="ignore",
        )
    _link(view)


def _made(job: Job[T], *arguments: Any) -> T | str:
    """What it makes; why not, when its process was killed (a download has nowhere else to say it)."""
    try:
        return studies().workers.begin(job, *arguments).result()
    except PlaceFailed as error:
        return f"Not made: {error}. Press the button again."


def _link(view: View) -> None:
    """Only when it is asked for: what shows it is 1.5 MB for the browser to read."""
    if view.stopped is not None:
        st.caption("There is no link to this result: when a run is stopped, what it has come to depends on the machine.")
        return
    share = st.expander("Share: a link to this very result", key="share", on_change="rerun")
    if not share.open:
        return
    with share:
        try:
            base = str(st.context.url or "").split("?")[0]
            st.code(f"{base}?s={link(view.order)}", language=None, wrap_lines=True)
        except NoLink as error:
            st.caption(plain(str(error)))
        st.caption(f"Result: `{view.fingerprint}`, seed {view.order.seed}")
