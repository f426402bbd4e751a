"""Paired differences: what they are, when they count as seen, and how they are said."""

from __future__ import annotations

import json
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

import bpsim
from bpsim.comparison import Comparison, compare
from bpsim.contenders import contenders, named
from bpsim.metrics.headlines import headline
from bpsim.paired import Difference, paired, share_interval, together
from tests.files import TINY
from tests.pipelines import exponential, poisson, station
from tests.typed import typed


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def found(tiny: Path) -> Comparison:
    return compare(tiny, seeds=6, jobs=2)


def test_the_interval_is_students_of_the_paired_differences() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(10, 5, 12)
    b = a + rng.normal(1, 0.5, 12)
    one, known = paired(a, b), ttest_rel(b, a)
    assert one.difference == pytest.approx((b - a).mean())
    assert one.p == pytest.approx(known.pvalue)
    assert one.difference - one.half_width == pytest.approx(known.confidence_interval(0.95).low)
    assert (one.pairs, one.above + one.below) == (12, 12)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    common = rng.normal(0, 10, (2000, 10))
    gaps = rng.exponential(1.0, (2000, 10))
    hits = sum(abs(one.difference - 1.0) <= one.half_width for one in map(paired, common, common + gaps))
    assert 0.85 < hits / 2000 < 0.95, "skewed differences cost a few points of coverage at N = 10, not more"
    gaps = rng.normal(1.0, 1.0, (2000, 10))
    hits = sum(abs(one.difference - 1.0) <= one.half_width for one in map(paired, common, common + gaps))
    assert hits / 2000 == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / 2000) ** 0.5)


def test_equal_columns_differ_by_exactly_nothing_and_constant_gaps_are_certain() -> None:
    column = np.array([0.1, 0.2, 0.3])
    same = paired(column, column)
    assert (same.difference, same.half_width, same.p, same.same) == (0.0, 0.0, 1.0, True)
    ahead = paired(np.zeros(3), np.full(3, 2.0))
    assert (ahead.difference, ahead.half_width, ahead.p, ahead.above) == (2.0, 0.0, 0.0, 3)


def test_what_does_not_exist_is_counted_and_never_averaged() -> None:
    one = paired(np.array([1.0, nan, inf, 4.0]), np.array([2.0, 3.0, nan, 6.0]))
    assert (one.pairs, one.difference, one.only_other, one.only_baseline) == (2, 1.5, 1, 0)
    never = paired(np.full(10, nan), np.full(10, 5.0))
    assert (never.pairs, never.p, never.happens) == (0, pytest.approx(2 / 2**10), True)
    nowhere = paired(np.full(3, nan), np.full(3, nan))
    assert isnan(nowhere.p)
    assert not nowhere.happens


def test_holms_procedure_on_his_own_numbers() -> None:
    """p = 0.01, 0.02, 0.03, 0.04 of four: 0.04, 0.06, 0.06, 0.06; NaN takes no part."""
    parts = [Difference(1, 1, 5, 5, 0, 0, 0, p) for p in (0.03, 0.01, nan, 0.04, 0.02)]
    adjusted = [one.p_holm for one in together(parts)]
    assert adjusted[:2] == pytest.approx([0.06, 0.04])
    assert isnan(adjusted[2])
    assert adjusted[3:] == pytest.approx([0.06, 0.06])
    assert [one.seen for one in together(parts)] == [False, True, False, False, False]


def test_no_difference_among_twenty_true_nothings_is_called_seen_more_often_than_promised() -> None:
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(400):
        family = together([paired(rng.normal(size=8), rng.normal(size=8)) for _ in range(20)])
        false += any(one.seen for one in family)
    assert false / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_common_random_numbers_make_the_interval_narrower() -> None:
    """The same runs, paired with the wrong seeds, say far less."""
    slower, faster = (station(poisson(100.0), exponential(mean), 20.0) for mean in (0.008, 0.0078))
    found = compare({"slower": slower, "faster": faster}, seeds=6, jobs=1, metrics=["latency_final_s_mean"])
    a, b = (found.values[name]["latency_final_s_mean"] for name in ("slower", "faster"))
    assert found.same_arrivals
    assert found.found["faster", "latency_final_s_mean"].half_width < 0.3 * paired(np.roll(a, 1), b).half_width


def test_identical_inputs_differ_by_exactly_nothing(tiny: Path) -> None:
    scenario = bpsim.load(tiny).variants["naive"]
    same = compare({"a": scenario, "b": scenario.but(question="the same in other words")}, seeds=2, jobs=1)
    assert same.words == ("b and a are the same to the last digit in all 2 seeds.",)
    defined = same.differences.dropna(subset="difference")
    assert (defined.difference == 0.0).all()
    assert (defined.half_width == 0.0).all()
    assert not same.differences.seen.any()


def test_the_verdict_names_the_difference_its_error_and_the_seeds(tiny: Path, found: Comparison) -> None:
    one = found.found["no_retry", "amplification"]
    assert one.seen
    assert one.below == 6
    assert found.better("no_retry", "amplification") == 1
    words = compare(tiny, seeds=6, jobs=1, metrics=["amplification"]).words[0]
    amount = headline("amplification").show_gap(-one.difference, one.half_width)
    assert words == f"no_retry has {amount} less attempts per request than naive (in 6 of 6 seeds)."


def test_tables_have_a_row_a_run_and_a_row_a_difference(found: Comparison) -> None:
    assert found.frame.shape[0] == 12
    assert list(found.frame.columns[:2]) == ["variant", "seed"]
    assert set(found.differences.columns) >= {"variant", "metric", "difference", "half_width", "seen", "p_holm", "pairs"}
    assert len(found.differences) == len(found.metrics)
    html = found._repr_html_()
    assert "<table" in html
    assert "no_retry" in html


@pytest.mark.parametrize(
    ("gap", "error", "metric", "words"),
    [
        (412.33, 9.07, "goodput_per_s", "412 ± 10/s"), (-0.4123, 0.0092, "success_share", "-41.2 ± 1.0 pts"),
        (1.5, 0.03, "latency_final_s_p99", "1.50 ± 0.03 s"), (0.0, 0.0, "goodput_per_s", "0 ± 0/s"),
        (2.97745, 0.00028, "latency_final_s_p99", "2.98 ± 0.01 s"), (12345678.0, nan, "api_peak_bytes", "12.3 MB"),
        (5.8333, 0.0, "goodput_per_s", "5.83/s"), (3.0, 812.0, "goodput_per_s", "3 ± 812/s"),
    ],
)  # fmt: skip
def test_a_difference_is_said_with_the_digits_that_are_known(gap: float, error: float, metric: str, words: str) -> None:
    assert headline(metric).show_gap(gap, error) == words


def test_names_tell_files_and_variants_apart(tiny: Path) -> None:
    scenario = bpsim.load(tiny).base
    assert list(named([("a/x.yaml", {"base": scenario}), ("a/y.yaml", {"p": scenario, "q": scenario})])) == ["x", "y.p", "y.q"]
    assert list(named([("a/x.yaml", {"base": scenario}), ("b/x.yaml", {"base": scenario})])) == ["a/x.yaml", "b/x.yaml"]
    assert list(named([("x.yaml", {"base": scenario})] * 2)) == ["x", "x#2"]
    assert list(contenders(scenario, scenario)) == ["scenario_1", "scenario_2"]


def test_what_cannot_be_compared_is_said(tiny: Path) -> None:
    scenario = bpsim.load(tiny).base
    for arguments, why in (
        ({"seeds": 1}, "two seeds or more"),
        ({"baseline": "nave"}, "there is no 'nave'"),
        ({"metrics": ["godput"]}, "no metric"),
    ):
        with pytest.raises(ValueError, match=why):
            compare(tiny, **({"jobs": 1} | arguments))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two are needed"):
        compare(scenario)


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert share_interval(5, 20) == pytest.approx((0.1119, 0.4687), abs=1e-4)


def test_the_command_says_shows_and_saves(tiny: Path, tmp_path: Path) -> None:
    ran = typed("compare", tiny, tiny, "--seeds", 2, "--variant", "tiny.naive", "--variant", "tiny.naive#2", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "tiny.naive#2 and tiny.naive are the same to the last digit in all 2 seeds." in ran.out
    folder = tmp_path / "out" / "tiny_compare"
    names = {"comparison.json", "differences.csv", "runs.parquet", "differences.png", "differences.svg", "manifest.json"}
    assert {path.name for path in folder.iterdir()} == names | {"scenario_1.yaml", "scenario_2.yaml", "runs.journal"}
    assert (pd.read_csv(folder / "differences.csv").difference.dropna() == 0).all()
    ran = typed("compare", tiny, "--seeds", 2, "--json", "--metric", "amplification", "--jobs", 1, "--out", "j", cwd=tmp_path)
    document = json.loads(ran.out)
    assert document["schema_version"] == 1
    assert [row["metric"] for row in document["differences"]] == ["amplification"]
    assert document == json.loads((tmp_path / "j" / "comparison.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--baseline", "niave"), 2, "--baseline niave: did you mean naive?"),
        (("--variant", "x"), 2, "--variant x: there are naive, no_retry"),
        (("--metric", "godput_per_s"), 2, "--metric godput_per_s: did you mean goodput_per_s?"),
        (("--seeds", "1"), 2, "no interval"),
        (("--variant", "naive"), 2, "give a second file"),
        (("--set", "client.timout=1s"), 3, "did you mean 'timeout'?"),
        (("--force", "--resume"), 2, "choose one"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(
    arguments: tuple[str, ...], code: int, said: str, tiny: Path, tmp_path: Path
) -> None:
    ran = typed("compare", tiny, *arguments, cwd=tmp_path)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []
