"""What asking for less costs: the goals' numbers along a setting, and where the smallest that meets them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from textwrap import fill
from typing import TYPE_CHECKING

from bpsim.plots.style import BLUE, GREY, INK, ORANGE, RC, SMALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One number over the candidates."""

    title: str
    unit: str
    values: Sequence[float]


def tradeoff(
    title: str, path: str, at: Sequence[float], good: Sequence[bool], found: float | None, curves: Sequence[Curve], note: str
) -> Figure:  # fmt: skip
    """One panel a curve over `at`, the candidates; filled markers meet every goal, and the line is what was `found`."""
    import matplotlib.pyplot as plt

    wide = min(at) > 0 and max(at) / min(at) > 50
    with plt.rc_context(RC):
        size = (3.9 * len(curves), 3.7)
        figure, grid = plt.subplots(1, len(curves), figsize=size, layout="constrained", squeeze=False)
        for ax, curve in zip(grid[0], curves, strict=True):
            known = [(x, y, ok) for x, y, ok in zip(at, curve.values, good, strict=True) if isfinite(y)]
            ax.plot([x for x, _, _ in known], [y for _, y, _ in known], color=GREY, lw=1)
            for ok, colour, marker, face in ((True, BLUE, "o", BLUE), (False, ORANGE, "X", "white")):
                mine = [(x, y) for x, y, met in known if met == ok]
                ax.plot([x for x, _ in mine], [y for _, y in mine], marker, color=colour, mfc=face, ms=6)
            if found is not None:
                ax.axvline(found, color=INK, lw=1, ls=":")
                ax.annotate(f"{found:,.4g}", (found, 1.0), (4, -2), ("data", "axes fraction"), "offset points", va="top")
            if wide:
                ax.set_xscale("log")
            ax.set_title(curve.title, loc="left")
            ax.set_xlabel(path)
            ax.set_ylabel(curve.unit)
            ax.margins(y=0.15)
        figure.suptitle(fill(title, int(size[0] * 10)), x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.supxlabel(fill(note, int(size[0] * 13)), x=0.01, ha="left", fontsize=SMALL - 1)
    return figure
