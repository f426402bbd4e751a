"""What one may turn: scenario, variant, the knobs that matter, every other option, and the scenario's own text."""

from __future__ import annotations

from typing import Any

import streamlit as st

from bpsim import shipped
from bpsim.dashboard.desk import MOST_SEED, Desk, variants_of
from bpsim.dashboard.words import plain
from bpsim.knobs import DEBLOATING, NONE, TARGET, Option, options
from bpsim.ladder import ladder
from bpsim.names import TIER_NAMES

MAIN: dict[str, str] = {
    "client.arrivals.rate": "Load",
    "client.arrivals.users": "Users",
    "client.timeout": "Client timeout",
    "client.retry": "Retry policy",
    "client.retry.max_attempts": "Attempts at most",
    "faults.0.factor": "Trouble: how much slower",
    "faults.0.lasts": "Trouble: how long",
    "api.workers": "API workers",
    "api.queue.records": "API queue",
    "api.admission": "Admission",
    "producer.buffer.bytes": "Producer buffer",
    "producer.on_full": "Producer buffer full",
    "flink.network_buffers.bytes": "Flink buffers",
    DEBLOATING: "Flink shrinks its buffers (debloating)",
    TARGET: "Debloat target",
    "writer.per_insert.value": "DB: time per insert",
    "writer.per_row.value": "DB: time per row",
}
"""The knobs in view, in order, as far as a scenario has them."""


def show(desk: Desk) -> None:
    """Draw the sidebar."""
    with st.sidebar:
        _choose(desk)
        every = {option.path: option for option in options(desk.order.scenario)}
        st.subheader("Knobs", anchor=False)
        for path, label in MAIN.items():
            if path in every and not (path == TARGET and every[DEBLOATING].value != "true"):
                _knob(desk, every[path], label)
        _changes(desk)
        _more(desk, every)


def _choose(desk: Desk) -> None:
    names = shipped.names()
    known = desk.order.name in names
    choice = st.selectbox(
        "Scenario", names if known else [desk.order.name, *names], index=names.index(desk.order.name) if known else 0,
        key=f"scenario-{desk.generation}", format_func=lambda name: name.replace("_", " "),
    )  # fmt: skip
    if choice in names and choice != desk.order.name:
        desk.choose(choice)
        st.rerun()
    variants = variants_of(desk.order.text)
    if len(variants) > 1:
        variant = st.radio(
            "Variant", variants, index=variants.index(desk.order.variant), key=f"variant-{desk.generation}",
            format_func=lambda name: name.replace("_", " "), horizontal=True,
            help="changes to the scenario that meet the same arrivals and the same demands",
        )  # fmt: skip
        if variant != desk.order.variant:
            desk.take(variant)
            st.rerun()


def _turned(desk: Desk, path: str, key: str) -> None:
    value = st.session_state[key]
    desk.set(path, str(value).lower() if isinstance(value, bool) else str(value).strip() or "null")


def _knob(desk: Desk, option: Option, label: str) -> None:
    """A slider over values near the option's own, or a choice."""
    key = f"knob-{desk.generation}-{option.path}"
    common: dict[str, Any] = {"key": key, "help": option.help, "on_change": _turned, "args": (desk, option.path, key)}
    if option.kind == "choice":
        _choice(option, label, common)
        return
    if option.kind == "switch":
        st.toggle(label, value=option.value == "true", **common)
        return
    steps = st.session_state.setdefault(f"steps-{key}", ladder(option))
    if option.value not in steps:
        steps = st.session_state[f"steps-{key}"] = ladder(option)
    st.select_slider(label, steps, value=option.value, **common)


def _choice(option: Option, label: str, common: dict[str, Any]) -> None:
    names = dict(zip(option.choices, option.labels, strict=True))
    at = option.choices.index(option.value) if option.value in option.choices else 0
    st.selectbox(label, option.choices, index=at, format_func=lambda value: names[value].replace("_", " "), **common)


def _changes(desk: Desk) -> None:
    """What differs from the text of the scenario, and what is wrong with it."""
    if desk.problems:
        st.error("Not applied: the picture shows the last valid settings.")
        st.code("\n".join(str(problem) for problem in desk.problems), language=None, wrap_lines=True)
    if desk.order.smaller:
        st.caption("Smaller or shorter than the file has it, at the same utilisation, so that it answers at once.")
    if not desk.wanted:
        return
    with st.expander(f"{len(desk.wanted)} changes to the file", expanded=bool(desk.problems)):
        for path, value in list(desk.wanted.items()):
            if st.button(f"✕ {plain(path)} \\= {plain(value)}", key=f"unset-{path}", help="take this change back"):
                desk.unset(path)
                st.rerun()


def _more(desk: Desk, every: dict[str, Option]) -> None:
    """Drawn when it is open: dozens of fields nobody sees are work for the browser with every turn of a knob."""
    more = st.expander("More: every option", key="more", on_change="rerun")
    if not more.open:
        return
    with more:
        tiers = list(dict.fromkeys(path.split(".")[0] for path in every))
        tier = st.selectbox("Part", tiers, format_func=lambda name: TIER_NAMES.get(name, name.capitalize()), key="more-part")
        seed = st.number_input(
            "Seed", 0, MOST_SEED, desk.order.seed, help="other random numbers: other arrivals, other service times"
        )
        if seed != desk.order.seed:
            desk.reseed(int(seed))
            st.rerun()
        for path, option in every.items():
            if path.split(".")[0] == tier and path not in MAIN:
                _field(desk, option)


def _field(desk: Desk, option: Option) -> None:
    """An option that is typed; what is not valid stays in the field and is not applied."""
    key, label = f"more-{desk.generation}-{option.path}", option.path.split(".", 1)[-1]
    common: dict[str, Any] = {"key": key, "help": option.help, "on_change": _turned, "args": (desk, option.path, key)}
    if option.kind == "choice":
        _choice(option, label, common)
    elif option.kind == "switch":
        st.toggle(label, value=option.value == "true", **common)
    else:
        shown = desk.wanted.get(option.path, option.value)
        st.text_input(label, value="" if shown in (NONE, "null") else shown, placeholder=NONE, max_chars=200, **common)
