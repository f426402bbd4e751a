"""Where candidates are tried: each once, all with the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bpsim.designs import Point, Span
from bpsim.document import InvalidScenario
from bpsim.goals import Goal
from bpsim.metrics import summary
from bpsim.runs import Journal, Place, Progress, Run, here, measure_all, untold
from bpsim.scenario import Scenario
from bpsim.scenario_file import Written
from bpsim.settings import changed


@dataclass(frozen=True)
class Tried:
    """One candidate and what came out of every seed."""

    point: Point
    size: float
    """Where the settings to be small stand in their ranges, mean of them: 0 the smallest, 1 the largest."""
    rows: tuple[Mapping[str, float], ...]
    """Empty when the settings do not go together."""
    met: tuple[tuple[bool, ...], ...]
    """By seed and goal."""
    miss: float
    """How far it is from the goals: 0 when every seed meets all, at most 1."""

    def share(self, number: int | None = None) -> float:
        """Of the seeds, those that meet goal `number`, or all goals."""
        if not self.met:
            return 0.0
        return float(np.mean([all(one) if number is None else one[number] for one in self.met]))

    def mean(self, metric: str) -> float:
        """Over the seeds in which it exists."""
        real = [row[metric] for row in self.rows if np.isfinite(row[metric])]
        return float(np.mean(real)) if real else float("nan")


def check_ends(written: Written, variant: str, spans: Sequence[Span], of: str, source: str | None = "yaml") -> None:
    """Raises `InvalidScenario` when neither the lowest settings nor the highest make a scenario: a path that does not exist,
    a value without its unit."""
    low, high = ([f"{span.path}={span.ends[end]}" for span in spans] for end in (0, 1))
    try:
        changed({variant: written}, high, of, source)
    except InvalidScenario:
        changed({variant: written}, low, of, source)


@dataclass
class Bench:
    """Tries candidates for the settings of `variant`, and remembers them."""

    written: Written
    variant: str
    goals: tuple[Goal, ...]
    seeds: tuple[int, ...]
    smallest: tuple[Span, ...]
    share: float
    of: str
    source: str | None = "yaml"
    place: Place = here
    journal: Journal | None = None
    on_progress: Progress = untold
    tried: dict[tuple[tuple[str, str], ...], Tried] = field(default_factory=dict)

    def meets(self, one: Tried) -> bool:
        """Whether enough seeds meet all goals."""
        return one.share() >= self.share

    def try_all(self, points: Sequence[Point], seeds: tuple[int, ...] = ()) -> list[Tried]:
        """Those of `points` that were not tried yet are run together. Other `seeds` leave no trace."""
        keys = [tuple(point.items()) for point in points]
        known = {} if seeds else self.tried
        scenarios = {key: self._scenario(dict(key)) for key in keys if key not in known}
        chosen = seeds or self.seeds
        runs = [Run(one, seed, self.variant) for one in scenarios.values() if one is not None for seed in chosen]
        rows = iter(measure_all(runs, summary, self.place, self.journal, self.on_progress))
        for key, one in scenarios.items():
            known[key] = self._judged(dict(key), [next(rows) for _ in chosen] if one is not None else [])
        return [known[key] for key in keys]

    def _scenario(self, point: Point) -> Scenario | None:
        """None for settings that do not go together."""
        assignments = [f"{path}={value}" for path, value in point.items()]
        try:
            return changed({self.variant: self.written}, assignments, self.of, self.source)[self.variant]
        except InvalidScenario:
            return None

    def _judged(self, point: Point, rows: Sequence[Mapping[str, float]]) -> Tried:
        met = tuple(tuple(one.met(row, self.variant) for one in self.goals) for row in rows)
        missed = [one.miss(row, self.variant) for one in self.goals for row in rows]
        miss = float(np.mean(missed)) if missed else 1.0
        sizes = [span.share_of(point[span.path]) for span in self.smallest]
        return Tried(point, float(np.mean(sizes)), tuple(rows), met, miss)
