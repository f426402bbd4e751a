"""What is wrong with a text, each problem under its line."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from bpsim.dashboard.words import plain


def complain(complaints: Sequence[str]) -> None:
    """Show `document.frame`d problems."""
    for complaint in complaints:
        what, _, under = complaint.partition("\n")
        st.error(plain(what))
        if under:  # not wrapped, so that the caret stays under its letter
            st.code(under, language=None)
