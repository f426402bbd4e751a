"""Running the variants of a scenario file on the same arrivals and demands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpsim.claims import Verdict
from bpsim.engine import Simulation
from bpsim.metrics import summary
from bpsim.result import Result
from bpsim.scenario_file import ScenarioFile

SLICES = 200
"""How often progress is told and an interrupt heeded."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    variant: str
    number: int
    """Which variant, from 0."""
    variants: int
    now_s: float
    duration_s: float
    events: int


@dataclass(frozen=True)
class Experiment:
    """Every variant's result and summary, and the verdicts on the claims."""

    file: ScenarioFile
    seed: int
    results: dict[str, Result]
    summaries: dict[str, dict[str, float]]
    verdicts: tuple[Verdict, ...]
    interrupted: bool


def run_variants(
    file: ScenarioFile,
    seed: int = 1,
    only: tuple[str, ...] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> Experiment:
    """Run every variant (or those named in `only`) with one seed: common random numbers. When `stop` says so, what is
    done so far is kept, the unfinished variant included, and no claim is judged."""
    results: dict[str, Result] = {}
    names = [name for name in file.variants if not only or name in only]
    for number, name in enumerate(names):
        scenario = file.variants[name]
        simulation = Simulation(scenario, seed, variant=name)
        for step in range(1, SLICES + 1):
            if stop():
                break
            simulation.advance(simulation.duration * step / SLICES)
            done = Progress(name, number, len(names), simulation.now, simulation.duration, simulation.events)
            on_progress(done)
        if simulation.now > 0:
            results[name] = simulation.result()
        if stop():
            break
    summaries = {name: summary(result) for name, result in results.items()}
    interrupted = len(results) < len(names) or any(result.ended_s < result.duration_s for result in results.values())
    verdicts = () if interrupted else judge(file, summaries)
    return Experiment(file, seed, results, summaries, verdicts, interrupted)


def judge(file: ScenarioFile, summaries: dict[str, dict[str, float]]) -> tuple[Verdict, ...]:
    """The verdict on every claim whose variants were run."""

    def can_be_judged(names: list[tuple[str | None, str]]) -> bool:
        return all(variant is None or variant in summaries for variant, _ in names)

    return tuple(claim.check(summaries) for claim in file.expect if can_be_judged(claim.names))
