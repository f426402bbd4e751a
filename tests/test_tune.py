"""Tuning: the smallest is the smallest, goals that contradict each other are said to, and the odds are those of fresh seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpsim
from bpsim.claims import UnknownName, parse
from bpsim.goals import goal
from bpsim.runs import Measure, Run, grid, measure_all
from bpsim.settings import as_written
from bpsim.tuning import FRESH, Bench, Tuned, ranges, search
from tests.pipelines import exponential, poisson, station
from tests.typed import typed

BASE = station(poisson(80.0), exponential(0.01), 20.0, queue=10, timeout=1.0)
Law = Callable[[float, float, int], dict[str, float]]
"""(records, timeout, seed) -> metrics: a system whose answer is known."""


def bench(law: Law, goals: Sequence[str], smallest: Sequence[str], seeds: int = 5, share: float = 1.0) -> Bench:
    def place(runs: Sequence[Run], measure: Measure[Any]) -> Generator[tuple[int, Any]]:
        for number, run in enumerate(runs):
            yield number, law(run.scenario.api.queue.records or 0, run.scenario.client.timeout or 0.0, run.seed)

    read = tuple(goal(text, "v") for text in goals)
    return Bench(
        as_written({"v": BASE})["v"], "v", read, tuple(range(1, seeds + 1)), ranges(smallest), share, "x", "yaml", place
    )


def tuned(law: Law, goals: Sequence[str], smallest: Sequence[str], **options: Any) -> Tuned:
    return search(bench(law, goals, smallest, **options), (), 60, 20)


def rising_loss(edge: int) -> Law:
    return lambda records, timeout, seed: {"success_share": 1.0 if records >= edge else 0.5, "api_peak_bytes": records * 1e3}


@pytest.mark.parametrize("edge", [1, 2, 3, 777, 1999, 2000])
def test_the_smallest_of_two_thousand_is_found_exactly_in_two_dozen_tries(edge: int) -> None:
    found = tuned(rising_loss(edge), ["loss < 1%"], ["api.queue.records=1..2000"])
    assert found.found is not None
    assert found.found.point == {"api.queue.records": f"{edge}"}
    assert len(found.tried) <= 24
    assert found.exact
    assert found.one_stretch


def test_a_range_with_a_unit_is_found_to_a_thousandth_of_it() -> None:
    found = tuned(lambda records, timeout, seed: {"success_share": float(timeout >= 0.7313)}, ["loss < 1%"],
                  ["client.timeout=0.1s..2.1s"])  # fmt: skip
    assert found.found is not None
    assert found.found.point == {"client.timeout": "0.732s"}


def test_goals_that_pull_apart_are_met_in_the_gap_between_the_values_looked_at() -> None:
    """No value of the first look is in 301 … 305, the only ones that meet both."""

    def law(records: float, timeout: float, seed: int) -> dict[str, float]:
        return {"success_share": float(records >= 301), "api_peak_bytes": records * 1e6}

    found = tuned(law, ["loss < 1%", "memory <= 305 MB"], ["api.queue.records=1..2000"])
    assert found.found is not None
    assert found.found.point == {"api.queue.records": "301"}
    narrow = tuned(law, ["loss < 1%", "memory < 301 MB"], ["api.queue.records=1..2000"])
    assert narrow.found is None
    assert narrow.words[0] == "Nothing from api.queue.records 1 to 2000 meets every goal."
    assert "'loss < 1%' alone is met, first with api.queue.records = 301" in narrow.words[1]
    assert "'memory < 301 MB' alone is met, first with api.queue.records = 1" in narrow.words[2]


def test_what_no_value_meets_is_said_with_the_best_there_is() -> None:
    found = tuned(lambda records, timeout, seed: {"success_share": 0.9}, ["loss < 1%"], ["api.queue.records=1..100"])
    assert found.found is None
    assert "is met in no more than 0% of the seeds" in found.words[1]


def test_what_is_not_one_stretch_is_said() -> None:
    odd = tuned(lambda records, timeout, seed: {"success_share": float(records not in range(40, 80))}, ["loss < 1%"],
                ["api.queue.records=1..100"])  # fmt: skip
    assert not odd.one_stretch
    assert "there may be a smaller one" in odd.words[-1]


def test_the_odds_are_those_of_seeds_the_search_never_saw() -> None:
    asked: list[int] = []

    def law(records: float, timeout: float, seed: int) -> dict[str, float]:
        asked.append(seed)
        return {"success_share": float(seed < FRESH or seed % 4 != 0)}

    found = tuned(law, ["loss < 1%"], ["api.queue.records=1..50"])
    hits, of, low, high = found.sure
    assert (hits, of) == (15, 20)
    assert (low, high) == pytest.approx((0.5313, 0.8881), abs=1e-4)
    assert set(asked) == {*range(1, 6), *range(FRESH, FRESH + 20)}
    assert "in 15: 75% (95 % interval 53% to 89%)" in found.words[1]
    assert "search with more seeds than 5" in found.words[2]


def test_a_share_of_the_seeds_may_be_enough() -> None:
    def law(records: float, timeout: float, seed: int) -> dict[str, float]:
        return {"success_share": float(records >= 10 * seed)}

    for share, edge in ((1.0, "50"), (0.8, "40"), (0.2, "10")):
        found = tuned(law, ["loss < 1%"], ["api.queue.records=1..100"], share=share).found
        assert found is not None
        assert found.point == {"api.queue.records": edge}


def test_over_several_settings_nothing_smaller_is_left_next_to_what_is_found() -> None:
    def law(records: float, timeout: float, seed: int) -> dict[str, float]:
        need = 100 + 900 * (timeout - 1.3) ** 2
        return {"success_share": min(1.0, records / need), "api_peak_bytes": records * 1e3}

    tries = bench(law, ["loss < 0.001%"], ["api.queue.records=1..1000"])
    found = search(tries, ranges(["client.timeout=0.5s..2.5s"]), 80, 5)
    assert found.found is not None
    records, timeout = int(found.found.point["api.queue.records"]), float(found.found.point["client.timeout"][:-1])
    need = 100 + 900 * (timeout - 1.3) ** 2
    assert need <= records < need + 1
    assert records < 120, "the best there is is 100"
    assert not found.exact
    assert found.words[0].endswith("candidates that meets every goal.")
    again = search(bench(law, ["loss < 0.001%"], ["api.queue.records=1..1000"]), ranges(["client.timeout=0.5s..2.5s"]), 80, 5)
    assert again.found == found.found


def test_the_queue_it_finds_is_the_one_that_trying_all_finds() -> None:
    found = bpsim.tune(BASE, {"api.queue.records": "0..40"}, ["loss < 3%", "p99 < 400 ms"], seeds=3, fresh=5, jobs=1)
    queues = {f"{size}": BASE.but(api={"queue": {"records": size}}) for size in range(41)}
    rows = measure_all(grid(queues, (1, 2, 3)), bpsim.summary)
    good = [row["success_share"] > 0.97 and row["latency_success_s_p99"] < 0.4 for row in rows]
    first = next(size for size in range(41) if all(good[3 * size : 3 * size + 3]))
    assert found.found is not None
    assert found.found.point == {"api.queue.records": f"{first}"}
    assert 0 < first < 40
    assert "<table" in found._repr_html_()
    assert list(found.frame.columns) == [
        "api.queue.records", "size", "meets", "loss < 3%", "p99 < 400 ms", "success_share", "latency_success_s_p99",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("p99 < 500 ms", "latency_success_s_p99 < '500 ms'"),
        ("p99<0.5s", "latency_success_s_p99<'0.5s'"),
        ("loss <= 1 %", "(1 - success_share) <= 0.01"),
        ("memory < 64MB", "api_peak_bytes < '64MB'"),
        ("v.goodput_per_s > 0.9 * v.offered_per_s", "v.goodput_per_s > 0.9 * v.offered_per_s"),
        ("goodput > 900/s", "goodput_per_s > '900/s'"),
        ("max(latency_final_s_p99, recovery) < '30 s'", "max(latency_final_s_p99, recovery_time_s) < '30 s'"),
        ("amplification < 1.5", "amplification < 1.5"),
    ],
)
def test_goals_are_claims_in_fewer_words(short: str, long: str) -> None:
    assert goal(short, "v").claim.text == long
    assert goal(short, "v").text == short


def test_a_goal_that_cannot_be_read_is_refused() -> None:
    for text in ("p99", "p99 < 5 parsecs", "p99 < __import__('os')"):
        with pytest.raises(ValueError, match=r".+"):
            goal(text, "v")
    with pytest.raises(UnknownName, match="did you mean 'latency_success_s_p99'"):
        goal("latency_success_p99 < 1", "v")


def test_a_claim_says_how_far_it_is_from_holding() -> None:
    def miss(text: str, **values: float) -> float:
        return parse(text).miss({"v": values})

    assert miss("a < 100", a=50) == 0
    assert miss("a < 100", a=200) == 0.5
    assert miss("a < 100", a=400) == 0.75
    assert 0 < miss("a < 100", a=100) < 1e-6
    assert miss("10 < a < 100", a=5) == 0.5
    assert miss("a < 100", a=nan) == 1
    assert miss("isnan(a)", a=1) == 1


SCENARIO = """\
question: How long a queue is enough?
duration: 10 s
client: {arrivals: {kind: poisson, rate: 80/s}, timeout: 1 s}
api: {workers: 1, service: {kind: exponential, mean: 10 ms}, queue: {records: 10}, on_full: reject}
"""


@pytest.fixture
def line(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(SCENARIO)
    return path


def test_the_command_says_shows_and_saves_and_fails_when_nothing_meets_the_goals(line: Path) -> None:
    here = line.parent
    asked = ("tune", line, "--smallest", "api.queue.records=1..100", "--seeds", 3, "--fresh", 5, "--jobs", 1)
    ran = typed(*asked, "--goal", "loss < 5%", cwd=here)
    assert ran.code == 0, ran.err
    assert "is the smallest of 1 to 100 that meets every goal" in ran.out
    assert "->" in ran.out
    folder = here / "out" / "line_tune"
    assert {path.name for path in folder.iterdir()} == {
        "tune.json", "tune.csv", "tune.png", "tune.svg", "scenario.yaml", "manifest.json", "runs.journal",
    }  # fmt: skip
    first = json.loads((folder / "tune.json").read_text())
    kept = (folder / "runs.journal").read_bytes()
    again = typed(*asked, "--goal", "loss < 5%", "--resume", "--json", cwd=here)
    assert json.loads(again.out) == first
    assert (folder / "runs.journal").read_bytes() == kept, "nothing was run again"
    none = typed(*asked, "--goal", "loss < 5%", "--goal", "p99 < 20 ms", "--out", "none", cwd=here)
    assert none.code == 4
    assert "Nothing from api.queue.records 1 to 100 meets every goal." in none.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--smallest", "api.queue.records=10,20", "--goal", "loss < 1%"), 2, "is no range; write PATH=low..high"),
        (("--smallest", "api.queue.records=1..20", "--goal", "los < 1%"), 2, "there is no metric 'los'"),
        (("--smallest", "api.queue.records=1..20", "--goal", "loss"), 2, "compares nothing"),
        (("--smallest", "api.queue.rekords=1..20", "--goal", "loss < 1%"), 3, "did you mean 'records'?"),
        (("--smallest", "client.timeout=1..20", "--goal", "loss < 1%"), 3, "has no unit"),
        (("--smallest", "api.workers=-5..0", "--goal", "loss < 1%"), 3, "'workers': -5 must be"),
        (("--smallest", "api.workers=1..20", "--goal", "loss < 1%", "--tries", "20"), 2, "--tries is for several"),
        (("--smallest", "api.workers=1..9", "--vary", "api.workers=1..9", "--goal", "loss < 1%"), 2, "stands there twice"),
        (("--smallest", "api.workers=1..9"), 2, "goal"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(arguments: tuple[str, ...], code: int, said: str, line: Path) -> None:
    ran = typed("tune", line, *arguments, cwd=line.parent)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert list(line.parent.iterdir()) == [line]


def test_settings_that_do_not_go_together_meet_nothing() -> None:
    """A client that waits no longer than a rejection takes is no scenario."""
    tries = bench(lambda records, timeout, seed: {"success_share": 1.0}, ["loss < 1%"], ["client.timeout=0.001s..2s"])
    tries.written = as_written({"v": BASE.but(api={"reject_time": 0.5})})["v"]
    found = search(tries, (), 60, 5).found
    assert found is not None
    assert 0.5 < float(found.point["client.timeout"][:-1]) < 0.503


def test_candidates_meet_the_same_seeds() -> None:
    tries = bench(lambda records, timeout, seed: {"success_share": float(np.cos(seed) > 0)}, ["loss < 1%"],
                  ["api.queue.records=1..3"])  # fmt: skip
    one, two = tries.try_all([{"api.queue.records": "1"}, {"api.queue.records": "2"}])
    assert one.met == two.met
    assert len(one.rows) == 5
