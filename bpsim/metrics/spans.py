"""Arithmetic on spans of time: exact integrals per window, without a loop over spans."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _area_since(moments: Floats, weights: Floats | None, edges: Floats) -> Floats:
    """Σ weight · max(0, edge − moment) for each edge (weights of 1 when None); NaN moments never come."""
    known = ~np.isnan(moments)
    if weights is None:  # no order to keep and nothing to gather: 33 ms instead of 204 for 10⁶ spans
        moments = np.sort(moments[known])
        index = np.searchsorted(moments, edges, side="right")
        return np.asarray(edges * index - np.concatenate(([0.0], np.cumsum(moments)))[index])
    moments, weights = moments[known], weights[known]
    order = np.argsort(moments, kind="stable")
    moments, weights = moments[order], weights[order]
    count = np.concatenate(([0.0], np.cumsum(weights)))
    first = np.concatenate(([0.0], np.cumsum(weights * moments)))
    index = np.searchsorted(moments, edges, side="right")
    return np.asarray(edges * count[index] - first[index])


def time_in(begin: Floats, end: Floats, edges: Floats, weight: Any = 1.0) -> Floats:
    """Seconds (times weight) that the spans [begin, end) spend in each window between `edges`. A NaN end is still to
    come; a span with a NaN begin has not begun."""
    begun = ~np.isnan(begin)
    each = np.asarray(weight, dtype=np.float64)[begun] if np.ndim(weight) else None
    area = _area_since(begin[begun], each, edges) - _area_since(end[begun], each, edges)
    spent = np.maximum(np.diff(area), 0.0)  # differences of large areas may fall short of 0 by rounding
    return spent if each is not None else spent * weight


def level_peak(begin: Floats, end: Floats, weight: Any = 1.0) -> float:
    """The largest total weight of spans that overlap at one moment; 0 without spans."""
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), begin.shape)
    begun = ~np.isnan(begin)
    ends = end[begun]
    ended = ~np.isnan(ends)
    moments = np.concatenate((begin[begun], ends[ended]))
    change = np.concatenate((weights[begun], -weights[begun][ended]))
    if not len(moments):
        return 0.0
    order = np.lexsort((change, moments))
    return float(max(0.0, np.cumsum(change[order]).max()))


def per_window(moments: Floats, edges: Floats) -> Floats:
    """How many of `moments` fall into each window [edge, next edge); the last window has its end too."""
    known = moments[~np.isnan(moments)]
    index = np.searchsorted(edges, known, side="right") - 1
    index[known == edges[-1]] = len(edges) - 2
    inside = (index >= 0) & (index < len(edges) - 1)
    return np.bincount(index[inside], minlength=len(edges) - 1).astype(np.float64)


def quantiles_per_window(moments: Floats, values: Floats, edges: Floats, levels: tuple[float, ...]) -> Floats:
    """Exact quantiles of `values` in each window of `moments` (as in `per_window`): shape (levels, windows), NaN where
    there are none."""
    found = np.full((len(levels), len(edges) - 1), np.nan)
    order = np.argsort(moments, kind="stable")
    bounds = np.searchsorted(moments[order], edges)
    bounds[-1] = np.searchsorted(moments[order], edges[-1], side="right")
    values = values[order]
    for window in range(len(edges) - 1):
        part = values[bounds[window] : bounds[window + 1]]
        if len(part):
            found[:, window] = quantiles(part, levels)
    return found


def quantiles(values: Floats, levels: tuple[float, ...]) -> Floats:
    """The smallest value that at least a share `level` of the values do not exceed; NaN without values."""
    if not len(values):
        return np.full(len(levels), np.nan)
    ranks = np.maximum(np.ceil(np.asarray(levels) * len(values)).astype(np.int64) - 1, 0)
    return np.asarray(np.sort(values)[ranks])


def level_at(begin: Floats, end: Floats, moments: Floats) -> Floats:
    """How many spans [begin, end) there are at each of `moments`; a NaN end is still to come."""
    begun = np.searchsorted(np.sort(begin[~np.isnan(begin)]), moments, side="right")
    return np.asarray(begun - np.searchsorted(np.sort(end[~np.isnan(end)]), moments, side="right"))


def stretches(mask: NDArray[np.bool_], gap: int = 1, least: int = 1) -> list[tuple[int, int]]:
    """The [first, end) index ranges in which `mask` is true, those less than `gap` apart taken as one, and of those the ones
    that are `least` long."""
    change = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    found: list[tuple[int, int]] = []
    for begin, end in zip(change[::2].tolist(), change[1::2].tolist(), strict=True):
        if found and begin - found[-1][1] < gap:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return [(begin, end) for begin, end in found if end - begin >= least]
