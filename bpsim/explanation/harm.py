"""Which harm is the trouble to be explained, and which is a moment apart from it: what chance does on an ordinary day."""

from __future__ import annotations

from collections.abc import Sequence

from bpsim.explanation.causes import Cause
from bpsim.metrics.pressure import NOTICED, Stretch

NEAR_S = 1.0
"""Two things so close together are taken to be one: pressure is seen in windows, and lasting only after a second."""


def told_apart(harm: Sequence[Stretch], causes: Sequence[Cause]) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches of harm that make up the trouble, and those apart from it: while no cause acts, and less than a hundredth
    of the worst (`NOTICED`, what is noticed of a second's requests)."""
    matters = NOTICED * max((one.peak for one in harm), default=0.0)
    apart = [one for one in harm if one.peak < matters and not any(_acts(cause, one) for cause in causes)]
    return [one for one in harm if one not in apart], apart


def _acts(cause: Cause, one: Stretch) -> bool:
    return cause.begin_s <= one.begin_s + NEAR_S and one.begin_s <= cause.end_s + NEAR_S
