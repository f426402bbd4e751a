"""How often the claims of a scenario file hold: over many seeds, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bpsim.claims import Judged
from bpsim.metrics import summary
from bpsim.paired import share_interval
from bpsim.result import Result
from bpsim.runs import Place, Progress, grid, here, measure_all, untold
from bpsim.scenario_file import ScenarioFile


@dataclass(frozen=True)
class Trial:
    """A claim over many seeds: in which of them it holds, and the share of them that it asks for itself."""

    claim: str
    demand: float
    judged: dict[int, Judged]
    """By seed."""

    @property
    def seeds(self) -> int:
        """How many there were."""
        return len(self.judged)

    @property
    def passed(self) -> int:
        """In how many of them it holds."""
        return sum(one.passed for one in self.judged.values())

    @property
    def share(self) -> float:
        """Share of the seeds in which it holds: an estimate of its probability."""
        return self.passed / self.seeds

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of that probability (Wilson 1927)."""
        return share_interval(self.passed, self.seeds)

    @property
    def holds(self) -> bool:
        """Whether it holds as often as it says."""
        return self.share >= self.demand

    @property
    def failures(self) -> dict[int, Judged]:
        """The seeds in which it does not hold."""
        return {seed: one for seed, one in self.judged.items() if not one.passed}


def try_claims(
    file: ScenarioFile, seeds: Sequence[int], place: Place = here, on_progress: Progress = untold
) -> tuple[Trial, ...]:
    """Run the variants that the claims of `file` are about with each of `seeds`; one trial a claim."""
    names = [[variant or next(iter(file.variants)) for variant, _ in claim.names] for claim in file.expect]
    needed = [name for name in file.variants if any(name in about for about in names)]
    metrics = sorted({metric for claim in file.expect for _, metric in claim.names})
    runs = grid({name: file.variants[name] for name in needed}, seeds)
    values = measure_all(runs, partial(_some, tuple(metrics)), place, None, on_progress)
    found = {(run.variant, run.seed): row for run, row in zip(runs, values, strict=True)}
    return tuple(
        Trial(claim.text, claim.share, {seed: claim.check({name: found[name, seed] for name in needed}) for seed in seeds})
        for claim in file.expect
    )


def _some(metrics: tuple[str, ...], result: Result) -> dict[str, float]:
    every = summary(result)
    return {name: every[name] for name in metrics}
