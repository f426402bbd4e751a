"""Two systems met the same seeds: how sure is a difference between them?

Replications are independent, so the differences by seed are an independent sample. Their mean has Student's interval (Law,
Simulation Modeling and Analysis, 5th ed., 10.2.1: the paired-t approach under common random numbers), which assumes that the
mean of the differences is close to normal; the count of seeds in which each was ahead assumes nothing. Whether something
happens at all in one system and not in the other is McNemar's exact test. Many comparisons are held together by Holm's
procedure (1979): the chance that any of the differences called `seen` is not there is at most `ALPHA`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np

from bpsim.result import Column

ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """Of one metric, other minus baseline, over the seeds. A metric that does not exist in a run is NaN or infinite there."""

    difference: float
    """Mean over the `pairs`; NaN without any."""
    half_width: float
    """Of the 95 % interval; NaN with fewer than two pairs."""
    pairs: int
    """Seeds in which the metric exists in both."""
    above: int
    """Of them, those in which the other has more."""
    below: int
    only_baseline: int
    """Seeds in which it exists in the baseline alone."""
    only_other: int
    p: float
    """Probability of such a difference, or a larger one, if there were none; NaN when there is nothing to compare."""
    p_holm: float = nan
    """The same in the face of all the other comparisons."""

    @property
    def seen(self) -> bool:
        """Whether there is a difference, as far as these seeds can tell."""
        return self.p_holm < ALPHA

    @property
    def happens(self) -> bool:
        """Whether the question is if it happens at all: in some seed it does for one of the two only."""
        return self.only_baseline + self.only_other > 0

    @property
    def same(self) -> bool:
        """Whether the two are equal to the last digit in every seed."""
        return not (self.above or self.below or self.happens)


def paired(baseline: Column, other: Column) -> Difference:
    """The difference of one metric; `baseline` and `other` hold it by seed, in the same order."""
    exists = np.isfinite(baseline), np.isfinite(other)
    both = exists[0] & exists[1]
    gap = (other - baseline)[both]
    alone = int((exists[0] & ~both).sum()), int((exists[1] & ~both).sum())
    half, p = _student(gap)
    return Difference(
        float(gap.mean()) if len(gap) else nan,
        half,
        int(both.sum()),
        int((gap > 0).sum()),
        int((gap < 0).sum()),
        *alone,
        _mcnemar(*alone) if sum(alone) else p,
    )


def _student(gap: Column) -> tuple[float, float]:
    """Half width of the 95 % interval of the mean, and the p-value of a mean of 0."""
    from scipy.stats import t

    if len(gap) < 2:
        return nan, nan
    error = float(gap.std(ddof=1)) / len(gap) ** 0.5
    if error == 0:
        return 0.0, 0.0 if gap[0] else 1.0
    freedom = len(gap) - 1
    return float(t.ppf(1 - ALPHA / 2, freedom)) * error, float(2 * t.sf(abs(gap.mean()) / error, freedom))


def _mcnemar(only_baseline: int, only_other: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(only_baseline, only_baseline + only_other).pvalue)


def together(found: Sequence[Difference]) -> list[Difference]:
    """`found` with the p-values that hold for all of them together (Holm)."""
    real = sorted((i for i, one in enumerate(found) if not isnan(one.p)), key=lambda i: found[i].p)
    adjusted = dict.fromkeys(range(len(found)), nan)
    highest = 0.0
    for rank, i in enumerate(real):
        highest = max(highest, min(1.0, (len(real) - rank) * found[i].p))
        adjusted[i] = highest
    return [replace(one, p_holm=adjusted[i]) for i, one in enumerate(found)]


def share_interval(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a probability of which `hits` in `of` independent runs were seen (Wilson 1927)."""
    from scipy.stats import binomtest

    found = binomtest(hits, of).proportion_ci(1 - ALPHA, "wilson")
    return float(found.low), float(found.high)
