"""Which tiers were under pressure, when, and of what kind: read off the windows of a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import Literal

import numpy as np

from bpsim.metrics.occupancy import Occupancy, Presence
from bpsim.metrics.spans import Floats, per_window, quantiles, stretches, time_in
from bpsim.result import Column, Outcome, Result, Work

PRESSED_FILL, PRESSED_BLOCKED, PRESSED_BUSY = 0.9, 0.5, 0.99
WINDOW_S, LASTING = 0.2, 5
"""Pressure is lasting when it is there in so many windows in a row."""
NOTICED, AT_LEAST, SLOWER = 0.01, 3, 2.0
"""Users notice when over 1 % of the requests (3 at least) of a second fail, or take twice as long as p99 did before."""
LAG_S = 1.0
"""A broker is behind when it holds more unread records than are produced in this time."""
Kind = Literal["saturated", "blocked", "full", "behind", "harmed"]
WORKING = ("api", "flink", "writer")
"""Tiers whose servers being busy all the time means that there is more to do than they can."""


@dataclass(frozen=True)
class Stretch:
    """A tier under one kind of lasting pressure: from when to when (inf: to the end of the run), and how much at most.

    - `saturated`: all of its servers are at work, and what comes has to wait; `peak`: the most that waited.
    - `blocked`: its servers wait for room downstream half of the time or more; `peak`: largest share of a window.
    - `full`: its buffer is nine tenths full or more; `peak`: its fill.
    - `behind`: the broker holds more than is produced in a second; `peak`: unread records.
    - `harmed` (the client): requests fail or take much longer than before; `peak`: failed and slow requests in all.
    """

    tier: str
    kind: Kind
    begin_s: float
    end_s: float
    peak: float


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
        busy, blocked = (time_in(*spans, edges) / (width * presence.servers) for spans in (presence.busy, presence.blocked))
        return cls(busy, blocked, waiting, presence.bound)

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
    harm = harmed(result, window[0], 1.0)
    found = {"client_onset_s": min((max(one.begin_s, window[0]) for one in harm if one.end_s > window[0]), default=inf)}
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


def pressed(result: Result, occupancy: Occupancy) -> list[Stretch]:
    """Every stretch of lasting pressure of the tiers behind the client, in order of beginning; gaps of less than a second
    do not end one."""
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
        until = inf if edges[end] >= ended_s else float(edges[end])
        found.append(Stretch(tier, kind, float(edges[first]), until, float(values[first:end].max())))
    return found


def harmed(result: Result, since_s: float, step_s: float = 1.0, gap: int = 5) -> list[Stretch]:
    """When users noticed: windows of `step_s` in which over 1 % of the requests that ended (3 at least) failed or, from
    `since_s` on, took over twice the p99 of before. Good stretches shorter than `gap` windows do not end one."""
    requests = result.tables["requests"]
    ended = requests["outcome"] != Outcome.PENDING
    when, latency = requests["ended_s"][ended], (requests["ended_s"] - requests["born_s"])[ended]
    usual = float(quantiles(latency[when < since_s], (0.99,))[0])
    bad = (requests["outcome"][ended] != Outcome.OK) | ((latency > SLOWER * usual) & (when >= since_s))
    before = np.arange(since_s, -step_s, -step_s)[1:][::-1]
    edges = np.concatenate((before, np.arange(since_s, result.ended_s + step_s, step_s)))
    if len(edges) < 2:
        return []
    total, worse = per_window(when, edges), per_window(when[bad], edges)
    mask = (worse > NOTICED * total) & (worse >= AT_LEAST)
    found = []
    for first, end in stretches(mask, gap=gap, least=1):
        mine = when[bad & (when >= edges[first]) & (when < edges[end])]
        until = inf if end == len(edges) - 1 or _nobody_after(when, edges[end]) else float(mine.max())
        found.append(Stretch("client", "harmed", float(mine.min()), until, float(len(mine))))
    return found


def _nobody_after(when: Floats, moment: float) -> bool:
    return not bool((when >= moment).any())


def retried_share(result: Result, edges: Floats) -> Floats:
    """By window, the share of the attempts sent that were not the first of their request; NaN without any."""
    attempts = result.tables["attempts"]
    sent = attempts["work"] != Work.NOT_SENT
    total = per_window(attempts["sent_s"][sent], edges)
    again = per_window(attempts["sent_s"][sent & (attempts["number"] > 0)], edges)
    return np.asarray(np.divide(again, total, out=np.full(len(total), nan), where=total > 0))
