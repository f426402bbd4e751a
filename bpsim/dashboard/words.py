"""Other people's words on our pages: shown as they are, never as Markdown or HTML."""

from __future__ import annotations

import re

BOOKMARKS = {
    "first_fault": "fault begins",
    "faults_over": "fault over",
    "first_saturated": "first saturated",
    "first_block": "first block",
    "first_full": "first full buffer",
    "first_429": "first 429",
    "first_503": "first 503",
    "first_500": "first 500",
    "first_timeout": "first timeout",
    "first_refused": "first refused",
    "many_retries": "retries > 10 %",
    "out_of_memory": "OOM",
    "first_crash": "first crash",
    "first_evicted": "first eviction",
    "first_lost_in_crash": "first loss",
    "users_notice": "users notice",
    "recovered": "recovered",
}
"""What the player writes on the buttons."""


def plain(text: str) -> str:
    """`text` so that Streamlit's Markdown shows every letter of it and makes nothing of it (no link, no picture)."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=@/])", r"\\\1", " ".join(text.split()))
