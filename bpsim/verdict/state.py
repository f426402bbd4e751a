"""The verdict on a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

State = Literal["healthy", "degraded", "recovered", "metastable", "overloaded", "crashed", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """The `state`, why in `words` that are read after it, and the numbers behind it (`evidence`: seconds, rates, shares)."""

    state: State
    words: str
    evidence: dict[str, float] = field(default_factory=dict)
    sustained_by: str | None = None
    """What keeps a metastable system down."""

    @property
    def ends_well(self) -> bool:
        """Whether requests succeed in the end."""
        return self.state in ("healthy", "recovered", "degraded")
