"""Bet before you see: a prediction is stored first, then shown beside what happened."""

from __future__ import annotations

from typing import Any

import streamlit as st

from bpsim.dashboard.desk import Desk
from bpsim.dashboard.view import View
from bpsim.dashboard.words import plain
from bpsim.names import TIER_NAMES
from bpsim.verdict import Verdict

NOBODY = "nobody"
ENDS = {"well": "all is well in the end", "badly": "it is still down"}


def is_open(desk: Desk) -> bool:
    """Whether a bet on what is on the desk is still to be placed; its question may tell how it ends."""
    return bool(st.session_state.get("betting")) and desk.order.key not in desk.bets


def settled(desk: Desk, view: View) -> bool:
    """Whether `view` may be seen: nobody wants to bet, or the bet is placed."""
    st.toggle("Bet before you see", key="betting", help="predict first; those who do remember more")
    if not is_open(desk):
        return True
    with st.form(f"bet-{view.key}"):
        st.markdown("**What will happen?** Your answer stays with you.")
        first = st.radio(
            "Who is under lasting pressure first?", [*view.tiers, NOBODY], key="bet-first", horizontal=True, index=None,
            format_func=lambda tier: TIER_NAMES.get(tier, tier),
        )  # fmt: skip
        end = st.radio("How does it end?", list(ENDS), key="bet-end", horizontal=True, index=None, format_func=ENDS.__getitem__)
        why = st.text_input("Why?", max_chars=300, key="bet-why", placeholder="because …")
        left, right = st.columns(2)
        placed = left.form_submit_button("Place the bet and reveal", type="primary")
        skipped = right.form_submit_button("Skip")
    if skipped:
        desk.bets[view.key] = {}
        st.rerun()
    if placed and (first is None or end is None):
        st.warning("Two answers are needed: who, and how it ends.")
    elif placed:
        desk.bets[view.key] = {"first": str(first), "end": str(end), "why": why or ""}
        st.rerun()
    return False


def reveal(place: Any, desk: Desk, view: View) -> None:
    """The bet beside what happened."""
    bet = desk.bets.get(view.key)
    if not bet or not isinstance(view.verdict, Verdict) or not st.session_state.get("betting"):
        return
    first, end = view.first or NOBODY, "well" if view.verdict.ends_well else "badly"
    with place.container(border=True):
        st.markdown("**Your bet**")
        for what, said, was in (
            ("first under pressure", TIER_NAMES.get(bet["first"], bet["first"]), TIER_NAMES.get(first, first)),
            ("in the end", ENDS[bet["end"]], ENDS[end]),
        ):
            sign = "✓ right" if said == was else "✗ otherwise"
            st.markdown(f"{what}: you said **{said}**, it was **{was}** ({sign})")
        if bet["why"]:
            st.caption(f"You thought: {plain(bet['why'])}")
