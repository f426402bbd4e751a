"""The tray: up to four settings on the same arrivals, side by side, and how sure the differences are."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from bpsim.comparison import Comparison, hold_against
from bpsim.dashboard.chart_page import draw
from bpsim.dashboard.desk import Desk, Order, variants_of
from bpsim.dashboard.runs_page import begin, judge, obtain, together
from bpsim.dashboard.study import studies
from bpsim.dashboard.view import View
from bpsim.dashboard.words import plain
from bpsim.metrics import METRICS
from bpsim.plots.style import count, percent, seconds
from bpsim.verdict import Verdict

MOST = 4
LETTERS = "ABCD"
ROWS = {
    "success_share": percent, "after_goodput_per_s": lambda x: f"{x:,.1f}", "amplification": lambda x: f"{x:.2f}",
    "latency_final_s_p99": seconds, "recovery_time_s": seconds, "wasted_share": percent, "delivered": count,
    "duplicates": count, "evicted": count, "acked_then_lost": count,
}  # fmt: skip
SEEN = (("goodput_per_s", "answered in time, per second", False), ("latency_final_s_p99", "p99 to the outcome, s", True))


def show(desk: Desk) -> None:
    """Draw the page."""
    _tray(desk)
    orders = [replace(order, seed=desk.order.seed) for order in desk.tray]
    found = _found(orders)
    if len(orders) < 2:
        st.info("Two settings make a comparison: put some into the tray.")
    if len(found) < 2 or len(found) < len(orders):
        return
    _table(found)
    _how_sure({letter: view.order for letter, view in zip(LETTERS, found, strict=False)})
    from bpsim.dashboard.charts import overlay

    for metric, unit, log in SEEN:
        draw(overlay(found, metric, unit, log), f"compare-{metric}")


def _found(orders: list[Order]) -> list[View]:
    """The view of each that can be run, begun all at once."""
    with ExitStack() as stack:
        each = [stack.enter_context(studies().watch(order)) for order in orders]
        for study in each:
            begin(study)
        views = [obtain(study, f"{letter}: {study.order.variant}") for letter, study in zip(LETTERS, each, strict=False)]
        return [judge(study, view) for study, view in zip(each, views, strict=True) if view is not None]


def _tray(desk: Desk) -> None:
    with st.container(horizontal=True):
        full = len(desk.tray) >= MOST
        if st.button("Put what is set now into the tray", disabled=full or desk.order in desk.tray):
            desk.tray.append(desk.order)
            st.rerun()
        variants = variants_of(desk.order.text)
        if len(variants) > 1 and st.button("Every variant of this scenario"):
            desk.tray = [order for name in variants[:MOST] if _runs(order := replace(desk.order, variant=name))]
            st.rerun()
        if desk.tray and st.button("Empty the tray"):
            desk.tray = []
            st.rerun()
    for letter, order in zip(LETTERS, list(desk.tray), strict=False):
        if st.button(f"✕ {letter}: {plain(order.title)}", key=f"tray-{letter}", help=f"take {letter} out of the tray"):
            desk.tray.remove(order)
            st.rerun()


def _runs(order: Order) -> bool:
    from bpsim.document import InvalidScenario

    try:
        order.scenario  # noqa: B018
    except InvalidScenario:
        return False
    return True


def _table(views: list[View]) -> None:
    columns = {
        letter: [_state(view), *(_shown(view, name) for name in ROWS)] for letter, view in zip(LETTERS, views, strict=False)
    }
    frame = pd.DataFrame(columns, index=pd.Index(["verdict", *(METRICS[name] for name in ROWS)], name="on the same arrivals"))
    st.table(frame)


def _state(view: View) -> str:
    return view.verdict.state if isinstance(view.verdict, Verdict) else "stopped" if view.stopped else "not judged"


def _how_sure(orders: dict[str, Order]) -> None:
    """The differences over several seeds, with intervals."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.session_state.setdefault("comparison-seeds", 5)
        why = "each is run with every setting: differences are paired"
        seeds = int(st.number_input("Seeds", 2, 50, width=120, key="comparison-seeds", help=why))
        wanted = st.button(f"How sure is that? Run {seeds} seeds", type="primary")
    key = (seeds, *(order.key for order in orders.values()))
    kept: dict[str, Any] = st.session_state.setdefault("comparison", {})
    if wanted:
        kept.clear()
        kept[str(key)] = _held_against(orders, seeds)
    found: Comparison | None = kept.get(str(key))
    if found is None:
        return
    for sentence in found.words:
        st.markdown(f"- {plain(sentence)}")
    st.table(found.table.map(lambda cell: plain(str(cell))))
    st.caption(plain(found.note))


def _held_against(orders: dict[str, Order], seeds: int) -> Comparison | None:
    scenarios = {letter: order.scenario for letter, order in orders.items()}
    first, chosen = next(iter(scenarios)), tuple(range(1, seeds + 1))
    return together("comparison", lambda place, told: hold_against(scenarios, first, chosen, place=place, on_progress=told))


def _shown(view: View, name: str) -> str:
    value = view.summary[name]
    return str(ROWS[name](value)) if value == value else "–"
