"""Where a system collapses: the probability of collapse over a grid of two settings, and over a load that rises and falls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bpsim.claims import Claim
from bpsim.metrics import summary
from bpsim.paired import share_interval
from bpsim.result import Column, Outcome, Result
from bpsim.runs import Journal, Place, Progress, Run, here, measure_all, untold
from bpsim.scenario import Scenario
from bpsim.scenario_file import load
from bpsim.settings import Axis, changed

TAIL = 0.2
"""Share of the run, its end, by which collapse is judged."""
COLLAPSED = 0.5
"""Share of the requests born in it that must succeed; with fewer the system has collapsed."""
RULE = f"fewer than {COLLAPSED:.0%} of the requests of the last {TAIL:.0%} of the run succeed"


@dataclass(frozen=True)
class Phase:
    """How many of the seeds collapsed in each cell: `collapsed[row of y][column of x]`."""

    question: str
    variant: str
    x: Axis
    y: Axis | None
    collapsed: Column
    seeds: int
    rule: str

    @property
    def probability(self) -> Column:
        """Share of the seeds that collapsed."""
        return self.collapsed / self.seeds

    @property
    def alt(self) -> str:
        """The map in words, for those who cannot see it."""
        sure, never = int((self.collapsed == self.seeds).sum()), int((self.collapsed == 0).sum())
        over = self.x.path if self.y is None else f"{self.x.path} and {self.y.path}"
        return (
            f"Share of {self.seeds} seeds in which {self.variant} collapses over {over}: always in {sure} of "
            f"{self.collapsed.size} cells, never in {never}."
        )

    def interval(self, row: int, column: int) -> tuple[float, float]:
        """95 % interval of the probability (Wilson 1927)."""
        return share_interval(int(self.collapsed[row, column]), self.seeds)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One a cell, for a table or a file."""
        for row in range(self.collapsed.shape[0]):
            for column, value in enumerate(self.x.values):
                low, high = self.interval(row, column)
                y = {self.y.path: self.y.values[row]} if self.y is not None else {}
                hits = int(self.collapsed[row, column])
                yield {self.x.path: value, **y, "collapsed": hits, "seeds": self.seeds,
                       "probability": hits / self.seeds, "low": low, "high": high}  # fmt: skip


def cells(path: Path, sets: Sequence[str], variant: str | None, x: Axis, y: Axis | None) -> tuple[str, list[Scenario]]:
    """The scenario of every cell, row by row, and the name of the variant. Raises `InvalidScenario` for a value that the
    scenario does not take, and `KeyError` for a variant that is not there."""
    written = load(path, sets).written
    name = variant or next(iter(written))
    rows = [[f"{y.path}={value}"] for value in y.values] if y is not None else [[]]
    settings = [[f"{x.path}={value}", *row] for row in rows for value in x.values]
    return name, [changed({name: written[name]}, setting, str(path))[name] for setting in settings]


def collapse(result: Result) -> bool:
    """The rule `RULE`. Requests of the last 2 % of the run are left out, since they may still be under way; others that are
    count as failed."""
    requests = result.tables["requests"]
    begin = result.ended_s * (1 - TAIL)
    end = result.ended_s * (1 - TAIL / 10)
    born = (requests["born_s"] >= begin) & (requests["born_s"] < end)
    return bool(born.any() and (requests["outcome"][born] == Outcome.OK).mean() < COLLAPSED)


def _collapsed(claim: Claim | None, result: Result) -> bool:
    return collapse(result) if claim is None else claim.check({result.variant: summary(result)}).passed


def runs_of(axes: tuple[Axis, Axis | None], seeds: int) -> int:
    """How many runs a map of these axes takes."""
    return prod(len(axis.values) for axis in axes if axis is not None) * seeds


def explore(
    question: str,
    variant: str,
    scenarios: Sequence[Scenario],
    axes: tuple[Axis, Axis | None],
    seeds: int,
    claim: Claim | None = None,
    place: Place = here,
    journal: Journal | None = None,
    on_progress: Progress = untold,
) -> Phase:
    """Run every cell with the same seeds 1 … `seeds`. `claim` says what counts as a collapse instead of `RULE`. See
    `bpsim.runs` for the rest."""
    runs = [Run(scenario, seed, variant) for scenario in scenarios for seed in range(1, seeds + 1)]
    hits = measure_all(runs, partial(_collapsed, claim), place, journal, on_progress)
    x, y = axes
    collapsed = np.array(hits, dtype=np.int64).reshape(-1, len(x.values), seeds).sum(axis=2)
    return Phase(question, variant, x, y, collapsed, seeds, RULE if claim is None else claim.text)
