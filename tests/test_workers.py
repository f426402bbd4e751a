"""Processes that stay: jobs begin in them, tell how far they are, and can be called off."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from bpsim.allowance import Allowance
from bpsim.runs import PlaceFailed, RunFailed, Workers, grid, measure_all
from tests.pipelines import exponential, poisson, station
from tests.test_runs import QUICK, offered

Tell = Callable[[float], None]


def doubled(number: int, on_progress: Tell) -> tuple[int, int]:
    return os.getpid(), 2 * number


def endless(on_progress: Tell) -> None:
    while True:
        on_progress(0.5)
        time.sleep(0.01)


def refused(on_progress: Tell) -> None:
    raise ValueError("too large")


def killed(on_progress: Tell) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, "spawn") as found:
        yield found


def test_processes_are_kept(workers: Workers) -> None:
    found = [workers.begin(doubled, number).result() for number in range(4)]
    assert [answer for _, answer in found] == [0, 2, 4, 6]
    assert len({pid for pid, _ in found}) <= 2
    assert os.getpid() not in {pid for pid, _ in found}


def test_what_a_job_raises_is_raised_where_it_is_waited_for(workers: Workers) -> None:
    with pytest.raises(ValueError, match="too large"):
        workers.begin(refused).result()


def test_progress_is_told_and_who_leaves_can_call_the_job_off(workers: Workers) -> None:
    class Left(Exception):
        pass

    def leave(share: float) -> None:
        told.append(share)
        if share == 0.5:
            raise Left

    told: list[float] = []
    task = workers.begin(endless)
    assert workers.idle == 1
    with pytest.raises(Left):
        task.result(leave)
    task.stop()
    other = workers.begin(endless)
    other.stop()
    assert task.future.exception(20) is not None
    assert other.future.cancelled() or other.future.exception(20) is not None
    assert workers.begin(doubled, 3).result()[1] == 6, "its slot is free, and no stop is left in it"
    third = workers.begin(endless)
    task.stop()
    other.stop()
    time.sleep(0.5)
    assert not third.future.done(), "who was called off before has no say in what has its slot now"
    third.stop()
    assert third.future.exception(20) is not None
    assert workers.idle == 2


def test_a_killed_process_is_told_of_and_made_up_for(workers: Workers) -> None:
    with pytest.raises(PlaceFailed, match="out of memory"):
        workers.begin(killed).result()
    assert workers.begin(doubled, 1).result()[1] == 2
    assert workers.idle == 2


def test_runs_of_a_place_let_others_in_between(workers: Workers) -> None:
    begun, late = threading.Event(), []

    def other() -> None:
        begun.wait(20)
        late.append(workers.begin(doubled, 1).result()[1])

    thread = threading.Thread(target=other)
    thread.start()
    rows = []
    for row in workers.place(grid({"a": QUICK}, range(1, 41)), offered):
        begun.set()
        rows.append((row, bool(late)))
    thread.join()
    assert sorted(number for (number, _), _ in rows) == list(range(40))
    assert [done for _, done in rows].count(True) > 10, "who came after the first run did not wait for the last"
    assert measure_all(grid({"a": QUICK}, (1, 2)), offered, workers.place) == measure_all(grid({"a": QUICK}, (1, 2)), offered)


LONG = station(poisson(1000.0), exponential(0.0005), 1000.0)


def test_runs_of_a_place_end_when_nobody_wants_them(workers: Workers) -> None:
    def leave(done: float) -> None:
        seen.append(done)
        if done > 0.01:
            raise KeyboardInterrupt

    seen: list[float] = []
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(workers.place(grid({"a": LONG}, (1, 2, 3)), offered, Allowance(), leave))
    while workers.idle < 2:
        assert time.monotonic() < begun + 30, "each would take longer than that"
        time.sleep(0.01)


def test_a_run_of_a_place_that_costs_too_much_is_refused_and_says_what_it_took(workers: Workers) -> None:
    with pytest.raises(RunFailed, match=r"a, seed 1: stopped at .* after 2,000 events, all that a run may have here"):
        list(workers.place(grid({"a": LONG}, (1,)), offered, Allowance(events=2000)))
    with pytest.raises(RunFailed, match="1,000,000 requests are more than the 100 that may be simulated here"):
        list(workers.place(grid({"a": LONG}, (1,)), offered, Allowance(requests=100)))
    inside = grid({"a": QUICK}, (1, 2))
    assert measure_all(inside, offered, partial(workers.place, allowance=Allowance())) == measure_all(inside, offered)


def test_places_leave_the_spare_processes_to_others() -> None:
    with Workers(2, spare=1) as workers:

        def begin() -> None:
            with suppress(PlaceFailed):  # closed in the end
                list(workers.place(grid({"a": LONG}, (1, 2)), offered, Allowance()))

        for _ in range(2):
            threading.Thread(target=begin, daemon=True).start()
        time.sleep(0.5)
        assert workers.idle == 1, "one run for two places"
        assert workers.begin(doubled, 4).result()[1] == 8


def test_closing_ends_jobs_that_do_not_end() -> None:
    with Workers(1) as workers:
        task = workers.begin(endless)
        while not task.future.running():
            time.sleep(0.01)
    assert task.future.done()
