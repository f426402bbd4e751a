"""The scenario file itself: typed or opened, checked, with every problem under its line."""

from __future__ import annotations

import streamlit as st

from bpsim.dashboard.complaints import complain
from bpsim.dashboard.desk import Desk
from bpsim.dashboard.upload import opened
from bpsim.dashboard.words import plain
from bpsim.document import MAX_BYTES, InvalidScenario

LETTERS = "<style>[data-testid=stTextArea] textarea { font-family: monospace; white-space: pre; overflow-x: auto; }</style>"


def show(desk: Desk) -> None:
    """Draw the page."""
    st.html(LETTERS)
    key = f"draft-{desk.generation}"
    st.text_area("YAML", desk.draft, height=460, key=key, label_visibility="collapsed", on_change=_typed, args=(desk, key))
    with st.container(horizontal=True):
        if st.button("Check and apply", type="primary") and desk.apply(desk.draft):
            st.toast("Applied: see Watch.")
            st.rerun()
        if desk.aside is not None:
            st.button("Back to what you typed before", on_click=desk.back, help="another text has taken its place here")
    complain(desk.complaints)
    if desk.complaints:
        st.caption(f"{len(desk.complaints)} to mend; nothing was applied, and nothing you typed is lost.")
    _upload(desk)


def _typed(desk: Desk, key: str) -> None:
    """Kept as soon as it is typed, whatever is touched next."""
    desk.draft = st.session_state[key]


def _upload(desk: Desk) -> None:
    file = st.file_uploader(
        "Or open a scenario, a flink-conf.yaml or config.yaml, or a producer's .properties", ["yaml", "yml", "properties"],
        max_upload_size=1, key=f"upload-{desk.generation}",
        help="a scenario takes the place of this one; a configuration is laid over it, as changes that can be taken back",
    )  # fmt: skip
    for remark in st.session_state.pop("remarks", ()):
        st.warning(plain(remark))
    if file is None or st.session_state.get("uploaded") == file.file_id:
        return
    st.session_state.uploaded = file.file_id
    text = file.getvalue()[: MAX_BYTES + 1].decode("utf-8-sig", errors="replace")
    if not _open(desk, file.name, text):
        desk.generation += 1  # so that the editor shows what was opened
    st.rerun()


def _open(desk: Desk, name: str, text: str) -> bool:
    """Take the text of a file, if it is valid; what is wrong is among the complaints."""
    found = None
    try:
        found = opened(name, text, desk.order)
        if found is None:
            desk.set_aside()
            return desk.apply(text)
        desk.lay(found.changes)
    except InvalidScenario as error:
        desk.complaints = [str(found.placed(problem) if found else problem) for problem in error.problems]
        return False
    desk.complaints = []
    st.session_state.remarks = [str(remark) for remark in found.remarks]
    st.toast(f"{len(found.changes)} options laid over the scenario: see the changes in the sidebar.")
    return True
