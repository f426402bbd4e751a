"""An explanation as data: findings, each with its numbers, its time, the line of the scenario behind it, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from bpsim.metrics.bookmarks import Bookmark

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["cause", "spread", "stop", "felt", "lost", "end"]
"""What a finding is about: what started it, how it went from tier to tier, where that stopped, what users noticed, what was
lost or done for nobody, and how it ended."""

TITLES: dict[Part, str] = {
    "cause": "What started it",
    "spread": "How it spread",
    "stop": "Where it stopped",
    "felt": "What users felt",
    "lost": "What was lost, or done for nobody",
    "end": "How it ended",
}
"""The parts in order of telling, as people read them."""


@dataclass(frozen=True)
class Finding:
    """One step of the story.

    `time_s` and `until_s` are simulated seconds (`until_s` inf: to the end of the run), `values` the numbers in the sentence
    by name, SI units. `path` is the part of the scenario behind it (`faults.0`), `place` where that stands (`file:line`).
    """

    part: Part
    tier: str
    time_s: float
    until_s: float
    values: dict[str, float]
    path: str
    place: str
    words: str

    def document(self) -> dict[str, Any]:
        """As plain data; a number that does not exist is null."""
        numbers = {name: value if isfinite(value) else None for name, value in self.values.items()}
        until = self.until_s if isfinite(self.until_s) else None
        return vars(self) | {"until_s": until, "values": numbers}


@dataclass(frozen=True)
class Explanation:
    """Why a run went as it did. `root` is the tier in which it began (None: nothing happened), `roots` every such tier in
    order of time, `headline` the answer in a sentence, `bookmarks` the moments worth jumping to."""

    variant: str
    root: str | None
    roots: tuple[str, ...]
    headline: str
    findings: tuple[Finding, ...]
    bookmarks: tuple[Bookmark, ...]

    def part(self, part: Part) -> tuple[Finding, ...]:
        """The findings of one part, in order of time."""
        return tuple(one for one in self.findings if one.part == part)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a finding: `part`, `tier`, `time_s`, `until_s`, `words`, `path`, `place`."""
        import pandas as pd

        columns = ("part", "tier", "time_s", "until_s", "words", "path", "place")
        return pd.DataFrame([{name: getattr(one, name) for name in columns} for one in self.findings], columns=list(columns))

    def _repr_html_(self) -> str:
        from html import escape

        parts = []
        for part, title in TITLES.items():
            lines = "".join(f"<li>{escape(one.words)} <small>{escape(one.place)}</small></li>" for one in self.part(part))
            parts.append(f"<p>{title}</p><ul>{lines}</ul>" if lines else "")
        return f"<div><p><strong>{escape(self.headline)}</strong></p>{''.join(parts)}</div>"

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "variant": self.variant,
            "root": self.root,
            "roots": list(self.roots),
            "headline": self.headline,
            "findings": [one.document() for one in self.findings],
            "bookmarks": [vars(one) for one in self.bookmarks],
        }
