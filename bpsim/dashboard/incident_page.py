"""Incidents: what the monitoring showed; you say which tier it began in, then you see why."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from bpsim.dashboard.desk import Desk
from bpsim.dashboard.story import tell
from bpsim.explanation import Explanation
from bpsim.names import TIER_NAMES
from bpsim.workshop.incident import Incident
from bpsim.workshop.material import incidents

Seen = tuple[tuple[tuple[str, ...], ...], tuple[str, ...], Explanation]
"""The table, the tiers and the story of an incident."""


def show(desk: Desk) -> None:
    """Draw the page."""
    with st.container(horizontal=True):
        name = st.selectbox("Incident", list(incidents()), format_func=str.capitalize, key="incident", width=260)
        day = int(st.number_input("Another day of its kind", 1, 1000, 1, width=190, key="incident-day"))
    (head, *rows), tiers, story = _seen(name, day)
    st.dataframe(pd.DataFrame(rows, columns=list(head)), hide_index=True, height="content")
    st.caption("Of each tier: busy % / blocked % / how many wait before it. Requests a second; p99 to the final outcome.")
    key = f"{name}-{day}"
    with st.form(key):
        said = st.radio("Which tier did it begin in?", tiers, index=None, horizontal=True, format_func=TIER_NAMES.__getitem__)
        if st.form_submit_button("This is my answer", type="primary"):
            if said is None:
                st.warning("Name a tier first.")
            else:
                desk.answers[key] = said
    if key in desk.answers:
        _reveal(desk.answers[key], story)


@st.cache_resource(max_entries=12, show_spinner="The day is gone through once more.")
def _seen(name: str, day: int) -> Seen:
    incident = Incident.of(name, day)
    return tuple(incident.table()), incident.tiers, incident.story


def _reveal(said: str, story: Explanation) -> None:
    mine, root = (TIER_NAMES.get(tier or "", "nobody") for tier in (said, story.root))
    right = said == story.root
    (st.success if right else st.warning)(f"{'Right' if right else 'No'}: you said {mine}, it began in {root}.")
    tell(story)
