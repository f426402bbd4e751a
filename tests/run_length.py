"""How long a run is compared with an exact value: the full length by `--full`, and the share of it that is enough for CI."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

CI_SHARE = 0.25


@dataclass(frozen=True)
class RunLength:
    """A share of the full run length. Standard errors, and so the precision asked for, grow with its inverse root."""

    share: float

    def of(self, full: float) -> float:
        """What to run instead of `full` arrivals or seconds."""
        return full * self.share

    def agrees(self, values: Any, exact: float, precision: float = 0.03, batches: int = 25) -> None:
        """The mean of `values` (in order of time) is `exact`, within four standard errors of its batch means, and those are
        within `precision` of it at full length."""
        agrees(values, exact, precision / sqrt(self.share), batches)


FULL = RunLength(1.0)


def agrees(values: Any, exact: float, precision: float, batches: int = 25) -> None:
    """The mean of `values` (in order of time) is `exact`, within four standard errors of its batch means."""
    values = np.asarray(values, dtype=float)
    means = np.array([batch.mean() for batch in np.array_split(values, min(batches, len(values)))])
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert error <= precision * max(abs(exact), 1e-9), f"too short a run: ±{error} of {exact}"
    assert abs(means.mean() - exact) <= 4 * error + 1e-12, f"{means.mean()} ± {error}, exact {exact}"
