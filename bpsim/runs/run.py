"""One run to be made, and making it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from bpsim.allowance import Allowance, OnProgress, Refused, run_within, untold
from bpsim.engine import run as simulate
from bpsim.result import Result
from bpsim.scenario import Scenario

T = TypeVar("T")
Measure = Callable[[Result], T]
"""What is wanted of a run; it can be pickled."""
Finished = Generator[tuple[int, Any], None, None]
"""(number of the run, its measure) as they finish, in any order; closing it calls off what has not finished."""


class CalledOff(Exception):
    """Nobody wants the run any more."""


class RunFailed(RuntimeError):
    """A run ended with an error: which, and the error."""


class PlaceFailed(RuntimeError):
    """The place cannot make runs (any more): why, and the way out."""


@dataclass(frozen=True)
class Run:
    """One run to be made: a scenario, a seed, and the name its result carries."""

    scenario: Scenario
    seed: int
    variant: str = "base"

    @cached_property
    def key(self) -> str:
        """Equal for runs that give the same result, on any machine and in any session."""
        tree = self.scenario.model_dump(mode="json", exclude={"question"})
        text = json.dumps([tree, self.seed, self.variant], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def make(run: Run, measure: Measure[T], code: str, allowance: Allowance | None = None, on_progress: OnProgress = untold) -> T:
    """Make `run` and measure it. Raises `RunFailed`, also when this is not the `code` it was meant for, or it takes more than
    `allowance`; and `CalledOff`."""
    if code_fingerprint() != code:
        raise RunFailed("another version of bpsim is installed there; install the same one everywhere")
    try:
        return measure(_result(run, allowance, on_progress))
    except CalledOff:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        kind = "" if isinstance(error, Refused) else f"{type(error).__name__}: "
        raise RunFailed(f"{run.variant}, seed {run.seed}: {kind}{words}") from None


def _result(run: Run, allowance: Allowance | None, on_progress: OnProgress) -> Result:
    if allowance is None:
        return simulate(run.scenario, run.seed, variant=run.variant)
    found = run_within(run.scenario, run.seed, run.variant, allowance, on_progress)
    if found.stopped is not None:
        raise Refused(found.stopped)
    return found.result


@cache
def code_fingerprint() -> str:
    """SHA-256 of the modules that decide what comes out of a run: results of different code must not be mixed."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in ("cli", "plots"):
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]
