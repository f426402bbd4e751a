"""The page: what is on it, in which order. State is per visitor; what visitors share never changes (`Shelf`)."""

from __future__ import annotations

import streamlit as st

from bpsim.dashboard import (
    bet,
    challenge_page,
    compare_page,
    edit_page,
    incident_page,
    live_page,
    map_page,
    sidebar,
    watch_page,
)
from bpsim.dashboard.desk import Desk
from bpsim.dashboard.share import NoLink, order_of
from bpsim.dashboard.words import plain
from bpsim.document import InvalidScenario

SECTIONS = {
    "Watch": watch_page.show,
    "Live": live_page.show,
    "Compare": compare_page.show,
    "Map": map_page.show,
    "Edit": edit_page.show,
    "Challenges": challenge_page.show,
    "Incidents": incident_page.show,
}
ABOUT = {
    "Watch": "One run, computed to its end. Play it, scrub through it, turn a knob and see it answer.",
    "Live": "It runs while you break it: press a button, drag a dial.",
    "Compare": "The same arrivals, handled differently: what changes, and how sure that is.",
    "Edit": "The scenario file itself: type or open one. What is wrong is shown under its line; only what is valid is applied.",
    "Challenges": "A broken pipeline and a goal: change what may be changed, and hold it against many seeds.",
    "Incidents": "What the monitoring showed, and nothing else. Say which tier it began in; then see why.",
    "Map": "Where it collapses: one knob or two, every combination, several seeds each. Choose a cell to open that run.",
}
OWN = {"Challenges": "Mend a broken pipeline", "Incidents": "What happened that day?"}
"""Sections that are not about the scenario on the desk, so that its knobs would turn nothing."""

KEPT = ("betting", "challenge-seeds", "comparison-seeds", "map-seeds")
"""What was set stays, though its section is left: Streamlit forgets what is not drawn, unless it is set anew."""


def show() -> None:
    """Draw everything; Streamlit calls this again after every touch."""
    st.set_page_config(page_title="bpsim: backpressure, simulated", page_icon="🌊", layout="wide")
    desk = desk_of_session()
    for key in KEPT:
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]
    section = st.session_state.pop("go_to", None) or st.session_state.get("section") or "Watch"
    st.session_state.section = section
    if section in OWN:
        st.header(OWN[section], anchor=False)
    else:
        sidebar.show(desk)
        told = section != "Watch" or not bet.is_open(desk)
        st.header(plain(desk.order.file.question if told else desk.order.name.replace("_", " ").capitalize()), anchor=False)
    st.segmented_control("What to do", list(SECTIONS), required=True, key="section", label_visibility="collapsed")
    st.caption(ABOUT[section])
    SECTIONS[section](desk)


def desk_of_session() -> Desk:
    """This visitor's desk; a new one has the shipped default on it, or what the link they came with says."""
    if "desk" not in st.session_state:
        st.session_state.desk = Desk.opened()
        shared = st.query_params.get("s")
        if shared:
            _open_link(st.session_state.desk, shared)
    desk: Desk = st.session_state.desk
    return desk


def _open_link(desk: Desk, text: str) -> None:
    try:
        desk.place(order_of(text))
    except NoLink as error:
        st.warning(f"The link was not opened: {plain(str(error))}. Here is the usual start instead.")
    except (InvalidScenario, KeyError) as error:
        st.warning("The link holds a scenario that is not valid here. Here is the usual start instead.")
        st.code(str(error), language=None)
