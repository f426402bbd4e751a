"""What visitors wait for is made in other processes, once for all who ask, and given up when nobody waits any more."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpsim.allowance import Refused
from bpsim.dashboard import jobs
from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.study import Studies
from bpsim.dashboard.view import look, made
from bpsim.engine import run
from bpsim.runs import CalledOff, Job, PlaceFailed, Task, Workers
from bpsim.verdict import Collapse, Verdict, judge


class Noted(Workers):
    """Workers that remember what they were asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(count, "spawn")
        self.begun: list[tuple[str, Task[Any]]] = []

    def begin(self, job: Job[Any], *arguments: Any) -> Task[Any]:
        task = super().begin(job, *arguments)
        self.begun.append((" ".join([job.__name__, *(told for told in arguments if isinstance(told, str))]), task))
        return task

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.begun]


@pytest.fixture(scope="module")
def pair() -> Iterator[Noted]:
    with Noted(2) as workers:
        yield workers


@pytest.fixture
def studies(pair: Noted) -> Studies:
    wait_for(lambda: pair.idle == 2)
    pair.begun.clear()
    return Studies(pair)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def order(*changes: tuple[str, str], variant: str = "naive") -> Order:
    desk = Desk.opened()
    desk.take(variant)
    for path, value in (("duration", "60 s"), ("faults.0.at", "8 s"), ("faults.0.lasts", "6 s"), *changes):
        desk.set(path, value)
    assert not desk.problems
    return desk.order


CONTROLS = ["control without retries", "control without the trigger"]


def test_the_verdict_is_that_of_a_run_and_its_controls_made_here(studies: Studies, pair: Noted) -> None:
    mine = order()
    with studies.watch(mine) as study:
        seen = study.judged()
    assert pair.names == ["view", *CONTROLS]
    expected = judge(mine.scenario, run(mine.scenario, mine.seed), lambda changed, words: run(changed, mine.seed))
    assert seen.verdict == expected
    assert seen.fingerprint == look(mine, made(mine)).fingerprint
    assert seen.document["variants"]["naive"]["verdict"]["state"] == expected.state == "metastable"


def test_the_control_of_a_run_that_ends_well_is_called_off(studies: Studies, pair: Noted) -> None:
    quiet = "{kind: spike, target: client, at: 2 s, lasts: 585 s, factor: 0.02}"
    with studies.watch(order(("duration", "10 min"), ("faults.0", quiet), variant="no_retry")) as study:
        verdict = study.judged().verdict
        assert isinstance(verdict, Verdict) and verdict.ends_well
        assert pair.names == ["view", "control without the trigger"], "which has fifty times the work of the run itself"
        assert isinstance(pair.begun[1][1].future.exception(30), CalledOff), "while its page is still being drawn"


def test_where_no_process_is_idle_a_run_is_made_without_controls_until_it_needs_them(studies: Studies, pair: Noted) -> None:
    long = order(("duration", "5 min"), ("client.timeout", "900 ms"))
    with studies.watch(long) as first, studies.watch(order(("client.timeout", "1.1 s"))) as second:
        first.begin()
        assert pair.names == ["view", *CONTROLS]
        second.begin()
        assert pair.names[3:] == ["view"]
        assert isinstance(second.judged().verdict, Verdict)
        assert pair.names[3:] == ["view", *CONTROLS]


def test_who_asks_for_what_is_being_made_waits_with_the_others(studies: Studies, pair: Noted) -> None:
    mine = order(("client.timeout", "1.2 s"))
    with studies.watch(mine) as one:
        one.begin()
        with studies.watch(mine) as other:
            assert other is one
        assert other.judged() is one.judged(), "it was not given up when one of two left"
    with studies.watch(mine) as later:
        assert later is not one
        assert later.view() is one.judged()
    assert pair.names == ["view", *CONTROLS]


def test_what_nobody_waits_for_any_more_is_given_up(studies: Studies, pair: Noted) -> None:
    class Left(Exception):
        pass

    def leave(what: str, share: float) -> None:
        raise Left

    long = order(("duration", "10 min"), ("client.timeout", "800 ms"))
    with pytest.raises(Left), studies.watch(long) as study:
        study.view(leave)
    for _, task in pair.begun:
        assert task.future.cancelled() or isinstance(task.future.exception(30), CalledOff)
    assert study.known is None


def test_a_view_that_was_left_before_its_verdict_needs_its_controls_only(studies: Studies, pair: Noted) -> None:
    mine = order(("client.timeout", "1.3 s"))
    with studies.watch(mine) as study:
        assert isinstance(study.view().verdict, Collapse)
    pair.begun.clear()
    with studies.watch(mine) as study:
        assert isinstance(study.judged().verdict, Verdict)
    assert pair.names == CONTROLS


def test_what_is_too_large_is_refused_by_the_process_that_would_run_it(studies: Studies) -> None:
    with studies.watch(order(("client.arrivals.rate", "50000/s"), ("duration", "10 min"))) as study, pytest.raises(Refused):
        study.view()


def test_a_killed_process_is_said_and_the_next_one_works(studies: Studies, pair: Noted) -> None:
    with pytest.raises(PlaceFailed, match="out of memory"), studies.watch(order(("duration", "10 min"))) as study:
        study.begin()
        wait_for(lambda: pair.begun[0][1].future.running() and pair._pool is not None and pair._pool._processes)
        assert pair._pool is not None
        for pid in list(pair._pool._processes):
            os.kill(pid, signal.SIGKILL)
        study.view()
    with studies.watch(order(("client.timeout", "1.4 s"))) as study:
        assert study.view().fingerprint


def test_a_report_and_a_picture_are_those_of_the_run(studies: Studies, pair: Noted) -> None:
    mine = order()
    with studies.watch(mine) as study:
        view = study.judged()
    page = pair.begin(jobs.report, mine, view.document).result()
    assert view.fingerprint in page and "metastable" in page
    assert pair.begin(jobs.picture, mine).result().startswith(b"\x89PNG")


def test_memory_is_bounded_over_a_hundred_changes(studies: Studies, pair: Noted) -> None:
    def pages() -> dict[int, int]:
        assert pair._pool is not None
        return {pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (os.getpid(), *pair._pool._processes)}

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here to read the memory of processes from")
    brief, found = (("faults.0.at", "1 s"), ("faults.0.lasts", "1 s"), ("duration", "3 s")), []
    for change in range(100):
        with studies.watch(order(*brief, ("client.timeout", f"{500 + change} ms"))) as study:
            study.judged()
        pair.begun.clear()
        found.append(pages())
    assert len(studies.shelf) == 24
    grown = [(found[-1][pid] - found[35][pid]) * 4096 for pid in found[35]]
    assert max(grown) < 25e6, "after the shelf is full, nothing grows with the number of changes"
