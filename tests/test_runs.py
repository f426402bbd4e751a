"""Many runs: the journal survives what kills its writer, and the numbers are the same wherever they were made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bpsim.metrics import summary
from bpsim.result import Result
from bpsim.runs import (
    Journal,
    JournalInUse,
    JournalMismatch,
    Measure,
    PlaceFailed,
    Run,
    RunFailed,
    code_fingerprint,
    grid,
    here,
    measure_all,
    place_of,
    processes,
)
from tests.pipelines import exponential, poisson, station

QUICK = station(poisson(100.0), exponential(0.01), 0.5)
SLOW = station(poisson(100.0), exponential(0.01), 2000.0)


def offered(result: Result) -> float:
    return summary(result)["offered"]


def counting(made: list[int]) -> Any:
    def place(runs: Sequence[Run], measure: Measure[Any]) -> Generator[tuple[int, Any]]:
        for number, row in here(runs, measure):
            made.append(runs[number].seed)
            yield number, row

    return place


def backwards(runs: Sequence[Run], measure: Measure[Any]) -> Generator[tuple[int, Any]]:
    yield from reversed(list(here(runs, measure)))


def die(result: Result) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def fail(result: Result) -> float:
    raise ValueError("a fault of the model")


def test_rows_come_in_the_order_of_the_runs_and_are_the_same_in_every_place() -> None:
    runs = grid({"a": QUICK, "b": QUICK.but(duration=1.0)}, range(1, 4))
    assert [(run.variant, run.seed) for run in runs] == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]
    rows = measure_all(runs, summary)
    assert len({row["latency_final_s_mean"] for row in rows}) == 6
    for place in (backwards, processes(2)):
        assert repr(measure_all(runs, summary, place)) == repr(rows)


def test_progress_is_told_at_the_start_and_after_each_run_that_is_made() -> None:
    told: list[tuple[int, int]] = []
    measure_all(grid({"a": QUICK}, (1, 2)), offered, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_what_the_journal_knows_is_not_made_again_and_more_may_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.journal"
    with Journal.open(path, "offered") as journal:
        first = measure_all(grid({"a": QUICK}, (1, 2)), summary, journal=journal)
    made: list[int] = []
    with Journal.open(path, "offered", resume=True) as journal:
        again = measure_all(grid({"a": QUICK}, (1, 2, 3)), summary, counting(made), journal)
    assert made == [3]
    assert repr(again[:2]) == repr(first), "floats, NaN and infinity come back as they were"


def test_a_run_that_stands_there_twice_is_made_once() -> None:
    made: list[int] = []
    rows = measure_all([Run(QUICK, 7, "a"), Run(QUICK.but(question="other words"), 7, "a")], offered, counting(made))
    assert made == [7]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_torn_end_is_cut_off_and_only_that_run_is_made_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "runs.journal"
    with Journal.open(path, "x") as journal:
        journal.append("first", {"a": 1.5})
        journal.append("second", {"a": float("nan")})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal.open(path, "x", resume=True) as journal:
        assert list(journal.rows) == ["first"]
        assert journal.dropped == 1
        journal.append("second", {"a": float("nan")})
    assert path.read_bytes() == whole


def test_a_damaged_line_is_dropped_and_the_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.journal"
    with Journal.open(path, "x") as journal:
        for key in "abc":
            journal.append(key, key)
    path.write_bytes(path.read_bytes().replace(b'["b"', b'["x"'))
    with Journal.open(path, "x", resume=True) as journal:
        assert (journal.rows, journal.dropped) == ({"a": "a", "c": "c"}, 1)


def test_a_journal_of_other_work_or_of_two_writers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.journal"
    with Journal.open(path, "this"):
        with pytest.raises(FileExistsError):
            Journal.open(path, "this")
        script = f"from bpsim.runs import Journal; from pathlib import Path; Journal.open(Path({str(path)!r}), 'this', True)"
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert JournalInUse.__name__ in ran.stderr
    with pytest.raises(JournalMismatch, match="holds runs of this; these would be of that"):
        Journal.open(path, "that", resume=True)


def test_an_empty_or_headless_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "runs.journal"
    path.write_bytes(b"0000")
    with Journal.open(path, "x", resume=True) as journal:
        journal.append("a", 1)
    with Journal.open(path, "x", resume=True) as journal:
        assert journal.rows == {"a": 1}


def test_a_run_that_fails_is_named_and_the_finished_ones_are_kept(tmp_path: Path) -> None:
    for place in (here, processes(2)):
        with pytest.raises(RunFailed, match="a, seed 1: ValueError: a fault of the model"):
            measure_all(grid({"a": QUICK}, (1,)), fail, place)


def test_a_process_that_is_killed_stops_the_rest_with_a_way_out() -> None:
    with pytest.raises(PlaceFailed, match="fewer --jobs"):
        measure_all(grid({"a": QUICK}, (1, 2)), die, processes(2))


def test_other_code_elsewhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bpsim.runs.places.code_fingerprint", lambda: "other")
    with pytest.raises(RunFailed, match="another version of bpsim"):
        measure_all(grid({"a": QUICK}, (1,)), offered)
    assert len(code_fingerprint()) == 16


def test_the_processes_end_with_their_parent_however_it_ends() -> None:
    script = (
        "from tests.test_runs import SLOW, offered\n"
        "from bpsim.runs import grid, measure_all, processes\n"
        "measure_all(grid({'a': SLOW}, (1, 2)), offered, processes(2))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[1])
    children = _wait_for(lambda: len(found) >= 2 and found if (found := _children(parent.pid)) else None)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _wait_for(lambda: not any(_alive(child) for child in children))


def _wait_for(condition: Any, patience_s: float = 20.0) -> Any:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("address", ["dask://", "dask://host", "ray://host:1", "host:8786"])
def test_a_place_that_cannot_be_read_is_refused_with_the_form(address: str) -> None:
    with pytest.raises(ValueError, match="write dask://host:port"):
        place_of(address, 1)
