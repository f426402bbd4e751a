"""Where a system collapses: the probability of collapse over a grid of two settings, and over a load that rises and falls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bpsim.claims import Claim
from bpsim.engine import run
from bpsim.metrics import summary
from bpsim.result import Column, Outcome, Result
from bpsim.scenario import Scenario
from bpsim.scenario_file import load

TAIL = 0.2
"""Share of the run, its end, by which collapse is judged."""
COLLAPSED = 0.5
"""Share of the requests born in it that must succeed; with fewer the system has collapsed."""
RULE = f"fewer than {COLLAPSED:.0%} of the requests of the last {TAIL:.0%} of the run succeed"
RANGE = re.compile(
    r"(?P<low>[-+.\deE]+)\s*(?P<unit>\S*?)\.\.(?P<high>[-+.\deE]+)\s*(?P<unit2>\S*?):(?P<count>\d+)(?P<log>log)?"
)


@dataclass(frozen=True)
class Axis:
    """A path into the scenario and its values, as they would be written with `--set`."""

    path: str
    values: tuple[str, ...]

    @property
    def numbers(self) -> list[float]:
        """The values without their unit; 0, 1, 2 … where they are no numbers."""
        found = [re.match(r"[-+.\deE]+", value) for value in self.values]
        return [float(match[0]) for match in found if match] if all(found) else [float(i) for i in range(len(found))]


def axis(text: str) -> Axis:
    """Read `PATH=a,b,c` or `PATH=a..b:n` (n values, evenly spaced; `:nlog` in equal ratios). Raises `ValueError` saying what
    cannot be read."""
    path, equals, values = text.partition("=")
    if not equals or not path or not values:
        raise ValueError(f"'{text}' is not PATH=VALUES, such as client.arrivals.rate=500/s,900/s or api.workers=4..16:4")
    if ".." not in values:
        return Axis(path, tuple(value.strip() for value in values.split(",") if value.strip()))
    match = RANGE.fullmatch(values.strip())
    if match is None:
        raise ValueError(f"'{values}' is not a range; write 500/s..1500/s:6, or :6log for equal ratios")
    unit, count = match["unit"] or match["unit2"], int(match["count"])
    if match["unit"] and match["unit2"] and match["unit"] != match["unit2"]:
        raise ValueError(f"'{values}' begins in {match['unit']} and ends in {match['unit2']}; use one unit")
    low, high = float(match["low"]), float(match["high"])
    if count < 2 or high <= low or (match["log"] and low <= 0):
        raise ValueError(
            f"'{values}' needs two values or more, the last above the first" + (", both above 0" if low <= 0 else "")
        )
    points = np.geomspace(low, high, count) if match["log"] else np.linspace(low, high, count)
    whole = not match["log"] and all(float(point).is_integer() for point in points)
    return Axis(path, tuple(f"{int(point) if whole else float(f'{point:.4g}'):g}{unit}" for point in points))


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
        from scipy.stats import binomtest

        found = binomtest(int(self.collapsed[row, column]), self.seeds).proportion_ci(0.95, "wilson")
        return float(found.low), float(found.high)

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
    found = []
    name = variant
    for second in y.values if y is not None else ("",):
        for first in x.values:
            also = [f"{y.path}={second}"] if y is not None else []
            file = load(path, [*sets, f"{x.path}={first}", *also])
            name = variant or next(iter(file.variants))
            found.append(file.variants[name])
    assert name is not None
    return name, found


def collapse(result: Result) -> bool:
    """The rule `RULE`. Requests of the last 2 % of the run are left out, since they may still be under way; others that are
    count as failed."""
    requests = result.tables["requests"]
    begin = result.ended_s * (1 - TAIL)
    end = result.ended_s * (1 - TAIL / 10)
    born = (requests["born_s"] >= begin) & (requests["born_s"] < end)
    return bool(born.any() and (requests["outcome"][born] == Outcome.OK).mean() < COLLAPSED)


def _cell(scenario: Scenario, seed: int, variant: str, claim: Claim | None) -> bool:
    result = run(scenario, seed, variant=variant)
    return collapse(result) if claim is None else claim.check({variant: summary(result)}).passed


def explore(
    question: str,
    variant: str,
    scenarios: Sequence[Scenario],
    axes: tuple[Axis, Axis | None],
    seeds: int,
    claim: Claim | None = None,
    jobs: int = 2,
    on_done: Callable[[], None] = lambda: None,
) -> Phase:
    """Run every cell with the same seeds 1 … `seeds`, over `jobs` processes. `claim` says what counts as a collapse instead of
    `RULE`. A `KeyboardInterrupt` calls off what has not begun."""
    x, y = axes
    collapsed = np.zeros(len(scenarios), dtype=np.int64)
    pool = ProcessPoolExecutor(jobs)
    try:
        waiting: dict[Future[bool], int] = {
            pool.submit(_cell, scenario, seed, variant, claim): cell
            for cell, scenario in enumerate(scenarios) for seed in range(1, seeds + 1)
        }  # fmt: skip
        for future in as_completed(waiting):
            collapsed[waiting[future]] += future.result()
            on_done()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    rule = RULE if claim is None else claim.text
    return Phase(question, variant, x, y, collapsed.reshape(-1, len(x.values)), seeds, rule)
