"""A run as the dashboard keeps it: everything that is shown, without the run's tables, so that many fit in memory."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from bpsim.allowance import Allowance, advance_within
from bpsim.dashboard.desk import Order
from bpsim.engine import Simulation
from bpsim.experiment import Experiment
from bpsim.explanation import Explanation
from bpsim.output import summary_document, verdict_document
from bpsim.plots.film import film
from bpsim.plots.reading import Column, FaultWindow, Reading
from bpsim.plots.wave import first_of, onsets
from bpsim.result import Result
from bpsim.scenario import Scenario
from bpsim.verdict import Verdict, judge

ALLOWANCE = Allowance()
Progress = Callable[[str, float], None]
"""Told what is being run and the share done."""


@dataclass(frozen=True)
class View:
    """What the pages read. Times in seconds, `series` and `pressure` by window (`edges`)."""

    key: str
    order: Order
    verdict: Verdict | None
    summary: dict[str, float]
    ledger: dict[str, dict[str, int]]
    series: dict[str, Column]
    edges: Column
    tiers: tuple[str, ...]
    pressure: dict[str, Column]
    onsets: dict[str, float]
    first: str | None
    """The tier that was under lasting pressure before all others; None when none was."""
    faults: list[FaultWindow]
    timeout_s: float
    film: str
    """JSON, as the player takes it."""
    explanation: Explanation
    document: dict[str, Any]
    """What `summary.json` holds."""
    warnings: list[str]
    fingerprint: str
    stopped: str | None
    """Why the run ended before its time, if it did."""


@dataclass(frozen=True)
class Simulated:
    """A result, and why it was stopped early, if it was."""

    key: str
    result: Result
    stopped: str | None


def simulate(order: Order, progress: Progress = lambda what, share: None, allowance: Allowance = ALLOWANCE) -> Simulated:
    """Run `order`. Raises `Refused` when it is too large to begin, and whatever `progress` raises."""
    told = lambda share: progress("simulating", share)  # noqa: E731
    result, stopped = _within(order.scenario, order.seed, order.variant, told, allowance)
    return Simulated(order.key, replace(result, places=order.file.places[order.variant]), stopped)


def look(order: Order, run: Simulated) -> View:
    """Read the run of `order`; nothing is judged yet."""
    reading = Reading(run.result)
    experiment = _experiment(order, run, reading.summary)
    document = summary_document(experiment)
    return View(
        key=run.key,
        order=order,
        verdict=None,
        summary=reading.summary,
        ledger=reading.ledger,
        series=reading.series,
        edges=reading.edges,
        tiers=reading.tiers,
        pressure={tier: reading.pressure(tier) for tier in reading.tiers},
        onsets=onsets(reading),
        first=first_of(onsets(reading)),
        faults=reading.faults,
        timeout_s=reading.timeout,
        film=json.dumps(film(reading), separators=(",", ":")),
        explanation=experiment.explanations[order.variant],
        document=document,
        warnings=document["warnings"],
        fingerprint=document["variants"][order.variant]["fingerprint"],
        stopped=run.stopped,
    )


def judged(view: View, run: Simulated, progress: Progress = lambda what, share: None, allowance: Allowance = ALLOWANCE) -> View:
    """`view` with the verdict; a run that ends badly is run again without its cause. Raises whatever `progress` raises."""
    name, variants = view.order.variant, view.document["variants"]
    verdict = judge(view.order.scenario, run.result, _control(view.order.seed, progress, allowance), view.summary)
    told = variants | {name: variants[name] | {"verdict": verdict_document(verdict)}}
    return replace(view, verdict=verdict, document=view.document | {"variants": told})


def _experiment(order: Order, run: Simulated, numbers: dict[str, float]) -> Experiment:
    results, summaries = {order.variant: run.result}, {order.variant: numbers}
    return Experiment(order.file, order.seed, results, summaries, (), run.stopped is not None, {})


def _within(
    scenario: Scenario, seed: int, variant: str, told: Callable[[float], None], allowance: Allowance
) -> tuple[Result, str | None]:
    allowance.admit(scenario)
    simulation = Simulation(scenario, seed, variant=variant)
    stopped = advance_within(simulation, allowance, told)
    return simulation.result(), stopped


def _control(seed: int, progress: Progress, allowance: Allowance) -> Callable[[Scenario, str], Result | None]:
    def rerun(scenario: Scenario, words: str) -> Result | None:
        result, stopped = _within(scenario, seed, "control", lambda share: progress(f"once more {words}", share), allowance)
        return None if stopped else result

    return rerun


class Turn:
    """A lock that somebody refers to, or it is gone."""

    def __init__(self) -> None:
        self.lock = Lock()


class Shelf:
    """The last views of everybody, by key. They never change, so visitors may share them without seeing each other."""

    def __init__(self, most: int = 24) -> None:
        self._views: OrderedDict[str, View] = OrderedDict()
        self._most = most
        self._lock = Lock()
        self._turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    def turn(self, what: str) -> Turn:
        """Held by whoever computes `what`: a class that opens one link computes it once."""
        with self._lock:
            return self._turns.setdefault(what, Turn())

    def get(self, key: str) -> View | None:
        """The view of that key, if it is still here."""
        with self._lock:
            if key in self._views:
                self._views.move_to_end(key)
            return self._views.get(key)

    def put(self, view: View) -> View:
        """Keep `view`; the one that was not looked at for longest goes."""
        with self._lock:
            self._views[view.key] = view
            while len(self._views) > self._most:
                self._views.popitem(last=False)
        return view

    def __len__(self) -> int:
        return len(self._views)
