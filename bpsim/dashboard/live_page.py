"""It runs while you break it."""

from __future__ import annotations

from time import monotonic

import streamlit as st
from pydantic import ValidationError

from bpsim.allowance import Refused
from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.player import player
from bpsim.dashboard.words import plain
from bpsim.live import CHAOS, DIALS, Live
from bpsim.metrics import ledger, totals
from bpsim.names import the
from bpsim.output import resolved_scenario
from bpsim.plots.style import count
from bpsim.units import format_seconds

FACTORS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
LEAST_S = 1.0
"""Simulated seconds that are worth a closer look."""
EVERY_S = 1.0
"""Wall seconds from tick to tick."""


def show(desk: Desk) -> None:
    """Draw the page."""
    live = _live(desk)
    if live is None:
        return
    _buttons(desk, live)
    _disturbances(live)
    st.fragment(_ticking, run_every=EVERY_S if live.running else None)()


def _live(desk: Desk) -> Live | None:
    live: Live | None = st.session_state.get("live")
    try:
        order = desk.order
        if live is None:
            live = Live.begin(order.scenario, order.seed, order.variant)
        elif st.session_state.live_key != order.key:
            live = live.again(order.scenario, order.seed, order.variant)
            st.toast("The same history again, under the new settings.")
    except (Refused, ValidationError) as error:
        st.error("This scenario cannot run live.")
        st.code(str(error), language=None, wrap_lines=True)
        return None
    st.session_state.live, st.session_state.live_key = live, order.key
    return live


def _buttons(desk: Desk, live: Live) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Pause" if live.running else "Run", type="primary", disabled=live.ended is not None, key="live-run"):
            live.running = not live.running
            st.rerun()
        if st.button("From the beginning", key="live-again"):
            st.session_state.live = None
            st.rerun()
        closely = st.button("Look at it closely", help="stop, and open what happened so far under Watch")
        if closely and live.now < LEAST_S:
            st.toast("There is nothing to see yet: let it run for a second.")
        elif closely:
            live.running = False
            desk.place(Order(resolved_scenario(live.so_far()), (), "base", desk.order.seed, "live_run"))
            st.session_state.pop("live")
            st.session_state.go_to = "Watch"
            st.rerun()
        st.select_slider("Speed", (0.5, 1, 2, 5, 10), value=5, format_func=lambda x: f"{x:g}×", key="live-speed", width=220)


def _disturbances(live: Live) -> None:
    with st.container(horizontal=True):
        for label, fault in CHAOS.items():
            if live.can(fault["target"]):
                words = f"{fault['kind']} of {the(fault['target'])} for {format_seconds(fault['lasts'])}"
                st.button(
                    label,
                    key=f"chaos-{label}",
                    help=words,
                    on_click=_break,
                    args=(live, label),
                    disabled=live.ended is not None,
                )
    with st.container(horizontal=True):
        for name, (target, label) in DIALS.items():
            if live.can(target):
                key = f"dial-{id(live)}-{name}"
                st.select_slider(
                    label, FACTORS, value=1.0, format_func=lambda x: f"{x:g}×", key=key, width=200,
                    on_change=_dial, args=(live, name, key), disabled=live.ended is not None,
                )  # fmt: skip


def _break(live: Live, label: str) -> None:
    try:
        live.disturb(**CHAOS[label])
    except ValueError as error:
        st.session_state.live_error = str(error)


def _dial(live: Live, name: str, key: str) -> None:
    try:
        live.dial(name, st.session_state[key])
    except ValueError as error:
        st.session_state.live_error = str(error)


def _ticking() -> None:
    """One tick: advance by the wall time since the last one, and show what is new."""
    live: Live | None = st.session_state.get("live")
    if live is None:
        return
    was_running = live.running
    live.keep_up(monotonic(), float(st.session_state.get("live-speed", 5)))
    result = live.result()
    state = "running" if live.running else "paused"
    player(f"live-{id(live)}", live.next_film(result), [], live=state)
    lines = ledger(result)
    shown = {name.replace("_", " "): number for name, number in lines["requests"].items() if number}
    told, total = ", ".join(f"{count(number)} {name}" for name, number in shown.items()), totals(lines)["requests"]
    st.caption(f"At {format_seconds(live.now)}: {count(total)} requests = {told}. The sum is exact.")
    for words in (st.session_state.pop("live_error", None), live.ended):
        if words:
            st.warning(plain(words))
    if live.slow:
        st.caption("Computing does not keep up with that speed.")
    if was_running and not live.running:
        st.rerun()
