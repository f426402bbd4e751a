"""Where it collapses: a grid over one knob or two, a few seeds a cell; a cell opens that run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.runs_page import together
from bpsim.dashboard.sidebar import MAIN
from bpsim.dashboard.view import ALLOWANCE
from bpsim.dashboard.words import plain
from bpsim.document import InvalidScenario
from bpsim.knobs import Option, options
from bpsim.ladder import around, ladder
from bpsim.phase import Phase, explore, runs_of
from bpsim.plots.style import percent
from bpsim.settings import Axis

NUMBERS = ("number", "duration", "size", "rate", "throughput")
MOST_RUNS = 400
NOTHING = "(nothing)"


def show(desk: Desk) -> None:
    """Draw the page."""
    every = {option.path: option for option in options(desk.order.scenario) if option.kind in NUMBERS}
    paths = [path for path in MAIN if path in every] + [path for path in every if path not in MAIN]
    left, right = st.columns(2)
    with left:
        x = _axis("Across", paths, every, 0)
    with right:
        y = _axis("Up", [NOTHING, *paths], every, paths.index("faults.0.factor") + 1 if "faults.0.factor" in paths else 0)
    st.session_state.setdefault("map-seeds", 2)
    seeds = int(st.number_input("Seeds a cell", 1, 20, width=140, key="map-seeds"))
    if x is None or (y is not None and y.path == x.path):
        st.info("Choose two different knobs, and values for them.")
        return
    runs = runs_of((x, y), seeds)
    st.caption(f"{runs} runs of {plain(desk.order.title)}; at most {MOST_RUNS}.")
    key = str((desk.order.key, x, y, seeds))
    kept: dict[str, Phase] = st.session_state.setdefault("map", {})
    if st.button("Draw the map", type="primary", disabled=runs > MOST_RUNS):
        kept.clear()
        found = _explored(desk.order, x, y, seeds)
        if found is not None:
            kept[key] = found
    if key in kept:
        _picture(desk, kept[key])


def _axis(label: str, paths: list[str], every: dict[str, Option], start: int) -> Axis | None:
    path = st.selectbox(label, paths, index=start, format_func=lambda path: MAIN.get(path, path), key=f"axis-{label}")
    if path not in every:
        return None
    steps = ladder(every[path])
    values = st.multiselect(f"Values of {path}", steps, around(every[path]), key=f"values-{label}-{path}-{every[path].value}")
    return Axis(path, tuple(step for step in steps if step in values)) if values else None


def _order(order: Order, x: tuple[str, str], y: tuple[str, str] | None) -> Order:
    changes = dict(order.changes) | dict([x] if y is None else [x, y])
    return replace(order, changes=tuple(changes.items()))


def _explored(order: Order, x: Axis, y: Axis | None, seeds: int) -> Phase | None:
    rows = [(y.path, value) for value in y.values] if y is not None else [None]
    try:
        scenarios = [_order(order, (x.path, value), row).scenario for row in rows for value in x.values]
    except InvalidScenario as error:
        st.error("A cell of this map is not a valid scenario.")
        st.code(str(error), language=None, wrap_lines=True)
        return None
    refusal = next((words for scenario in scenarios if (words := ALLOWANCE.refusal(scenario))), None)
    if refusal is not None:
        st.error(f"Not run: {plain(refusal)}")
        return None
    question, variant = order.file.question, order.variant
    return together(
        "map", lambda place, told: explore(question, variant, scenarios, (x, y), seeds, place=place, on_progress=told)
    )


def _picture(desk: Desk, phase: Phase) -> None:
    import altair as alt

    frame = pd.DataFrame(list(phase.rows()))
    across, up = phase.x.path, phase.y.path if phase.y is not None else "all"
    if phase.y is None:
        frame["all"] = ""
    frame["x"], frame["y"] = frame[across], frame[up]
    pick = alt.selection_point(name="cell", fields=["x", "y"])
    cells = (
        alt.Chart(frame)
        .mark_rect(stroke="white")
        .encode(
            x=alt.X("x:O", sort=list(phase.x.values), title=across, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("y:O", sort=list(phase.y.values)[::-1] if phase.y is not None else None, title=up),
            color=alt.Color(
                "probability:Q", scale=alt.Scale(scheme="cividis", domain=[0, 1]),
                legend=alt.Legend(format=".0%", orient="top", title="share of the seeds that collapse", titleLimit=400),
            ),
            tooltip=["x:N", "y:N", "collapsed:Q", "seeds:Q", "low:Q", "high:Q"],
        )
        .add_params(pick)
        .properties(height=60 + 44 * frame["y"].nunique())
    )  # fmt: skip
    event: Any = st.altair_chart(cells, width="stretch", on_select="rerun", key="phase-map", alt=phase.alt)
    st.caption(f"{plain(phase.alt)} Collapsed: {plain(phase.rule)}.")
    _open(desk, phase, frame, event["selection"].get("cell", []) if event else [])
    with st.expander("The same as a table"):
        st.dataframe(frame.drop(columns=["x", "y"]), hide_index=True)


def _open(desk: Desk, phase: Phase, frame: pd.DataFrame, picked: Any) -> None:
    """A way to the run of a cell: chosen in the picture, or by name with the keyboard."""
    cells = list(zip(frame["x"], frame["y"], strict=True))
    names = [f"{phase.x.path}={x}" + (f", {phase.y.path}={y}" if phase.y is not None else "") for x, y in cells]
    wanted = (picked[0].get("x"), picked[0].get("y")) if picked else cells[0]
    chosen = cells.index(wanted) if wanted in cells else 0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        at = st.selectbox(
            "Cell", range(len(names)), index=chosen, key=f"cell-{chosen}",
            format_func=lambda i: f"{names[i]}: {percent(frame['probability'][i])} collapse",
        )  # fmt: skip
        if st.button("Open this run"):
            x, y = cells[at]
            desk.place(_order(desk.order, (phase.x.path, x), (phase.y.path, y) if phase.y is not None else None))
            st.session_state.go_to = "Watch"
            st.rerun()
