"""Claims: what may be written, what holds, and what is refused."""

from __future__ import annotations

from math import inf, nan

import pytest

from bpsim.claims import UnknownName, parse

SUMMARIES = {
    "naive": {"goodput": 20.0, "offered": 1000.0, "recovery_time_s": nan, "onset_s": inf, "bytes": 2e7},
    "fail_fast": {"goodput": 990.0, "offered": 1000.0, "recovery_time_s": 5.0, "onset_s": 60.0, "bytes": 0.0},
}


@pytest.mark.parametrize(
    "text",
    [
        "naive.goodput < 0.1 * naive.offered",
        "naive.goodput < fail_fast.goodput <= 990",
        "1 < 2 < 3",
        "-fail_fast.recovery_time_s < 0",
        "(naive.goodput + fail_fast.goodput) / 2 == 505",
        "naive.offered - naive.goodput != 0",
        "min(naive.goodput, fail_fast.goodput) == 20",
        "max(naive.goodput, 3, 1) == 20",
        "abs(naive.goodput - 21) == 1",
        "fail_fast.recovery_time_s < '30 s'",
        "fail_fast.onset_s == '1 min'",
        "naive.bytes == '20 MB'",
        "naive.offered >= '900/s'",
        "naive.onset_s > 1e9",
        "isnan(naive.recovery_time_s)",
        "not isnan(fail_fast.recovery_time_s)",
        "isnan(naive.goodput / fail_fast.bytes)",
    ],
)
def test_a_true_claim_passes(text: str) -> None:
    assert parse(text).check(SUMMARIES).passed


@pytest.mark.parametrize(
    "text",
    [
        "naive.goodput > 0.1 * naive.offered",
        "naive.goodput < fail_fast.goodput < 500",
        "3 > 2 > 2",
        "isnan(fail_fast.recovery_time_s)",
        "not isnan(naive.recovery_time_s)",
    ],
)
def test_a_false_claim_fails(text: str) -> None:
    assert not parse(text).check(SUMMARIES).passed


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_no_comparison_with_nan_passes_and_the_verdict_says_why(operator: str) -> None:
    verdict = parse(f"naive.recovery_time_s {operator} 30").check(SUMMARIES)
    assert not verdict.passed
    assert verdict.note == "naive.recovery_time_s is NaN"


@pytest.mark.parametrize(
    "text", ["min(naive.recovery_time_s, 1) < 2", "1 < max(3, naive.recovery_time_s)", "naive.recovery_time_s * 0 == 0"]
)
def test_nan_does_not_vanish_inside_an_expression(text: str) -> None:
    assert not parse(text).check(SUMMARIES).passed


def test_a_division_by_zero_fails_and_the_verdict_says_so() -> None:
    verdict = parse("naive.goodput / fail_fast.bytes > 1").check(SUMMARIES)
    assert not verdict.passed
    assert verdict.note == "a division by 0"


def test_a_verdict_has_the_values_it_is_about() -> None:
    verdict = parse("naive.goodput < 0.1 * fail_fast.offered").check(SUMMARIES)
    assert verdict.values == {"naive.goodput": 20.0, "fail_fast.offered": 1000.0}
    assert verdict.note == ""


def test_a_bare_metric_is_that_of_the_only_variant() -> None:
    claim = parse("goodput > 10")
    claim.check_names(["base"], ["goodput"])
    assert claim.check({"base": {"goodput": 20.0}}).passed


def test_names_are_the_variants_and_metrics() -> None:
    names = parse("min(naive.goodput, offered) < 2 * naive.onset_s").names
    assert sorted(names, key=str) == sorted([("naive", "goodput"), (None, "offered"), ("naive", "onset_s")], key=str)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("niave.goodput > 1", "there is no variant 'niave'; did you mean 'naive'?"),
        ("naive.godput > 1", "there is no metric 'godput'; did you mean 'goodput'?"),
        ("isnan(naive.godput)", "did you mean 'goodput'?"),
        ("goodput > 1", "which variant's 'goodput'? Write naive.goodput"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(text: str, words: str) -> None:
    with pytest.raises(UnknownName) as error:
        parse(text).check_names(["naive", "fail_fast"], ["goodput", "offered"])
    assert words in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "naive.goodput",
        "naive.goodput <",
        "naive.goodput < 30s",
        "naive.goodput < '30 parsecs'",
        "naive.goodput < 'much'",
        "naive.goodput < None",
        "naive.goodput < True",
        "naive.goodput < 3j",
        "naive.goodput in 3",
        "naive.goodput is 3",
        "naive.goodput < 2 ** 9999999",
        "naive.goodput % 2 == 0",
        "naive.goodput < 1 and 1 < 2",
        "not naive.goodput < 1",
        "a.b.c < 1",
        "a[0] < 1",
        "min() < 1",
        "min(*a) < 1",
        "min(a, key=b) < 1",
        "abs(a, b) < 1",
        "isnan(a, b)",
        "isnan(a) < 1",
        "sum(a) < 1",
        "__import__('os').system('true') < 1",
        "().__class__.__bases__ < 1",
        "(lambda: 1)() < 2",
        "[x for x in a] < 1",
        "(x := 1) < 2",
        "f'{a}' < 1",
        "a < 1; b < 2",
        "import os",
        "\0 < 1",
        "1" + "0" * 400 + " < 2",
        "~" * 480 + "1 < 2",
        "(" * 300 + "1" + ")" * 190 + " < 2",
        "1 < 2" + " " * 500,
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert str(error.value)
    assert len(str(error.value)) < 600
