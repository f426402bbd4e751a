"""Which tiers were under pressure, when, and of what kind: read off the windows of a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import Literal

import numpy as np

from bpsim.metrics.occupancy import Occupancy, Presence
from bpsim.metrics.spans import Floats, per_window, stretches, time_in
from bpsim.result import Column, Result, Work

PRESSED_FILL, PRESSED_BLOCKED, PRESSED_BUSY = 0.9, 0.5, 0.99
WINDOW_S, LASTING = 0.2, 5
"""Pressure is lasting when it is there in so many windows in a row."""
LAG_S = 1.0
"""A broker is behind when it holds more unread records than are produced in this time."""
Kind = Literal["saturated", "blocked", "full", "behind", "harmed"]


@dataclass(frozen=True)
class Stretch:
    """A tier under one kind of lasting pressure: from when to when (inf: to the end of the run), and how much at most.

    - `saturated`: all of its servers are at work, and what comes has to wait; `peak`: the most that waited.
    - `blocked`: its servers wait for room downstream half of the time or more; `peak`: largest share of a window.
    - `full`: its buffer is nine tenths full or more; `peak`: its fill.
    - `behind`: the broker holds more than is produced in a second; `peak`: unread records.
    - `harmed` (the client): requests fail or take much longer than before; `peak`: failed and slow requests in all, `share`:
      of those whose users knew how they fared meanwhile.
    """

    tier: str
    kind: Kind
    begin_s: float
    end_s: float
    peak: float
    share: float = nan


@dataclass(frozen=True)
class Strain:
    """A tier by window: share of its servers' time at work and blocked, what waits on average, and the bound of that."""

    busy: Floats
    blocked: Floats
    waiting: Floats
    bound: float

    @classmethod
    def of(cls, presence: Presence, edges: Floats) -> Strain:
        """Read off the spans of a tier."""
        width = np.diff(edges)
        waiting = time_in(*presence.waiting, edges, presence.waiting_weight) / width
        busy = time_in(*presence.busy, edges, presence.busy_weight)
        blocked = time_in(*presence.blocked, edges)
        return cls(busy / (width * presence.servers), blocked / (width * presence.servers), waiting, presence.bound)

    @property
    def is_blocked(self) -> Column:
        """By window: waits for room downstream."""
        return np.asarray(self.blocked >= PRESSED_BLOCKED)

    @property
    def is_busy(self) -> Column:
        """By window: every server is at work."""
        return np.asarray(self.busy >= PRESSED_BUSY)

    @property
    def is_full(self) -> Column:
        """By window: hardly any room is left."""
        if np.isnan(self.bound):
            return np.zeros(len(self.waiting), dtype=bool)
        return np.asarray(self.waiting >= PRESSED_FILL * self.bound)


def fault_window(result: Result) -> tuple[float, float] | None:
    """From the first fault's beginning to the last one's end (or the run's); None without faults."""
    marks = result.tables["marks"]
    begins = marks["time_s"][marks["kind"] == "fault_begins"]
    ends = marks["time_s"][marks["kind"] == "fault_ends"]
    if not len(begins):
        return None
    return float(begins.min()), float(ends.max()) if len(ends) == len(begins) else result.ended_s


def pressed(result: Result, occupancy: Occupancy) -> list[Stretch]:
    """Every stretch of lasting pressure of the tiers behind the client, in order of beginning; gaps of less than a second
    do not end one, nor does the end of the run."""
    edges = np.append(np.arange(0, max(result.ended_s, WINDOW_S), WINDOW_S), result.ended_s)
    edges = edges[np.append(True, np.diff(edges) > 1e-9)]
    found: list[Stretch] = []
    for tier, presence in occupancy.tiers.items():
        if tier == "client":
            continue
        strain = Strain.of(presence, edges)
        fill = strain.waiting / strain.bound
        kinds: list[tuple[Kind, Column, Floats]] = [
            ("blocked", strain.is_blocked, strain.blocked),
            ("full", strain.is_full, fill),
        ]
        if tier != "consumer":  # one that fetches without a pause is busy, and may have all the time in the world
            kinds.append(("saturated", strain.is_busy & ~strain.is_blocked, strain.waiting))
        if tier == "broker" and "consumer" in occupancy.tiers:
            behind = strain.waiting >= max(LAG_S * _produced_per_s(result), 1.0)
            kinds.append(("behind", behind, strain.waiting))
        for kind, mask, values in kinds:
            found += _stretches(tier, kind, mask, edges, values, result.ended_s)
    return sorted(found, key=lambda one: (one.begin_s, one.tier, one.kind))


def _produced_per_s(result: Result) -> float:
    return len(result.tables["records"]["produced_s"]) / max(result.ended_s, 1e-9)


def _stretches(tier: str, kind: Kind, mask: Column, edges: Floats, values: Floats, ended_s: float) -> list[Stretch]:
    found = []
    for first, end in stretches(mask, gap=LASTING, least=LASTING):
        until = inf if ended_s - edges[end] < LASTING * WINDOW_S - 1e-9 else float(edges[end])
        found.append(Stretch(tier, kind, float(edges[first]), until, float(values[first:end].max())))
    return found


def retried_share(result: Result, edges: Floats) -> Floats:
    """By window, the share of the attempts sent that were not the first of their request; NaN without any."""
    attempts = result.tables["attempts"]
    sent = attempts["work"] != Work.NOT_SENT
    total = per_window(attempts["sent_s"][sent], edges)
    again = per_window(attempts["sent_s"][sent & (attempts["number"] > 0)], edges)
    return np.asarray(np.divide(again, total, out=np.full(len(total), nan), where=total > 0))
