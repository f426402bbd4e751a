"""When each tier came under lasting pressure after the first fault began."""

from __future__ import annotations

from math import inf

import numpy as np

from bpsim.metrics.harm import harm
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.pressure import LASTING, WINDOW_S, Strain, fault_window
from bpsim.metrics.spans import Floats
from bpsim.result import Column, Result

WORKING = ("api", "flink", "writer")
"""Tiers whose servers being busy all the time means that there is more to do than they can."""


def onsets(result: Result, occupancy: Occupancy) -> dict[str, float]:
    """`<tier>_onset_s`: when each tier came under pressure for at least a second after the first fault began: its buffer 90 %
    full, its servers blocked half of the time, or all of them busy all the time. For the client: its requests fail or take
    twice as long as before."""
    window = fault_window(result)
    if window is None:
        return {}
    edges = np.arange(window[0], result.ended_s, WINDOW_S)
    if len(edges) <= LASTING:
        return {}
    trouble = harm(result).trouble
    found = {"client_onset_s": min((max(one.begin_s, window[0]) for one in trouble if one.end_s > window[0]), default=inf)}
    for tier, presence in occupancy.tiers.items():
        if tier != "client":
            strain = Strain.of(presence, edges)
            pressed = strain.is_blocked | strain.is_full | (strain.is_busy if tier in WORKING else False)
            found[f"{tier}_onset_s"] = first_lasting(pressed, edges)
    return found


def first_lasting(pressed: Column, edges: Floats) -> float:
    """Begin of the first of `LASTING` windows in a row that are all pressed; inf when there are none."""
    run = np.convolve(pressed, np.ones(LASTING, dtype=np.int64), "valid")
    found = np.flatnonzero(run == LASTING)
    return float(edges[found[0]]) if len(found) else inf
