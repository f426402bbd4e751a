"""Windows of time in which users fared well, or did not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bpsim.result import Column, Outcome, Result

GOOD = 0.9
"""Share of the requests born in a window that must succeed for it to count as good."""
STEP_S = 5.0


@dataclass(frozen=True)
class Health:
    """Windows of `step_s` from `begin_s` on: whether enough of the requests born in each succeeded, and whether there were
    any to judge by."""

    begin_s: float
    step_s: float
    good: Column
    judged: Column

    @property
    def bad(self) -> Column:
        """The numbers of the bad windows."""
        return np.flatnonzero(self.judged & ~self.good)

    def begins(self, window: int) -> float:
        """When a window begins, in seconds."""
        return self.begin_s + window * self.step_s

    def ends_well(self, windows: int = 3) -> bool | None:
        """Whether most of the last judged windows are good; None when there is none."""
        last = self.good[self.judged][-windows:]
        return bool(last.mean() > 0.5) if len(last) else None


def health(result: Result, begin_s: float = 0.0, step_s: float = STEP_S) -> Health:
    """Judge whole windows from `begin_s` to the end. A request still pending counts once it has waited for `step_s`, as not
    successful."""
    requests = result.tables["requests"]
    edges = np.arange(begin_s, result.ended_s + 1e-9, step_s)
    if len(edges) < 2:
        nothing = np.zeros(0, dtype=bool)
        return Health(begin_s, step_s, nothing, nothing)
    known = (requests["outcome"] != Outcome.PENDING) | (requests["born_s"] <= result.ended_s - step_s)
    happy = np.histogram(requests["born_s"][requests["outcome"] == Outcome.OK], edges)[0]
    born = np.histogram(requests["born_s"][known], edges)[0]
    return Health(begin_s, step_s, happy >= GOOD * born, born > 0)
