"""Many settings of one scenario, each with the same seeds: a tidy table of what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpsim.contenders import What, opened
from bpsim.designs import Kind, Point, points_of, span
from bpsim.document import InvalidScenario, Problem
from bpsim.metrics import METRICS, summary
from bpsim.metrics.headlines import headline
from bpsim.runs import Journal, Place, Progress, Run, code_fingerprint, here, measure_all, place_of, untold
from bpsim.scenario import Scenario
from bpsim.scenario_file import ScenarioFile, Written
from bpsim.settings import Axis, as_text, as_written, changed

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("goodput_per_s", "success_share", "latency_final_s_p99", "amplification", "api_peak_bytes")
"""The metrics of the short table."""


@dataclass(frozen=True)
class Sweep:
    """What came out of every point, variant and seed.

    `frame` is tidy, one row a run: `point` (0, 1, …), one column a swept path (a number in SI units where the scenario has a
    number there, otherwise text as written), `variant`, `seed`, and every metric of `bpsim list` under its name and unit.
    """

    question: str
    variants: tuple[str, ...]
    points: tuple[Point, ...]
    seeds: tuple[int, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """What was swept over."""
        return tuple(dict.fromkeys(path for point in self.points for path in point))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a run."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    @cached_property
    def means(self) -> pd.DataFrame:
        """One row a point and variant: the means over the seeds in which a metric exists."""
        keys = ["point", *self.paths, "variant"]
        return self.frame.groupby(keys, sort=False, dropna=False)[list(METRICS)].mean().reset_index()

    @property
    def table(self) -> pd.DataFrame:
        """The table people read: paths as written, variant, and a few means."""
        import pandas as pd

        rows = []
        for _, row in self.means.iterrows():
            written = {path: self.points[int(row["point"])].get(path, "") for path in self.paths}
            means = {headline(metric).label: _shown(metric, float(row[metric])) for metric in SHOWN}
            rows.append({**written, "variant": row["variant"], **means})
        return pd.DataFrame(rows)

    @property
    def size(self) -> str:
        """How many runs, in words."""
        parts = ((len(self.points), "point"), (len(self.variants), "variant"), (len(self.seeds), "seed"))
        return " × ".join(f"{count:,} {word}{'s' if count != 1 else ''}" for count, word in parts)

    def _repr_html_(self) -> str:
        from html import escape

        what = f"{self.size}; means over the seeds"
        return f"<div><p><strong>{escape(self.question)}</strong></p><p>{what}</p>{self.table.to_html(index=False)}</div>"


def _shown(metric: str, value: float) -> str:
    return "-" if value != value else headline(metric).show(value)


def sweep(
    what: What,
    over: Mapping[str, str | Sequence[Any]] | Sequence[Mapping[str, Any]],
    *,
    seeds: int | Sequence[int] = 5,
    sample: int | None = None,
    design: Kind = "lhs",
    jobs: int | None = None,
    on: str | None = None,
    journal: Path | str | None = None,
    on_progress: Progress = untold,
) -> Sweep:
    """Run a scenario, or every variant of a file, over settings and seeds.

    `over` maps paths to values: a list (`[100, 200]`, numbers without a unit are SI), a range in text (`"500/s..1500/s:6"`,
    `":6log"`), or with `sample` points of a `design` (`"lhs"`, `"random"`) a range without a count (`"10..1000:log"`). A
    sequence of mappings is a list of points. `seeds` is how many (1 … n) or which. With a `journal` the runs are kept there
    as they finish, and made once: call again after whatever stopped it. Raises `InvalidScenario`, `ValueError`, and what
    `bpsim.runs.measure_all` and `Journal.open` raise.

    >>> import bpsim
    >>> found = bpsim.sweep("gc_pause", {"faults.0.lasts": [0.3, 1], "duration": ["60 s"]}, seeds=2, jobs=1)
    >>> found.size
    '2 points × 5 variants × 2 seeds'
    >>> found.frame["faults.0.lasts"].unique().tolist()
    [0.3, 1.0]
    """
    import os

    place = place_of(on, jobs or os.cpu_count() or 1)
    chosen = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(seeds)
    points = _points(over, sample, design)
    file = opened(what)
    variants = file.written if isinstance(file, ScenarioFile) else as_written(file)
    cells = scenarios_at(variants, points, "the scenario", None)
    if journal is None:
        return run_cells(points, cells, chosen, place, None, on_progress)
    with Journal.open(Path(journal), f"sweep, model {code_fingerprint()}", resume=True) as kept:
        return run_cells(points, cells, chosen, place, kept, on_progress)


def _points(over: Mapping[str, Any] | Sequence[Mapping[str, Any]], sample: int | None, design: Kind) -> list[Point]:
    if not isinstance(over, Mapping):
        return [{path: as_text(value) for path, value in point.items()} for point in over]
    parts = [
        span(f"{path}={values}") if isinstance(values, str) else Axis(path, tuple(map(as_text, values)))
        for path, values in over.items()
    ]
    return points_of(parts, sample, design)


def scenarios_at(
    variants: Mapping[str, Written], points: Sequence[Point], of: str, source: str | None = "yaml"
) -> list[dict[str, Scenario]]:
    """Every variant at every point. Raises `InvalidScenario` with all that is wrong anywhere."""
    cells: list[dict[str, Scenario]] = []
    problems: list[Problem] = []
    for point in points:
        try:
            cells.append(changed(variants, [f"{path}={value}" for path, value in point.items()], of, source))
        except InvalidScenario as error:
            problems += error.problems
    if problems:
        raise InvalidScenario(problems)
    return cells


def run_cells(
    points: Sequence[Point],
    cells: Sequence[Mapping[str, Scenario]],
    seeds: tuple[int, ...],
    place: Place = here,
    journal: Journal | None = None,
    on_progress: Progress = untold,
) -> Sweep:
    """`sweep` for the scenarios that `scenarios_at` made of `points`."""
    variants = tuple(cells[0])
    places = [(number, name) for number in range(len(points)) for name in variants]
    runs = [Run(cells[number][name], seed, name) for number, name in places for seed in seeds]
    measured = iter(measure_all(runs, summary, place, journal, on_progress))
    columns: dict[str, list[float | str]] = {}
    for path in dict.fromkeys(path for point in points for path in point):
        texts = [points[number].get(path, "") for number, _ in places]
        values = [_value(cells[number][name], name, path, text) for (number, name), text in zip(places, texts, strict=True)]
        columns[path] = values if all(isinstance(value, float) for value in values) else [*texts]
    rows = [
        {"point": number, **{path: values[row] for path, values in columns.items()}, "variant": name, "seed": seed}
        | dict(next(measured))
        for row, (number, name) in enumerate(places)
        for seed in seeds
    ]
    return Sweep(cells[0][variants[0]].question, variants, tuple(points), seeds, tuple(rows))


def _value(scenario: Scenario, name: str, path: str, text: str) -> float | str:
    """What stands at `path`, when it is a number (in SI units), otherwise `text`."""
    tree: Any = scenario.model_dump()
    for part in path.removeprefix(f"variants.{name}.").split("."):
        if isinstance(tree, Mapping):
            tree = tree.get(part)
        elif isinstance(tree, tuple | list) and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return text
    return float(tree) if isinstance(tree, int | float) and not isinstance(tree, bool) else text
