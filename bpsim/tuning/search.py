"""Looking for the smallest: exactly along one setting, by differential evolution over several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bpsim.designs import Point, Span
from bpsim.streams import Floats, Streams
from bpsim.tuning.bench import Bench, Tried

STEPS = 1000
"""Into how many a range of other than whole numbers is divided."""
LOOKS = 9
"""Values looked at across a range before the search closes in."""
Good = Callable[[Tried], bool]


@dataclass(frozen=True)
class Ladder:
    """The values of a range, in order, with the rest of the settings held."""

    span: Span
    rest: Point

    @property
    def top(self) -> int:
        """The last step; the first is 0."""
        return round(self.span.high - self.span.low) if self.span.whole else STEPS

    def at(self, step: int) -> Point:
        """The settings at `step`."""
        text = f"{int(self.span.low) + step}" if self.span.whole else self.span.at(np.array([step / STEPS]))[0]
        return {self.span.path: text, **self.rest}

    def step_of(self, text: str) -> int:
        """The step nearest to a value, from above."""
        share = self.span.share_of(text) * self.top
        return min(self.top, int(np.ceil(share - 1e-9)))

    @property
    def looks(self) -> list[int]:
        """Steps across the range: evenly, or in equal ratios where whole numbers span more than a factor of 20."""
        low, high = self.span.low, self.span.high
        if self.span.whole and low > 0 and high / low > 20:
            return sorted({round(value - low) for value in np.geomspace(low, high, LOOKS)})
        return sorted({round(share * self.top) for share in np.linspace(0, 1, LOOKS)})


def least(bench: Bench, ladder: Ladder) -> Tried | None:
    """The first step that meets all goals while the step before it does not; None when there is none. Exact if each goal is
    monotone, one way or the other, between the steps looked at."""
    looks = ladder.looks
    seen = dict(zip(looks, bench.try_all([ladder.at(step) for step in looks]), strict=True))
    found = _first(bench, ladder, seen, bench.meets)
    if found is not None:
        return found
    alone = [_first(bench, ladder, seen, _one(bench, number)) for number in range(len(bench.goals))]
    met = [one for one in alone if one is not None]
    last = max(met, key=lambda one: one.size) if len(met) == len(alone) else None
    return last if last is not None and bench.meets(last) else None


def _one(bench: Bench, number: int) -> Good:
    return lambda one: one.share(number) >= bench.share


def _first(bench: Bench, ladder: Ladder, seen: dict[int, Tried], good: Good) -> Tried | None:
    hits = [step for step, one in seen.items() if good(one)]
    if not hits:
        return None
    return bisect(bench, ladder, max((step for step in seen if step < hits[0]), default=-1), hits[0], good)


def bisect(bench: Bench, ladder: Ladder, low: int, high: int, good: Good) -> Tried:
    """The first good step above `low`, which is not good (or -1), up to `high`, which is."""
    while high - low > 1:
        middle = (low + high) // 2
        if good(bench.try_all([ladder.at(middle)])[0]):
            high = middle
        else:
            low = middle
    return bench.try_all([ladder.at(high)])[0]


def several(bench: Bench, spans: Sequence[Span], tries: int) -> Tried | None:
    """Differential evolution (Storn & Price 1997, scipy: whole generations at once, no gradients, noise does no harm) over
    `spans` for about `tries` candidates; then each setting to be small is bisected down with the others held."""
    from scipy.optimize import differential_evolution

    def costs(shares: Floats) -> Floats:
        columns = [span.at(np.clip(row, 0.0, 1.0)) for span, row in zip(spans, shares.reshape(len(spans), -1), strict=True)]
        points = [dict(zip([span.path for span in spans], values, strict=True)) for values in zip(*columns, strict=True)]
        return np.array([one.size if bench.meets(one) else 1.0 + one.miss for one in bench.try_all(points)])

    members = max(5, 10 // len(spans)) * len(spans)
    differential_evolution(
        costs, [(0.0, 1.0)] * len(spans), popsize=members // len(spans), maxiter=max(1, tries // members - 1), tol=0.0,
        seed=Streams(1).rng("tune"), vectorized=True, updating="deferred", polish=False,
    )  # fmt: skip
    good = [one for one in bench.tried.values() if bench.meets(one)]
    if not good:
        return None
    best = min(good, key=lambda one: one.size)
    for span in bench.smallest:
        ladder = Ladder(span, {path: text for path, text in best.point.items() if path != span.path})
        top = ladder.step_of(best.point[span.path])
        if bench.meets(bench.try_all([ladder.at(top)])[0]):
            best = min(best, bisect(bench, ladder, -1, top, bench.meets), key=lambda one: one.size)
    return best
