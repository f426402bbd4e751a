"""Getting a view: from the shelf, or computed while progress is shown and can be stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from time import monotonic

import streamlit as st

from bpsim.allowance import Refused
from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.view import Progress, Shelf, Simulated, View, judged, look, simulate
from bpsim.dashboard.words import plain

TOLD_S = 1.0
"""Wall seconds between two words of progress: with each the browser begins anew to draw what is not drawn yet, so that figures
which had arrived were seen only when the judging was over."""
WAIT_S = 0.1
SWITCH_S = 1e-3
"""How long a run may keep Python to itself: with the usual 5 ms, and some 160 files to a page, whoever comes while somebody
else's run is computed waits a second longer for the page."""


@cache
def shelf() -> Shelf:
    """The views of everybody who asks this server."""
    sys.setswitchinterval(SWITCH_S)
    return Shelf()


def obtain(desk: Desk, order: Order, what: str = "") -> View | None:
    """The view of `order`, not necessarily judged yet; None when it was refused, or stopped by the visitor."""
    found = shelf().get(order.key)
    if found is not None:
        return found
    if st.session_state.get("stopped") == order.key:
        st.info("Stopped by you. Turn a knob, or run it again.")
        if st.button("Run it again", key=f"again-{order.key}"):
            st.session_state.stopped = None
            st.rerun()
        return None
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, text=f"simulating {plain(what or order.variant)}")
        st.button("Stop", key=f"stop-{order.key}", on_click=_stop, args=(order.key,))
    told = _now_and_then(lambda said, share: bar.progress(share, text=f"{said} {plain(what or order.variant)}"))
    try:
        with _turn(order.key, told):
            found = shelf().get(order.key) or _computed(order, told)
    except Refused as error:
        place.error(f"Not run: {plain(str(error))}")
        return None
    place.empty()
    return found


def _computed(order: Order, told: Progress) -> View:
    run = simulate(order, told)
    st.session_state.run = run
    return shelf().put(look(order, run))


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


@contextmanager
def _turn(what: str, told: Progress) -> Iterator[None]:
    """Wait for whoever computes `what` already; a rerun of the page ends the waiting."""
    turn = shelf().turn(what)
    while not turn.lock.acquire(timeout=WAIT_S):
        told("already being computed:", 0.0)
    try:
        yield
    finally:
        turn.lock.release()


def result_of(order: Order) -> Simulated:
    """The run of `order` with its tables: this visitor's last one, or the same made again."""
    last: Simulated | None = st.session_state.get("run")
    return last if last is not None and last.key == order.key else simulate(order)


def judge(view: View) -> View:
    """`view` with its verdict."""
    if view.verdict is not None or view.stopped is not None:
        return view
    bar = st.empty()
    told = _now_and_then(lambda said, share: bar.caption(f"Judging: {said}, {share:.0%} done"))
    with _turn(_judging(view.key), told):
        found = shelf().get(view.key) or view
        if found.verdict is None:
            found = shelf().put(judged(found, result_of(view.order), told))
    bar.empty()
    return found


def _judging(key: str) -> str:
    return f"{key} judged"


def prepare(order: Order) -> None:
    """Compute the view of `order`, verdict and all, before anybody asks for it, and import what its charts need. Nothing is
    shown."""
    silent: Progress = lambda said, share: None  # noqa: E731
    with _turn(_judging(order.key), silent):
        with _turn(order.key, silent):
            run = simulate(order)
            view = shelf().put(look(order, run))
        shelf().put(judged(view, run))
    import bpsim.dashboard.charts  # noqa: F401
