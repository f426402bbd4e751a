"""Running the variants of a scenario file on the same arrivals and demands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING

from bpsim.claims import Judged
from bpsim.engine import Simulation
from bpsim.explanation import Explanation, explain
from bpsim.metrics import summary
from bpsim.metrics.headlines import HEADLINES
from bpsim.result import Result
from bpsim.scenario import Scenario
from bpsim.scenario_file import ScenarioFile
from bpsim.verdict import Rerun, Verdict
from bpsim.verdict import judge as judge_run

if TYPE_CHECKING:
    import pandas as pd

SLICES = 200
"""How often progress is told and an interrupt heeded."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    run: str
    """The variant, or a control of it."""
    now_s: float
    duration_s: float
    events: int


@dataclass(frozen=True)
class Experiment:
    """Every variant's result and summary, and the claims, judged. In a notebook the object shows itself as a table."""

    file: ScenarioFile
    seed: int
    results: dict[str, Result]
    summaries: dict[str, dict[str, float]]
    judged: tuple[Judged, ...]
    interrupted: bool
    verdicts: dict[str, Verdict]
    """What became of each variant; empty when interrupted."""

    @cached_property
    def explanations(self) -> dict[str, Explanation]:
        """Why each variant went as it did."""
        return {name: explain(result, self.summaries[name]) for name, result in self.results.items()}

    @property
    def frame(self) -> pd.DataFrame:
        """One row a variant, one column a metric of `bpsim list`; NaN where there is nothing to measure."""
        import pandas as pd

        return pd.DataFrame.from_dict(self.summaries, orient="index")

    @property
    def table(self) -> pd.DataFrame:
        """The headline metrics as people read them: one row a metric, one column a variant."""
        import pandas as pd

        shown = [line for line in HEADLINES if any(values[line.metric] not in (0, None) for values in self.summaries.values())]
        cells = {
            name: ["–" if isnan(values[line.metric]) else line.show(values[line.metric]) for line in shown]
            for name, values in self.summaries.items()
        }
        return pd.DataFrame(cells, index=[line.label for line in shown])

    def _repr_html_(self) -> str:
        from html import escape

        verdicts = [f"{name}: {verdict.state}. {verdict.words}" for name, verdict in self.verdicts.items()]
        claims = [f"{'holds' if one.passed else 'DOES NOT HOLD'}: {one.claim}" for one in self.judged]
        lines = "".join(f"<li>{escape(line)}</li>" for line in (*verdicts, *claims))
        return f"<div><p><strong>{escape(self.file.question)}</strong></p><ul>{lines}</ul>{self.table.to_html()}</div>"


def run_variants(
    file: ScenarioFile,
    seed: int = 1,
    only: tuple[str, ...] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    controls: bool = True,
) -> Experiment:
    """Run every variant (or those named in `only`) with one seed: common random numbers. When `stop` says so, what is
    done so far is kept, the unfinished variant included, and nothing is judged. A variant that ends badly is run again
    without its cause, unless `controls` is false."""
    results: dict[str, Result] = {}
    names = [name for name in file.variants if not only or name in only]
    for name in names:
        result = run_slice_by_slice(file.variants[name], seed, name, name, on_progress, stop)
        if result.ended_s > 0:
            results[name] = replace(result, places=file.places.get(name, {}))
        if stop():
            break
    summaries = {name: summary(result) for name, result in results.items()}
    interrupted = len(results) < len(names) or any(result.ended_s < result.duration_s for result in results.values())
    judged = () if interrupted else judge(file, summaries)
    verdicts: dict[str, Verdict] = {}
    for name in () if interrupted else names:
        rerun = _control(seed, name, on_progress, stop) if controls else lambda scenario, words: None
        verdicts[name] = judge_run(file.variants[name], results[name], rerun, summaries[name])
        if stop():
            verdicts, judged, interrupted = {}, (), True
            break
    return Experiment(file, seed, results, summaries, judged, interrupted, verdicts)


def run_slice_by_slice(
    scenario: Scenario,
    seed: int,
    variant: str,
    label: str,
    on_progress: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> Result:
    """Run `scenario`, telling of its progress as `label`, until it ends or `stop` says so."""
    simulation = Simulation(scenario, seed, variant=variant)
    for step in range(1, SLICES + 1):
        if stop():
            break
        simulation.advance(simulation.duration * step / SLICES)
        on_progress(Progress(label, simulation.now, simulation.duration, simulation.events))
    return simulation.result()


def _control(seed: int, variant: str, on_progress: Callable[[Progress], None], stop: Callable[[], bool]) -> Rerun:
    def rerun(scenario: Scenario, words: str) -> Result:
        return run_slice_by_slice(scenario, seed, variant, f"{variant} {words}", on_progress, stop)

    return rerun


def judge(file: ScenarioFile, summaries: dict[str, dict[str, float]]) -> tuple[Judged, ...]:
    """The verdict on every claim whose variants were run."""

    def can_be_judged(names: list[tuple[str | None, str]]) -> bool:
        return all(variant is None or variant in summaries for variant, _ in names)

    return tuple(claim.check(summaries) for claim in file.expect if can_be_judged(claim.names))
