"""The map of collapse and the loop of a rising and falling load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bpsim.claims import parse
from bpsim.document import InvalidScenario
from bpsim.hysteresis import Hysteresis, climb, staircase
from bpsim.phase import Phase, cells, explore
from bpsim.runs import here, processes
from bpsim.scenario_file import load
from bpsim.settings import Axis, axis
from tests.typed import typed

SCENARIOS = Path(__file__).parents[1] / "scenarios"
PAUSE = SCENARIOS / "gc_pause.yaml"
SMALL = (
    "client.arrivals.rate=100/s", "api.workers=8", "api.service.mean=62.5 ms", "faults.0.at=20 s", "duration=100 s",
)  # fmt: skip


def test_values_are_lists_or_ranges() -> None:
    assert axis("a.b=1/s,2/s") == Axis("a.b", ("1/s", "2/s"))
    assert axis("a=500/s..1500/s:3").values == ("500/s", "1000/s", "1500/s")
    assert axis("a=4..16:4").values == ("4", "8", "12", "16")
    assert axis("a=0.5..1:3").values == ("0.5", "0.75", "1")
    assert axis("a=1ms..1000ms:4log").values == ("1ms", "10ms", "100ms", "1000ms")
    assert axis("a=1/s,2.5/s").numbers == [1.0, 2.5]
    assert axis("a=fifo,lifo").numbers == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "not PATH=VALUES"), ("=1", "not PATH=VALUES"), ("a=", "not PATH=VALUES"), ("a=1..2", "not a range"),
        ("a=1/s..2ms:3", "one unit"), ("a=2..1:3", "the last above the first"), ("a=1..2:1", "two values"), 
        ("a=0..1:3log", "above 0"),
    ],
)  # fmt: skip
def test_what_is_no_axis_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        axis(text)


def test_the_pause_must_outlast_the_timeout_and_only_where_load_and_retries_exceed_capacity() -> None:
    x, y = axis("client.arrivals.rate=2/s,7/s"), axis("faults.0.lasts=300 ms,1 s")
    name, scenarios = cells(PAUSE, (), "naive", x, y)
    found = explore("?", name, scenarios, (x, y), 2)
    assert found.collapsed.tolist() == [[0, 0], [0, 2]]
    assert found.probability[1, 1] == 1.0
    rows = list(found.rows())
    assert rows[3]["client.arrivals.rate"] == "7/s"
    assert rows[3]["faults.0.lasts"] == "1 s"
    assert "always in 1 of 4 cells, never in 3" in found.alt


def test_collapse_is_certain_or_impossible_at_the_extremes_and_monotone_between() -> None:
    x = axis("faults.0.factor=1,1.3,1.5,3")
    name, scenarios = cells(SCENARIOS / "death_spiral.yaml", SMALL, "naive", x, None)
    found = explore("?", name, scenarios, (x, None), 4)
    chances = found.probability[0].tolist()
    assert chances == sorted(chances)
    assert (chances[0], chances[-1]) == (0.0, 1.0)


def test_another_rule_may_say_what_a_collapse_is() -> None:
    x = axis("client.arrivals.rate=6/s,7/s")
    name, scenarios = cells(PAUSE, (), "no_retry", x, None)
    found = explore("?", name, scenarios, (x, None), 1, parse("no_retry.offered_per_s > 6.5"))
    assert found.collapsed.tolist() == [[0, 1]]
    assert found.rule == "no_retry.offered_per_s > 6.5"


def test_the_number_of_processes_changes_nothing() -> None:
    x = axis("faults.0.factor=1.3,1.5")
    name, scenarios = cells(SCENARIOS / "death_spiral.yaml", SMALL, "naive", x, None)
    one, two = (explore("?", name, scenarios, (x, None), 3, place=place).collapsed.tolist() for place in (here, processes(2)))
    assert one == two


def test_the_interval_is_wilsons() -> None:
    found = Phase("?", "v", Axis("a", ("1",)), None, np.array([[5]]), 20, "")
    assert found.interval(0, 0) == pytest.approx((0.1119, 0.4687), abs=1e-4)


def test_a_path_that_is_not_there_is_said_with_the_nearest() -> None:
    with pytest.raises(InvalidScenario, match=r"arivals"):
        cells(PAUSE, (), "naive", axis("client.arivals.rate=1/s"), None)


def test_a_storm_breaks_later_than_it_ends() -> None:
    scenario = load(SCENARIOS / "death_spiral.yaml", (*SMALL, "api.queue.records=160")).variants["naive"]
    loads = np.array([20.0, 60.0, 100.0, 140.0])
    found = climb(scenario, "naive", loads, 30.0, 3)
    assert found.breaks_at.tolist() == [140.0] * 3
    assert (found.recovers_at <= 60.0).all()
    assert "on the way up (3 of 3 seeds)" in found.words
    assert "wide" in found.words
    fail_fast = load(SCENARIOS / "death_spiral.yaml", (*SMALL, "variants.fail_fast.api.queue.records=30")).variants["fail_fast"]
    assert "No collapse" in climb(fail_fast, "fail_fast", loads, 30.0, 2).words


def test_the_staircase_goes_up_and_down_without_faults() -> None:
    stairs = staircase(load(PAUSE).variants["naive"], np.array([1.0, 2.0]), 10.0)
    assert [(point.at, point.rate) for point in stairs.client.arrivals.points] == [(0, 1), (10, 2), (20, 2), (30, 1)]  # type: ignore[union-attr]
    assert stairs.client.arrivals.spacing == "constant"  # type: ignore[union-attr]
    assert (stairs.faults, stairs.duration) == ((), 40.0)


def test_a_system_that_never_comes_back_is_said_to() -> None:
    shares = np.array([[1.0, 0.0]])
    stuck = Hysteresis("?", "v", np.array([1.0, 2.0]), 1.0, shares, np.array([[0.0, 0.0]]), shares, shares)
    assert "does not recover down to 1/s (1 of 1 seeds)" in stuck.words
    assert np.isnan(stuck.recovers_at).all()


def test_the_commands_write_whole_folders(tmp_path: Path) -> None:
    ran = typed("phase", PAUSE, "--variant", "naive", "--x", "faults.0.lasts=300ms,1s", "--seeds", "1", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "100% (" not in ran.out
    assert "| " in ran.out
    folder = tmp_path / "out" / "gc_pause_phase"
    assert {path.name for path in folder.iterdir()} == {
        "phase.csv", "phase.json", "phase.png", "phase.svg", "scenario.yaml", "manifest.json", "runs.journal",
    }  # fmt: skip
    document = json.loads((folder / "phase.json").read_text())
    assert [cell["probability"] for cell in document["cells"]] == [0.0, 1.0]
    again = typed("phase", PAUSE, "--variant", "naive", "--x", "faults.0.lasts=300ms", "--seeds", "1", cwd=tmp_path)
    assert again.code == 2
    assert "exists already" in again.err
    stairs = ("--low", "2/s", "--high", "12/s", "--steps", "3", "--hold", "20 s", "--seeds", "1")
    ran = typed("hysteresis", PAUSE, "--variant", "naive", *stairs, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["words"].startswith("Collapses at")
    assert document["schema_version"] == 1
    assert (tmp_path / "out" / "gc_pause_hysteresis" / "hysteresis.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("phase", "gc_pause", "--x", "faults.0.lasts=1s"), 2, "which variant? --variant naive"),
        (("phase", "gc_pause", "--variant", "naiv", "--x", "faults.0.lasts=1s"), 2, "did you mean naive?"),
        (("phase", "gc_pause", "--variant", "naive", "--x", "faults.0.lasts=1..2"), 2, "--x: '1..2' is not a range"),
        (("phase", "gc_pause", "--variant", "naive", "--x", "faults.0.lats=1s"), 3, "did you mean 'lasts'?"),
        (("phase", "gc_pause", "--variant", "naive", "--x", "faults.0.lasts=1s", "--collapse", "godput > 1"), 2, "--collapse:"),
        (("phase", "gc_pause", "--variant", "naive", "--x", "faults.0.lasts=1s", "--seeds", "0"), 2, "seeds"),
        (("hysteresis", "gc_pause", "--variant", "naive", "--low", "9/s", "--high", "2/s"), 2, "below --high"),
        (("hysteresis", "gc_pause", "--variant", "naive", "--low", "9", "--high", "2/s"), 2, "has no unit"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_leaves_nothing(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    ran = typed(*arguments, cwd=tmp_path)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []
