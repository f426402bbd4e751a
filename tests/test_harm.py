"""Which harm is the trouble of a run, when users knew of it, and that whatever names an onset of it names the same."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isnan
from pathlib import Path

import pytest

from bpsim.engine import run
from bpsim.explanation import explain
from bpsim.metrics import summary
from bpsim.metrics.bookmarks import bookmarks
from bpsim.metrics.harm import disturbances, harm, told_apart
from bpsim.metrics.pressure import Stretch
from bpsim.plots.reading import Reading
from bpsim.result import Outcome, Result
from bpsim.scenario_file import load
from tests.made_results import Asked, Mark, Try, fault, made, once

FOLDER = Path(__file__).parents[1] / "scenarios"
HALF_OF_CODEL = ("client.arrivals.points.0.rate=350/s", "client.arrivals.points.2.rate=350/s", "api.workers=5")


def of(begin: float, size: float, share: float = 1.0) -> Stretch:
    return Stretch("client", "harmed", begin, begin + 0.5, size, share)


def steady(until: float, latency: float = 0.1, per_s: int = 10) -> list[Asked]:
    return [once(k / per_s, latency) for k in range(int(until * per_s))]


def failing(at: float, many: int) -> list[Asked]:
    return [once(at + k / 1000, 0.05, Outcome.REJECTED) for k in range(many)]


def test_harm_while_nothing_is_out_of_the_ordinary_counts_when_it_is_not_tiny_beside_the_rest() -> None:
    load = [(60.0, 120.0)]
    tiny, worst, small, late = of(37.2, 9), of(60.1, 1000), of(130.0, 10), of(140.0, 9)
    assert told_apart([tiny, worst, small, late], load) == ([worst, small], [tiny, late])
    assert told_apart([tiny], load) == ([tiny], []), "when there is nothing else it is the trouble"
    assert told_apart([tiny, worst], [(36.5, 37.0), *load]) == ([tiny, worst], []), "a fault that harms a few is a cause"


def test_harm_before_anything_is_out_of_the_ordinary_is_no_part_of_it_unless_it_is_comparable() -> None:
    load = [(60.0, 120.0)]
    worst = of(60.1, 1000)
    assert told_apart([of(3.0, 40), of(37.2, 50), worst], load) == ([worst], [of(3.0, 40), of(37.2, 50)])
    assert told_apart([of(3.0, 50), of(37.2, 50), worst], load)[1] == [], "a tenth, all together"
    assert told_apart([of(3.0, 500, 0.05), worst], load) == ([worst], [of(3.0, 500, 0.05)]), "nine of ten were well"
    assert told_apart([of(3.0, 1500, 0.05), worst], load)[1] == [], "worse than what came then"


def test_an_ordinary_day_goes_on_after_the_trouble() -> None:
    load = [(60.0, 120.0)]
    worst, mild, severe = of(60.1, 1000), of(150.0, 90, 0.05), of(150.0, 90, 0.5)
    assert told_apart([worst, mild], load) == ([worst], [mild])
    assert told_apart([worst, severe], load) == ([worst, severe], []), "an outage, if a shorter one"
    assert told_apart([worst, of(150.0, 110, 0.05)], load)[1] == [], "many"


def test_disturbances_are_faults_and_loads_in_order_of_time() -> None:
    marks = [*fault(5, 6), *fault(8, 9, number=1), Mark(9.5, "api", "fault_begins", 0)]
    result = replace(made(marks=marks), overloads=((7.0, 7.5), (20.0, 30.0)))
    assert disturbances(result) == [(5, 6), (7, 7.5), (8, 9), (9.5, inf)]


def test_users_know_as_soon_as_it_takes_twice_as_long_as_usual() -> None:
    frozen = [once(5 + k / 10, 3 - k / 10) for k in range(30)]
    result = made([*steady(5), *frozen, *[once(8 + k / 10, 0.1) for k in range(80)]], marks=fault(5, 8), end=16)
    (one,) = harm(result).trouble
    assert (one.begin_s, one.end_s, one.peak) == (pytest.approx(5.2), pytest.approx(8), 28)
    still_waiting = [Asked(5 + k / 10, (Try(5 + k / 10, outcome=Outcome.PENDING),)) for k in range(30)]
    (one,) = harm(made([*steady(5), *still_waiting], marks=fault(5, 8))).trouble
    assert (one.begin_s, one.end_s, one.peak) == (pytest.approx(5.2), inf, 28), "the two of the last second are too few"


def test_a_load_too_high_from_the_start_is_held_against_the_first_second() -> None:
    asked = [*steady(1), *[once(k / 10, k / 10) for k in range(10, 60)]]
    ever_slower = replace(made(asked, end=12), overloads=((0.0, 12.0),))
    assert harm(ever_slower).trouble[0].begin_s == pytest.approx(1.2)
    assert not harm(made(asked, end=12)).trouble, "nothing is out of the ordinary, so there is no usual to compare with"


def test_the_beginning_of_a_disturbance_ends_a_stretch_when_it_is_worse_from_then_on() -> None:
    asked = [*steady(20), *failing(3.5, 3), *failing(5.0, 400)]
    found = harm(made(asked, marks=fault(5, 8), end=20))
    assert [one.peak for one in found.trouble] == [400]
    assert [one.peak for one in found.apart] == [3]
    halves = [once(k / 10, 0.1, Outcome.REJECTED if k % 2 else Outcome.OK) for k in range(200)]
    (one,) = harm(made(halves, marks=fault(5, 8), end=20)).trouble
    assert one.begin_s == pytest.approx(0.2), "as before: the fault has nothing to do with it"


def test_what_paused_as_long_before_is_not_over_at_the_end_of_the_run() -> None:
    often = [*steady(30), *failing(6.0, 9), *failing(10.0, 9), *failing(26.5, 9)]
    assert [one.end_s for one in harm(made(often, marks=fault(5, 30), end=30)).trouble] == [
        pytest.approx(10.058),
        pytest.approx(26.558),
    ]
    (one,) = harm(made([*steady(30), *failing(24.0, 9), *failing(27.5, 9)], marks=fault(5, 30), end=30)).trouble
    assert one.end_s == inf


def onsets(result: Result) -> set[float]:
    """Of the users' harm, as story, bookmark, summary and figures name it."""
    told, reading = explain(result), Reading(result)
    assert told.bookmarks == tuple(bookmarks(result))
    marked = [mark.time_s for mark in told.bookmarks if mark.name == "users_notice"]
    drawn = [one.begin_s for one in reading.rungs if one.kind == "harmed"]
    felt = [one.time_s for one in told.part("felt") if one.words.startswith("Users notice from")]
    counted = [summary(result)["client_onset_s"], reading.summary["client_onset_s"]]
    return {*marked[:1], *drawn[:1], *felt, *(moment for moment in counted if not isnan(moment))}


@pytest.mark.parametrize(
    ("name", "variant", "seed", "settings"),
    [
        ("codel", "request_codel", 2, ("duration=130 s",)),
        ("codel", "request_codel", 3, (*HALF_OF_CODEL, "client.arrivals.points.1.rate=650/s", "duration=130 s")),
        ("adaptive_limit", "gradient2_raw", 1, ("duration=100 s",)),
        ("gc_pause", "naive", 1, ("duration=60 s",)),
    ],
)
def test_story_bookmark_summary_and_figures_name_one_onset(
    name: str, variant: str, seed: int, settings: tuple[str, ...]
) -> None:
    result = run(load(FOLDER / f"{name}.yaml", settings).variants[variant], seed=seed)
    (onset,) = onsets(result)
    assert onset >= {"codel": 60, "adaptive_limit": 40, "gc_pause": 30}[name]
    assert bool(harm(result).apart) == (name != "gc_pause")


def test_harm_apart_from_the_trouble_is_told_and_does_not_delay_its_end() -> None:
    result = run(load(FOLDER / "codel.yaml", ("duration=130 s",)).variants["request_codel"], seed=2)
    assert harm(result).apart[0].begin_s == pytest.approx(37.2, abs=0.05)
    found = explain(result)
    assert found.roots == ("client",)
    (felt,) = found.part("felt")
    assert (felt.time_s, felt.until_s, felt.values["apart"]) == (pytest.approx(60, abs=0.1), pytest.approx(120, abs=0.1), 10)
    assert "10 fail or are slow while no cause acts (37.2 s)" in felt.words


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("high", [400, 650])
def test_an_api_that_sheds_what_chance_made_wait_is_not_to_blame(seed: int, high: int) -> None:
    settings = (*HALF_OF_CODEL, f"client.arrivals.points.1.rate={high}/s", "duration=130 s")
    found = explain(run(load(FOLDER / "codel.yaml", settings).variants["request_codel"], seed=seed))
    assert found.roots == ("client",), found.headline


def test_a_fault_that_makes_it_worse_is_a_cause_beside_the_one_before_it() -> None:
    result = run(load(FOLDER / "adaptive_limit.yaml", ("duration=70 s",)).variants["vegas_raw"], seed=1)
    first, second = harm(result).trouble
    assert second.begin_s == pytest.approx(40, abs=0.1) and second.share > first.share + 0.05
    found = explain(result)
    assert [cause.path for cause in found.part("cause")] == ["api.admission", "faults.0"]
    assert found.headline.endswith("; and from 40 s on the API becomes 3 times slower.")
