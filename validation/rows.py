"""What a comparison is: a claim, what was published, what bpsim finds, and whether the two agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from bpsim.engine import run
from bpsim.result import Outcome, Result
from bpsim.scenario import Scenario


@dataclass(frozen=True)
class Row:
    """One line of docs/validation.md."""

    claim: str
    published: str
    found: str
    tolerance: str
    holds: bool


@dataclass(frozen=True)
class Effort:
    """How much work to put into a comparison."""

    full: bool
    jobs: int = 2

    def seeds(self, few: int, many: int) -> range:
        """Seeds 1 … few, or 1 … many in full."""
        return range(1, (many if self.full else few) + 1)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """`function` of each item, on several processes."""
        with ProcessPoolExecutor(self.jobs) as pool:
            return list(pool.map(function, items))


def near(claim: str, published: float, found: float, within: float, why: str, unit: str = "") -> Row:
    """Agreement of two numbers, `within` being the largest difference allowed."""
    holds = abs(found - published) <= within
    return Row(claim, f"{published:.4g}{unit}", f"{found:.4g}{unit}", f"± {within:.2g}{unit} ({why})", holds)


def between(claim: str, published: str, found: float, low: float, high: float, why: str, unit: str = "") -> Row:
    """A number inside a range."""
    return Row(claim, published, f"{found:.4g}{unit}", f"{low:g} … {high:g}{unit} ({why})", low <= found <= high)


def exact(claim: str, published: Any, found: Any) -> Row:
    """Equality."""
    return Row(claim, str(published), str(found), "equal", published == found)


def always(claim: str, published: str, hits: list[bool]) -> Row:
    """Something that every seed must show."""
    return Row(claim, published, f"{sum(hits)} of {len(hits)} seeds", "every seed", all(hits))


def proportion(claim: str, published: tuple[int, int], hits: list[bool]) -> Row:
    """Two shares of seeds that may come from one probability: at most three standard errors apart."""
    theirs, ours = published[0] / published[1], sum(hits) / len(hits)
    pooled = (published[0] + sum(hits)) / (published[1] + len(hits))
    error = 3 * sqrt(pooled * (1 - pooled) * (1 / published[1] + 1 / len(hits)))
    return Row(
        claim,
        f"{published[0]} of {published[1]}",
        f"{sum(hits)} of {len(hits)}",
        f"± {error:.2f} in the share (3 standard errors)",
        abs(theirs - ours) <= error,
    )


def within_noise(claim: str, measured: Sequence[float], seeds: Sequence[Sequence[float]], comparisons: int) -> Row:
    """Figures of one real run, each inside the interval in which one more of the simulated runs would fall: Student's t, 95 %
    for all `comparisons` that are made of that run together (Bonferroni)."""
    from scipy.stats import t

    simulated = np.asarray(seeds)
    n = len(simulated)
    reach = t.ppf(1 - 0.05 / (2 * comparisons), n - 1) * simulated.std(axis=0, ddof=1) * sqrt(1 + 1 / n)
    mean = simulated.mean(axis=0)
    holds = bool((np.abs(np.asarray(measured) - mean) <= reach + 1e-9).all())
    published, found, width = (" / ".join(f"{value:.4g}" for value in values) for values in (measured, mean, reach))
    return Row(claim, published, found, f"± {width} (one more run beside {n} seeds)", holds)


def station(client: dict[str, Any], api: dict[str, Any], duration: float, faults: Iterable[dict[str, Any]] = ()) -> Scenario:
    """A client and an API."""
    tree = {"question": "?", "duration": duration, "client": client, "api": {"reject_time": 0.001} | api}
    return Scenario.model_validate(tree | {"faults": tuple(faults)})


def goodput(result: Result, begin: float, end: float) -> float:
    """Successes a second that ended in [begin, end)."""
    requests = result.tables["requests"]
    happy = (requests["outcome"] == Outcome.OK) & (requests["ended_s"] >= begin) & (requests["ended_s"] < end)
    return float(happy.sum()) / (end - begin)


def offered(result: Result, begin: float, end: float) -> float:
    """Requests a second born in [begin, end)."""
    born = result.tables["requests"]["born_s"]
    return float(((born >= begin) & (born < end)).sum()) / (end - begin)


def success_share(result: Result, begin: float, end: float) -> float:
    """Share of the requests born in [begin, end) that succeeded, of those with an outcome."""
    requests = result.tables["requests"]
    counted = (requests["born_s"] >= begin) & (requests["born_s"] < end) & (requests["outcome"] != Outcome.PENDING)
    return float((requests["outcome"][counted] == Outcome.OK).mean())


def amplification(result: Result, begin: float, end: float) -> float:
    """Attempts per request of those born in [begin, end) that have an outcome."""
    requests = result.tables["requests"]
    counted = (requests["born_s"] >= begin) & (requests["born_s"] < end) & (requests["outcome"] != Outcome.PENDING)
    return float(requests["attempts"][counted].mean())


__all__ = [
    "Effort", "Row", "always", "amplification", "between", "exact", "goodput", "near", "offered", "proportion", "run",
    "station", "success_share", "within_noise",
]  # fmt: skip
