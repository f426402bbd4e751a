"""Why a run went as it did, on a page; each sentence with the line of the scenario behind it."""

from __future__ import annotations

import streamlit as st

from bpsim.dashboard.words import plain
from bpsim.explanation import Explanation

PARTS = {
    "cause": "It began", "spread": "It spread", "stop": "It stopped", "felt": "Users felt", "lost": "Lost", "end": "It ended",
}  # fmt: skip


def tell(story: Explanation) -> None:
    """The headline and every finding."""
    st.markdown(f"**{plain(story.headline)}**")
    lines = [f"- *{PARTS[finding.part]}*: {plain(finding.words)} :gray[{plain(finding.place)}]" for finding in story.findings]
    st.markdown("\n".join(lines))
