"""Challenges: a broken pipeline, a goal in the language of claims, what may be changed, and whether it was met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bpsim.runs import Place, Progress, here, untold
from bpsim.scenario import Scenario
from bpsim.scenario_file import ScenarioFile, load
from bpsim.spec import merged
from bpsim.trials import Trial, try_claims
from bpsim.workshop.material import HERE, challenges

ENOUGH = 0.95
"""A goal is met when it is reached in this share of the seeds."""


@dataclass(frozen=True)
class Challenge:
    """One of them. `may_change` and `but_not` are paths of a scenario (or keys of Flink), with all that is below them."""

    name: str
    path: Path
    minutes: int
    may_change: tuple[str, ...]
    but_not: tuple[str, ...]
    hint: str
    solution: dict[str, Any]
    why: str

    @property
    def file(self) -> ScenarioFile:
        """As shipped."""
        return load(self.path)

    @property
    def text(self) -> str:
        """The file as shipped, to be worked on."""
        return self.path.read_text(encoding="utf-8")

    @property
    def question(self) -> str:
        """What it asks."""
        return self.file.question

    @property
    def goals(self) -> tuple[str, ...]:
        """What must hold, in the language of claims."""
        return tuple(claim.text for claim in self.file.expect)

    @property
    def answer(self) -> str:
        """The reference solution, as it is written in a scenario."""
        return str(yaml.safe_dump(self.solution, sort_keys=False)).rstrip()

    def solved_text(self) -> str:
        """The file with the reference solution in it, as one that can be run."""
        tree = merged(yaml.safe_load(self.text), self.solution)
        return str(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120))


@dataclass(frozen=True)
class Attempt:
    """What somebody made of a challenge: settings that were not theirs to change, and each goal over the seeds."""

    forbidden: tuple[str, ...]
    goals: tuple[Trial, ...]

    @property
    def passed(self) -> bool:
        """Whether it is solved."""
        return not self.forbidden and all(map(is_met, self.goals))


def is_met(goal: Trial) -> bool:
    """Whether a goal is reached in enough of the seeds."""
    return goal.share >= ENOUGH


@cache
def catalogue() -> dict[str, Challenge]:
    """Every challenge by name."""
    told = yaml.safe_load((HERE / "challenges.yaml").read_text(encoding="utf-8"))
    return {name: _told(name, path, told[name]) for name, path in challenges().items()}


def _told(name: str, path: Path, about: dict[str, Any]) -> Challenge:
    return Challenge(name, path, **about | {key: tuple(about[key]) for key in ("may_change", "but_not")})


def check(
    challenge: Challenge, mine: ScenarioFile, seeds: Sequence[int], place: Place = here, on_progress: Progress = untold
) -> Attempt:
    """Hold the goals of `challenge`, not those in the file, against `mine`. Nothing is run when it changes too much."""
    forbidden = tuple(_forbidden(challenge, mine))
    if forbidden:
        return Attempt(forbidden, ())
    return Attempt((), try_claims(replace(mine, expect=challenge.file.expect), seeds, place, on_progress))


def _forbidden(challenge: Challenge, mine: ScenarioFile) -> Iterator[str]:
    theirs = challenge.file
    if set(mine.variants) != set(theirs.variants):
        yield f"the variants are {', '.join(theirs.variants)}, and these are {', '.join(mine.variants)}"
        return
    for name, scenario in theirs.variants.items():
        before, after = (dict(_leaves("", one)) for one in (_tree(scenario), _tree(mine.variants[name])))
        for path in dict.fromkeys((*before, *after)):
            if before.get(path) != after.get(path) and not _is_allowed(challenge, path):
                yield f"{path} was {_shown(before.get(path))} and is {_shown(after.get(path))}; put it back"


def _tree(scenario: Scenario) -> dict[str, Any]:
    return {key: value for key, value in scenario.model_dump(mode="json").items() if key != "question"}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, inner)
    elif value is not None:
        yield path, value


def _is_allowed(challenge: Challenge, path: str) -> bool:
    def below(those: tuple[str, ...]) -> bool:
        return any(f"{path}.".startswith(f"{one}.") or path.endswith(f".{one}") for one in those)

    return below(challenge.may_change) and not below(challenge.but_not)


def _shown(value: Any) -> str:
    return "not there" if value is None else str(value)
