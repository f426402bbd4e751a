"""Many runs: settings × seeds, each measured where it ran, told of as it finishes, and kept so that none is made twice.

This is the one mechanism behind `phase`, `hysteresis`, `compare`, `sweep` and `tune`, and the thing to use for any other
question that takes many runs:

    runs = grid(file.variants, range(1, 21))                    # every scenario with every seed
    with Journal.open(path, "sweep", resume=True) as journal:   # optional: survives kill -9
        rows = measure_all(runs, summary, processes(2), journal, bar)

`measure` is a module-level function (or a `functools.partial` of one) from `Result` to what is wanted of it: it travels to
where the run is made, so the tables of a run never travel. What comes back is in the order of `runs`, and the same numbers
wherever they were made. A `Place` makes the runs: `here`, `processes(n)`, or `dask("dask://scheduler:8786")`. `Workers` are
processes that stay, for who serves others: their `place` is one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

from bpsim.allowance import untold
from bpsim.runs.journal import Journal, JournalInUse, JournalMismatch
from bpsim.runs.places import Place, dask, here, place_of, processes
from bpsim.runs.run import CalledOff, Measure, PlaceFailed, Run, RunFailed, code_fingerprint
from bpsim.runs.workers import Job, Task, Workers
from bpsim.scenario import Scenario

__all__ = [
    "CalledOff",
    "Job",
    "Journal",
    "JournalInUse",
    "JournalMismatch",
    "Measure",
    "Place",
    "PlaceFailed",
    "Progress",
    "Run",
    "RunFailed",
    "Task",
    "Workers",
    "code_fingerprint",
    "dask",
    "grid",
    "here",
    "measure_all",
    "place_of",
    "processes",
    "untold",
]

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told (how many are made, how many are to be made): once at the start and after each."""


def grid(scenarios: Mapping[str, Scenario], seeds: Iterable[int]) -> list[Run]:
    """Every scenario with every seed, scenario by scenario: common random numbers across the scenarios."""
    chosen = tuple(seeds)
    return [Run(scenario, seed, name) for name, scenario in scenarios.items() for seed in chosen]


def measure_all(
    runs: Sequence[Run],
    measure: Measure[T],
    place: Place = here,
    journal: Journal | None = None,
    on_progress: Progress = untold,
) -> list[T]:
    """What `measure` makes of each of `runs`, in their order.

    Runs that `journal` knows are not made again, equal ones are made once, and each is in the journal before `on_progress`
    is told of it. With a journal, `measure` returns what JSON can hold. Raises `RunFailed` when a run fails and
    `PlaceFailed` when the place does; what was finished by then, or by an interrupt, is in the journal.
    """
    known: dict[str, T] = dict(journal.rows) if journal is not None else {}
    missing = {run.key: run for run in runs if run.key not in known}
    order = list(missing)
    on_progress(0, len(order))
    with closing(place(list(missing.values()), measure)) as finished:
        for done, (number, row) in enumerate(finished, 1):
            known[order[number]] = row
            if journal is not None:
                journal.append(order[number], row)
            on_progress(done, len(order))
    return [known[run.key] for run in runs]
