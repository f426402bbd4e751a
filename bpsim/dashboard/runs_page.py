"""Getting a view: from the shelf, or computed while progress is shown and can be stopped."""

from __future__ import annotations

import streamlit as st

from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.view import Refused, Shelf, Simulated, View, judged, look, simulate
from bpsim.dashboard.words import plain


@st.cache_resource
def shelf() -> Shelf:
    """The views of everybody."""
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
    try:
        run = _simulate(order, what)
    except Refused as error:
        st.error(f"Not run: {plain(str(error))}")
        return None
    st.session_state.run = run
    return shelf().put(look(order, run))


def _simulate(order: Order, what: str) -> Simulated:
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, text=f"simulating {plain(what or order.variant)}")
        st.button("Stop", key=f"stop-{order.key}", on_click=_stop, args=(order.key,))

    def told(said: str, share: float) -> None:
        bar.progress(share, text=f"{said} {plain(what or order.variant)}")

    run = simulate(order, told)
    place.empty()
    return run


def _stop(key: str) -> None:
    st.session_state.stopped = key


def result_of(order: Order) -> Simulated:
    """The run of `order` with its tables: this visitor's last one, or the same made again."""
    last: Simulated | None = st.session_state.get("run")
    return last if last is not None and last.key == order.key else simulate(order)


def judge(view: View) -> View:
    """`view` with its verdict."""
    if view.verdict is not None or view.stopped is not None:
        return view
    bar = st.empty()
    run = result_of(view.order)

    def told(said: str, share: float) -> None:
        bar.caption(f"Judging: {said}, {share:.0%} done")

    found = judged(view, run, told)
    bar.empty()
    return shelf().put(found)
