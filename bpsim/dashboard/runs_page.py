"""Getting a view: from the shelf, or computed while progress is shown and can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TypeVar

import streamlit as st

from bpsim.allowance import Refused
from bpsim.dashboard.desk import Order
from bpsim.dashboard.study import Progress, Study, studies
from bpsim.dashboard.view import View
from bpsim.dashboard.words import plain
from bpsim.runs import Place, PlaceFailed, RunFailed
from bpsim.runs import Progress as Done

T = TypeVar("T")
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
    place = st.empty()
    if study.known is None:
        with place.container():
            bar = st.progress(0.0, text=f"simulating {plain(what or order.variant)}")
            st.button("Stop", key=f"stop-{order.key}", on_click=_stop, args=(order.key,))
    told = _now_and_then(lambda said, share: bar.progress(share, text=f"{said} {plain(what or order.variant)}"))
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


def _now_and_then(tell: Callable[[str, float], object]) -> Progress:
    """`tell`, called every `TOLD_S` at most."""
    last = monotonic()

    def told(said: str, share: float) -> None:
        nonlocal last
        if monotonic() - last >= TOLD_S:
            tell(said, share)
            last = monotonic()

    return told


def judge(study: Study, view: View) -> View:
    """`view` with its verdict; without one when its controls could not be run, which is said."""
    bar = st.empty()
    told = _now_and_then(lambda said, share: bar.caption(f"Judging: {said}, {share:.0%} done"))
    try:
        view = study.judged(told)
    except PlaceFailed as error:
        bar.error(f"Not judged: {plain(str(error))}")
        return view
    bar.empty()
    return view


def together(what: str, make: Callable[[Place, Done], T]) -> T | None:
    """What `make` makes of many runs, of which progress is shown and which may be stopped; None when they failed, which is
    said."""
    shown = st.empty()
    with shown.container():
        bar = st.progress(0.0, text="running")
        st.button("Stop", key=f"stop-{what}", help="what is done so far is dropped")

    def told(done: int, of: int) -> None:
        bar.progress(done / max(of, 1), text=f"{done} of {of} runs")

    try:
        found = make(studies().workers.place, told)
    except (PlaceFailed, RunFailed) as error:
        shown.error(f"Not run: {plain(str(error))}")
        return None
    shown.empty()
    return found
