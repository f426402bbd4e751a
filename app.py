"""The dashboard: choose a scenario, change its seed, run it, see what came out. `streamlit run app.py`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from bpsim.experiment import Progress, run_variants
from bpsim.plots import FIGURES, alt_text
from bpsim.scenario_file import load

SCENARIOS = {path.stem: path for path in sorted(Path(__file__).with_name("scenarios").glob("*.yaml"))}

st.set_page_config(page_title="bpsim", layout="wide")
name = st.sidebar.selectbox("Scenario", list(SCENARIOS))
seed = st.sidebar.number_input("Seed", min_value=0, value=1)
file = load(SCENARIOS[name])
st.title(file.question)

if st.sidebar.button("Run", type="primary"):
    bar = st.progress(0.0)

    def show(where: Progress) -> None:
        bar.progress((where.number + where.now_s / where.duration_s) / where.variants, where.variant)

    experiment = run_variants(file, int(seed), on_progress=show)
    bar.empty()
    for verdict in experiment.judged:
        (st.success if verdict.passed else st.error)(verdict.claim)
    for figure, draw in FIGURES.items():
        st.pyplot(draw(experiment.results))
        st.caption(alt_text(figure, experiment.results))
    st.dataframe(experiment.summaries)
else:
    st.code(SCENARIOS[name].read_text(encoding="utf-8"), language="yaml")
