"""Getting a view: from the shelf, or computed while progress is shown and can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import ParamSpec, TypeVar

import streamlit as st

from bpsim.allowance import Refused
from bpsim.dashboard.desk import Order
from bpsim.dashboard.study import Study, studies
from bpsim.dashboard.view import ALLOWANCE, View
from bpsim.dashboard.words import plain
from bpsim.runs import Place, PlaceFailed, RunFailed
from bpsim.runs import Progress as Done

T = TypeVar("T")
P = ParamSpec("P")
TOLD_S = 1.0
"""Wall seconds between two words of progress: with each the browser begins anew to draw what is not drawn yet, so that figures
which had arrived were seen only when the judging was over."""


def begin(study: Study) -> None:
    """Begin it, unless the visitor has stopped it."""
    if not _stopped(study.order):
        study.begin()


def obtain(study: Study, what: str = "") -> View | None:
    """The view, not necessarily judged yet; None when it was refused, or stopped by the visitor."""
    order = study.order
    if study.known is None and _stopped(order):
        st.info("Stopped by you. Turn a knob, or run it again.")
        if st.button("Run it again", key=f"again-{order.key}"):
            st.session_state.stopped = None
            st.rerun()
        return None
    place, bar = st.empty(), st.empty()
    if study.known is None:
        with place.container():
            bar = st.progress(0.0, text=f"simulating {plain(what or order.variant)}")
            st.button("Stop", key=f"stop-{order.key}", on_click=_stop, args=(order.key,))

    @_now_and_then
    def told(said: str, share: float) -> None:
        bar.progress(share, text=f"{said} {plain(what or order.variant)}")

    try:
        view = study.view(told)
    except (Refused, PlaceFailed) as error:
        place.error(f"Not run: {plain(str(error))}")
        return None
    place.empty()
    return view


def _stopped(order: Order) -> bool:
    return bool(st.session_state.get("stopped") == order.key)


def _stop(key: str) -> None:
    st.session_state.stopped = key


def _now_and_then(tell: Callable[P, object]) -> Callable[P, None]:
    """`tell`, called every `TOLD_S` at most."""
    last = monotonic()

    def told(*said: P.args, **more: P.kwargs) -> None:
        nonlocal last
        if monotonic() - last >= TOLD_S:
            tell(*said, **more)
            last = monotonic()

    return told


def judge(study: Study, view: View) -> View:
    """`view` with its verdict; without one when the visitor stops it, or its controls could not be run, which is said."""
    key = f"judging-{view.key}"
    if st.session_state.get("unjudged") == key:
        st.caption("Not judged: stopped by you.")
        return view
    place, line = st.empty(), None

    @_now_and_then
    def told(said: str, share: float) -> None:
        nonlocal line
        if line is None:
            with place.container(horizontal=True):
                line = st.empty()
                st.button("Stop judging", key=key, on_click=_unjudged, args=(key,))
        line.caption(f"Judging: {said}, {share:.0%} done")

    try:
        view = study.judged(told)
    except PlaceFailed as error:
        place.error(f"Not judged: {plain(str(error))}")
        return view
    place.empty()
    return view


def _unjudged(key: str) -> None:
    st.session_state.unjudged = key


def together(what: str, make: Callable[[Place, Done], T]) -> T | None:
    """What `make` makes of many runs, of which progress is shown and which may be stopped; None when they failed or are too
    large, which is said."""
    shown = st.empty()
    with shown.container():
        bar = st.progress(0.0, text="running")
        st.button("Stop", key=f"stop-{what}", help="what is done so far is dropped")
    done, of = 0, 1

    def told(now: int, whole: int) -> None:
        nonlocal done, of
        done, of = now, max(whole, 1)
        look(0.0)

    def look(under_way: float) -> None:
        bar.progress(min((done + under_way) / of, 1.0), text=f"{done} of {of} runs")

    try:
        found = make(partial(studies().workers.place, allowance=ALLOWANCE, look=_now_and_then(look)), told)
    except (PlaceFailed, RunFailed) as error:
        shown.error(f"Not run: {plain(str(error))}")
        return None
    shown.empty()
    return found
