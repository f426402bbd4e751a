"""A run under investigation: what its findings are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

from bpsim.explanation.model import Finding, Part
from bpsim.explanation.roots import Root, Signs, roots
from bpsim.metrics import ledger, summary
from bpsim.metrics.bookmarks import Bookmark, bookmarks
from bpsim.result import Result
from bpsim.scenario import Scenario


@dataclass(frozen=True)
class Case:
    """A result with its scenario, its signs of trouble and the roots found from them."""

    result: Result
    scenario: Scenario
    signs: Signs
    roots: tuple[Root, ...]
    summary: Mapping[str, float]
    """`metrics.summary`."""

    @classmethod
    def of(cls, result: Result, numbers: Mapping[str, float] | None = None) -> Case:
        """Open the case of `result`. Raises `pydantic.ValidationError` when its scenario is of another version of bpsim."""
        scenario = Scenario.model_validate(result.scenario)
        signs = Signs(scenario, result)
        return cls(result, scenario, signs, tuple(roots(signs)), numbers or summary(result, signs.occupancy))

    @cached_property
    def ledger(self) -> dict[str, dict[str, int]]:
        """`metrics.ledger`."""
        return ledger(self.result)

    @cached_property
    def bookmarks(self) -> tuple[Bookmark, ...]:
        """`metrics.bookmarks`."""
        return tuple(bookmarks(self.result, self.signs.occupancy, self.signs.stretches, self.signs.harm))

    @property
    def ended_s(self) -> float:
        """Simulated seconds done."""
        return self.result.ended_s

    @property
    def began_s(self) -> float:
        """When the first cause with consequences began; 0 without any."""
        return min((root.cause.begin_s for root in self.roots), default=0.0)

    def finding(self, part: Part, tier: str, time_s: float, until_s: float, path: str, words: str, **values: float) -> Finding:
        """A finding of this run, at the place of `path`."""
        numbers = {name: float(value) for name, value in values.items()}
        return Finding(part, tier, float(time_s), float(until_s), numbers, path, self.result.place(path), words)


def span(begin_s: float, end_s: float) -> str:
    """`from 60 s to 90 s`, or `from 60 s to the end`."""
    return f"from {at(begin_s)} to {at(end_s) if isfinite(end_s) else 'the end'}"


def at(moment_s: float) -> str:
    """A moment of a run: to a tenth of a second, since runs are looked at in seconds."""
    return f"{moment_s:,.1f} s".replace(".0 s", " s")


def percent(share: float) -> str:
    """A share in a sentence; what is not all of it is not called 100 %, and what is something not 0 %."""
    if 0 < share < 0.0005:
        return "under 0.1 %"
    digits = f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}" if share < 0.99 else f"{100 * share:.4g}"
    return "almost 100 %" if share < 1 and digits == "100" else f"{digits} %"


def count(number: float, thing: str, plural: str = "") -> str:
    """`1 request`, `1,234 requests`."""
    return f"{number:,.0f} {thing if number == 1 else plural or f'{thing}s'}"
