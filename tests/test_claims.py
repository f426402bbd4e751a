"""The language of `expect:`."""

from __future__ import annotations

from math import inf, nan

import pytest

from bpsim.claims import UnknownName, parse

SUMMARIES = {"a": {"x": 2.0, "y": nan, "z": inf}, "b": {"x": 3.0, "y": 1.0, "z": 0.0}}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a.x < b.x", True),
        ("a.x < b.x < 2.5", False),
        ("-a.x + 2 * b.x >= 4", True),
        ("a.x == 2", True),
        ("a.x != 2", False),
        ("max(a.x, b.x) / 3 == 1", True),
        ("abs(a.x - b.x) <= min(1, 2)", True),
        ("b.x < '30 s'", True),
        ("b.x * 1000 > '2 kB'", True),
        ("a.y < 5", False),
        ("a.y > 5", False),
        ("a.z > 1000", True),
        ("a.x / b.z > 0", False),
    ],
)
def test_a_claim_is_judged(text: str, holds: bool) -> None:
    assert parse(text).check(SUMMARIES).passed is holds


def test_a_verdict_shows_the_numbers() -> None:
    assert parse("a.x < b.x").check(SUMMARIES).values == {"a.x": 2.0, "b.x": 3.0}


@pytest.mark.parametrize(
    "text",
    ["", "a.x", "a.x +", "__import__('os') > 1", "a.x.real > 1", "a[0] > 1", "(lambda: 1)() > 0", "a.x > True",
     "a.x in b.x", "a.x ** 9 > 1", "'7 parsecs' > 1", "min() > 1", "f'{a.x}' > 1", "a.x > 1 and b.x > 1", "x" * 600],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_names_are_checked_before_anything_runs() -> None:
    with pytest.raises(UnknownName, match="did you mean 'amplification'"):
        parse("a.amplifcation > 1").check_names(["a"], ["amplification"])
    with pytest.raises(UnknownName, match="no variant 'c'"):
        parse("c.x > 1").check_names(["a", "b"], ["x"])
    with pytest.raises(UnknownName, match="which variant"):
        parse("x > 1").check_names(["a", "b"], ["x"])
    parse("x > 1").check_names(["base"], ["x"])
