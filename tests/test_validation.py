"""What others published, held against bpsim (CI's number of seeds; `python -m validation --full` uses all)."""

from __future__ import annotations

import pytest

from validation.__main__ import COMPARISONS, DOCUMENT, NOT_COMPARED, PUBLISHED, compare, document, written
from validation.rows import Effort


def test_every_published_entry_is_compared_or_the_reason_is_given() -> None:
    assert set(COMPARISONS) | set(NOT_COMPARED) == set(PUBLISHED)
    assert not set(COMPARISONS) & set(NOT_COMPARED)


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_published_claim_holds(name: str) -> None:
    rows = compare(name, Effort(full=False))
    assert rows
    assert [row for row in rows if not row.holds] == []


def test_the_document_says_what_the_command_finds() -> None:
    """Two of its cheap sections, to the letter; the rest has the same form."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in ("gc-pause-deterministic", "aws-backoff-simulator"):
        lines = list(document({name: compare(name, Effort(full=False))}, Effort(full=False)))
        section = lines[next(i for i, line in enumerate(lines) if line.startswith("## ")) : lines.index("## Not compared")]
        assert "\n".join(section).strip() in text, "renew it: python -m validation --write"
    assert text.count("**differs**") == 0
    assert all(f"`{name}`" in text for name in PUBLISHED)


def test_one_section_can_be_renewed_without_the_others() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert set(written(text)) == set(COMPARISONS)
    assert list(document(written(text), Effort(full=False))) == text.splitlines()
