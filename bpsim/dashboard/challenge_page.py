"""Challenges: a broken pipeline, a goal, and whether what you made of it reaches the goal over many seeds."""

from __future__ import annotations

import streamlit as st

from bpsim.dashboard.complaints import complain
from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.edit_page import LETTERS
from bpsim.dashboard.runs_page import together
from bpsim.dashboard.view import ALLOWANCE
from bpsim.dashboard.words import plain
from bpsim.document import InvalidScenario, frame
from bpsim.scenario_file import ScenarioFile, loads
from bpsim.workshop.challenges import Attempt, Challenge, catalogue, check, is_met

SEEDS = 5


def show(desk: Desk) -> None:
    """Draw the page."""
    st.html(LETTERS)
    name = st.selectbox("Challenge", list(catalogue()), format_func=_title, key="challenge")
    challenge = catalogue()[name]
    st.subheader(plain(challenge.question), anchor=False)
    st.markdown("It is solved when, in nearly every seed:\n" + "\n".join(f"- `{goal}`" for goal in challenge.goals))
    key = f"answer-{name}"
    st.session_state.setdefault(key, desk.answers.get(name, challenge.text))
    text = str(st.text_area("The pipeline", height=420, key=key, on_change=_typed, args=(desk, name, key)))
    desk.answers[name] = text
    _buttons(desk, challenge, text, key)
    found = st.session_state.get("attempt", {}).get(name)
    if found is not None and found[0] == text:
        _told(found[1])
    _help(challenge)


def _title(name: str) -> str:
    return f"{name.replace('_', ' ')} ({catalogue()[name].minutes} min)"


def _typed(desk: Desk, name: str, key: str) -> None:
    """Kept as soon as it is typed, whatever is touched next."""
    desk.answers[name] = st.session_state[key]


def _put_back(key: str, text: str) -> None:
    st.session_state[key] = text


def _buttons(desk: Desk, challenge: Challenge, text: str, key: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.session_state.setdefault("challenge-seeds", SEEDS)
        seeds = int(st.number_input("Seeds to hold it against", 1, 50, width=190, key="challenge-seeds"))
        wanted = st.button("Check", type="primary")
        watched = st.button("Watch it", help="open what stands above under Watch")
        st.button(
            "As it was", disabled=text == challenge.text, on_click=_put_back, args=(key, challenge.text),
            help="take back everything you changed here",
        )  # fmt: skip
    if not (wanted or watched):
        return
    mine = _read(challenge, text)
    if mine is None:
        return
    if watched:
        desk.place(Order(text, (), next(iter(mine.variants)), 1, challenge.name))
        st.session_state.go_to = "Watch"
        st.rerun()
    attempt = _checked(challenge, mine, seeds)
    if attempt is not None:
        st.session_state.setdefault("attempt", {})[challenge.name] = (text, attempt)


def _read(challenge: Challenge, text: str) -> ScenarioFile | None:
    """What stands in the editor; None when it is not valid or too large, which is said."""
    try:
        mine = loads(text, (), f"{challenge.name}.yaml")
    except InvalidScenario as error:
        complain([frame(problem, text) for problem in error.problems])
        return None
    refusal = next((words for scenario in mine.variants.values() if (words := ALLOWANCE.refusal(scenario))), None)
    if refusal is not None:
        st.error(f"Not run: {plain(refusal)}")
        return None
    return mine


def _checked(challenge: Challenge, mine: ScenarioFile, seeds: int) -> Attempt | None:
    return together("challenge", lambda place, told: check(challenge, mine, range(1, seeds + 1), place, told))


def _told(attempt: Attempt) -> None:
    """Whether it is solved, and each goal with the first seed that misses it."""
    (st.success if attempt.passed else st.warning)("Solved." if attempt.passed else "Not yet.")
    for what in attempt.forbidden:
        st.error(f"Not yours to change: {plain(what)}")
    for goal in attempt.goals:
        badge = ":blue-badge[✓ met]" if is_met(goal) else ":red-badge[✗ missed]"
        st.markdown(f"{badge} {plain(goal.claim)}, in {goal.passed} of {goal.seeds} seeds")
        for seed, judged in list(goal.failures.items())[:1]:
            st.caption(plain(f"seed {seed}: {judged.numbers}"))


def _help(challenge: Challenge) -> None:
    with st.expander("A hint"):
        st.markdown(plain(challenge.hint))
    with st.expander("One answer, and why"):
        st.code(challenge.answer, language="yaml")
        st.markdown(plain(challenge.why))
