"""The pipeline player: a component of our own, drawn on a canvas; its three files are read once and sent inline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from bpsim.dashboard.words import BOOKMARKS
from bpsim.metrics.bookmarks import Bookmark

FOLDER = Path(__file__).parent


@cache
def _component() -> Any:
    html, css, js = ((FOLDER / f"player.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("bpsim_player", html=html, css=css, js=js)


def player(key: str, film: str, bookmarks: Sequence[Bookmark], live: str | None = None, start_s: float = 0.0) -> None:
    """Show `film` (JSON). `live` is `running` or `paused` while it grows; another `key` is another film."""
    marks = [
        {"name": mark.name, "time_s": mark.time_s, "words": mark.words, "label": BOOKMARKS.get(mark.name, mark.name)}
        for mark in bookmarks
    ]
    data = {"key": key, "film": film, "bookmarks": marks, "live": live, "start": start_s, "autoplay": live is None}
    _component()(key=f"player-{'live' if live else 'run'}", data=data, height="content")
