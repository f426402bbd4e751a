"""A chart on a page, with its words and its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from bpsim.dashboard.words import plain

if TYPE_CHECKING:
    from bpsim.dashboard.charts import Chart


@st.fragment
def draw(chart: Chart, key: str) -> None:
    """A chart; its table is made when it is asked for (five tables cost a browser more than five charts)."""
    st.subheader(chart.title, anchor=False)
    st.caption(plain(chart.words))
    st.vega_lite_chart(None, chart.picture, width="stretch", alt=f"{chart.title}. {chart.words}")
    if st.toggle("The same as a table", key=f"twin-{key}"):
        st.dataframe(chart.table, height=220)
