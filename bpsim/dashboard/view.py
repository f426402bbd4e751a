"""A run as the dashboard keeps it: everything that is shown, without the run's tables, so that many fit in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bpsim.allowance import Allowance, OnProgress, Within, run_within, untold
from bpsim.dashboard.desk import Order
from bpsim.experiment import Experiment
from bpsim.explanation import Explanation
from bpsim.output import summary_document, verdict_document
from bpsim.plots.film import film
from bpsim.plots.reading import Column, FaultWindow, Reading
from bpsim.plots.wave import first_of, onsets
from bpsim.verdict import Collapse, Verdict, first_look

if TYPE_CHECKING:
    from bpsim.dashboard.charts import Chart

ALLOWANCE = Allowance()


@dataclass(frozen=True)
class View:
    """What the pages read. Times in seconds, `series` and `pressure` by window (`edges`)."""

    key: str
    order: Order
    verdict: Verdict | Collapse | None
    """A `Collapse` until its controls were run; None when the run was stopped."""
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

    @cached_property
    def charts(self) -> list[Chart]:
        """Its charts, made once."""
        from bpsim.dashboard.charts import charts  # half a second, in which the first visitor sees the rest

        return charts(self)

    def settled(self, verdict: Verdict) -> View:
        """The same with its verdict."""
        name, variants = self.order.variant, self.document["variants"]
        told = variants | {name: variants[name] | {"verdict": verdict_document(verdict)}}
        return replace(self, verdict=verdict, document=self.document | {"variants": told})


def made(order: Order, on_progress: OnProgress = untold, allowance: Allowance = ALLOWANCE) -> Within:
    """The run of `order`. Raises as `run_within` does."""
    run = run_within(order.scenario, order.seed, order.variant, allowance, on_progress)
    return replace(run, result=replace(run.result, places=order.file.places[order.variant]))


def look(order: Order, run: Within) -> View:
    """Read the run of `order`; no control is run yet."""
    reading = Reading(run.result)
    experiment = _experiment(order, run, reading.summary)
    document = summary_document(experiment)
    first = onsets(reading)
    view = View(
        key=order.key,
        order=order,
        verdict=None,
        summary=reading.summary,
        ledger=reading.ledger,
        series=reading.series,
        edges=reading.edges,
        tiers=reading.tiers,
        pressure={tier: reading.pressure(tier) for tier in reading.tiers},
        onsets=first,
        first=first_of(first),
        faults=reading.faults,
        timeout_s=reading.timeout,
        film=json.dumps(film(reading), separators=(",", ":")),
        explanation=experiment.explanations[order.variant],
        document=document,
        warnings=document["warnings"],
        fingerprint=document["variants"][order.variant]["fingerprint"],
        stopped=run.stopped,
    )
    if run.stopped is not None:
        return view
    found = first_look(order.scenario, run.result, reading.summary)
    return view.settled(found) if isinstance(found, Verdict) else replace(view, verdict=found)


def _experiment(order: Order, run: Within, numbers: dict[str, float]) -> Experiment:
    results, summaries = {order.variant: run.result}, {order.variant: numbers}
    return Experiment(order.file, order.seed, results, summaries, (), run.stopped is not None, {})
