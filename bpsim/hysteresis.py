"""A load that rises step by step and falls again: does the system come back where it broke?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any

import numpy as np

from bpsim.phase import COLLAPSED
from bpsim.result import Column, Outcome, Result
from bpsim.runs import Journal, Place, Progress, grid, here, measure_all, untold
from bpsim.scenario import Scenario

SETTLED = 0.5
"""The last so much of each step is looked at."""


@dataclass(frozen=True)
class Hysteresis:
    """Success shares by seed and step, `up` with `loads` ascending and `down` with them descending, and the goodput."""

    question: str
    variant: str
    loads: Column
    hold_s: float
    up: Column
    down: Column
    goodput_up: Column
    goodput_down: Column

    @property
    def breaks_at(self) -> Column:
        """By seed, the first load on the way up at which fewer than half of the requests succeed; NaN when none."""
        return _first(self.up < COLLAPSED, self.loads)

    @property
    def recovers_at(self) -> Column:
        """By seed, the load on the way down from which on at least half of the requests succeed; NaN when it never recovers."""
        good = self.down >= COLLAPSED
        lasting = np.flip(np.logical_and.accumulate(np.flip(good, axis=1), axis=1), axis=1)
        return _first(lasting, self.loads[::-1])

    @property
    def medians(self) -> tuple[float, float]:
        """Where it breaks and where it recovers, medians of the seeds in which it does; NaN when it never does."""
        found = [float(np.nanmedian(at)) if not np.isnan(at).all() else nan for at in (self.breaks_at, self.recovers_at)]
        return found[0], found[1]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One a step, mean over the seeds."""
        ways = (("up", self.loads, self.up, self.goodput_up), ("down", self.loads[::-1], self.down, self.goodput_down))
        for way, loads, shares, goodput in ways:
            for step, load in enumerate(loads):
                yield {"way": way, "load_per_s": float(load), "success_share": float(shares[:, step].mean()),
                       "goodput_per_s": float(goodput[:, step].mean())}  # fmt: skip

    @property
    def words(self) -> str:
        """The finding in a sentence."""
        broke, back = self.breaks_at, self.recovers_at
        seeds, broken = len(broke), int((~np.isnan(broke)).sum())
        if not broken:
            return f"No collapse up to {self.loads[-1]:,.4g}/s in any of {seeds} seeds."
        never = int(np.isnan(back).sum())
        breaks, recovers = self.medians
        words = f"Collapses at {breaks:,.4g}/s on the way up ({broken} of {seeds} seeds)"
        if never > seeds / 2:
            return f"{words} and does not recover down to {self.loads[0]:,.4g}/s ({never} of {seeds} seeds)."
        width = breaks - recovers
        words += f", recovers at {recovers:,.4g}/s on the way down ({seeds - never} of {seeds})"
        return f"{words}: a loop {width:,.4g}/s wide." if width > 0 else f"{words}: no hysteresis at these steps."


def _first(hits: Column, loads: Column) -> Column:
    return np.where(hits.any(axis=1), loads[hits.argmax(axis=1)], np.nan)


def staircase(scenario: Scenario, loads: Column, hold_s: float) -> Scenario:
    """`scenario` without its faults, its load going through `loads` and back, `hold_s` seconds each."""
    steps = [*loads, *loads[::-1]]
    points = [{"at": step * hold_s, "rate": float(load)} for step, load in enumerate(steps)]
    own = scenario.client.arrivals
    even = own.kind == "deterministic" or (own.kind == "piecewise" and own.spacing == "constant")
    arrivals = {"kind": "piecewise", "points": points, "spacing": "constant" if even else "exponential"}
    keep = {} if scenario.api.restart_after is not None else {"api": {"warm_up": None}}
    return scenario.but({"faults": (), "duration": hold_s * len(steps), "client": {"arrivals": arrivals}} | keep)


def _climb(hold_s: float, result: Result) -> tuple[list[float], list[float]]:
    """Success share and goodput of each step of a run of the staircase."""
    requests = result.tables["requests"]
    begins = np.arange(round(result.duration_s / hold_s)) * hold_s
    edges = np.ravel(np.column_stack((begins + (1 - SETTLED) * hold_s, begins + hold_s)))
    happy = requests["outcome"] == Outcome.OK
    born = np.histogram(requests["born_s"], edges)[0][::2]
    well = np.histogram(requests["born_s"][happy], edges)[0][::2]
    return (well / np.maximum(born, 1)).tolist(), (well / (SETTLED * hold_s)).tolist()


def climb(
    scenario: Scenario,
    variant: str,
    loads: Column,
    hold_s: float,
    seeds: int,
    place: Place = here,
    journal: Journal | None = None,
    on_progress: Progress = untold,
) -> Hysteresis:
    """Run the staircase with seeds 1 … `seeds`; see `bpsim.runs` for where and how."""
    runs = grid({variant: staircase(scenario, loads, hold_s)}, range(1, seeds + 1))
    found = measure_all(runs, partial(_climb, hold_s), place, journal, on_progress)
    shares, goodput = (np.array([one[part] for one in found]) for part in (0, 1))
    half = len(loads)
    return Hysteresis(
        scenario.question, variant, loads, hold_s, shares[:, :half], shares[:, half:], goodput[:, :half], goodput[:, half:]
    )
