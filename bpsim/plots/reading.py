"""What the figures read of a run: its series, summary and ledger, each computed once however many figures ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan
from typing import Any

import numpy as np

from bpsim.metrics import ledger, summary, timeseries
from bpsim.metrics.bookmarks import BY_CHANCE_S
from bpsim.metrics.harm import harm
from bpsim.metrics.journeys import Journeys
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.pressure import Stretch, pressed
from bpsim.metrics.windows import tier_columns
from bpsim.names import TIER_NAMES
from bpsim.result import TIERS, Outcome, Result
from bpsim.units import parse

Column = np.ndarray[Any, Any]
PER_PANEL = 200
"""Windows in a panel whose time axis is cut short."""


@dataclass(frozen=True)
class FaultWindow:
    """A fault as it is drawn: when (seconds), which tier, and in a few words."""

    begin: float
    end: float
    tier: str
    words: str


@dataclass
class Reading:
    """A `Result` and what is read from it."""

    result: Result

    @cached_property
    def series(self) -> dict[str, Column]:
        """`metrics.timeseries` with the usual windows."""
        return dict(timeseries(self.result, occupancy=self.occupancy))

    @cached_property
    def summary(self) -> dict[str, float]:
        """`metrics.summary`."""
        return dict(summary(self.result, self.occupancy))

    @cached_property
    def ledger(self) -> dict[str, dict[str, int]]:
        """`metrics.ledger`."""
        return dict(ledger(self.result))

    @cached_property
    def occupancy(self) -> Occupancy:
        """Who was where, when."""
        return Occupancy(self.result)

    @property
    def end(self) -> float:
        """Simulated seconds done."""
        return self.result.ended_s

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers of this pipeline, from the client down."""
        return tuple(tier for tier in TIERS if tier in self.result.scenario)

    @property
    def edges(self) -> Column:
        """The edges of the windows of `series`, in seconds."""
        begin, width = self.series["time_s"], self.series["window_s"]
        return np.append(begin, begin[-1] + width[-1])

    @cached_property
    def faults(self) -> list[FaultWindow]:
        """Every fault that began, in order of beginning; one without an end lasts as long as the run."""
        marks = self.result.tables["marks"]
        ends = {
            int(value): float(time)
            for time, kind, value in zip(marks["time_s"], marks["kind"], marks["value"], strict=True)
            if kind == "fault_ends"
        }
        begun = np.flatnonzero(marks["kind"] == "fault_begins")
        return [self._fault(marks, int(row), ends) for row in begun]

    def _fault(self, marks: Mapping[str, Column], row: int, ends: Mapping[int, float]) -> FaultWindow:
        index, tier = int(marks["value"][row]), TIERS[int(marks["tier"][row])]
        listed = self.result.scenario.get("faults") or []
        fault = listed[index] if index < len(listed) else {}
        return FaultWindow(float(marks["time_s"][row]), ends.get(index, self.end), tier, _words(fault, tier))

    @property
    def crash(self) -> float:
        """When the API process died; NaN when it did not."""
        return float(self.occupancy.crash_s)

    @property
    def timeout(self) -> float:
        """The client's patience in seconds; NaN when it has no end."""
        value = self.result.scenario["client"].get("timeout")
        return nan if value is None else float(parse(value, "duration"))

    @property
    def heap(self) -> float:
        """Memory of the API process in bytes; NaN without a limit."""
        value = self.result.scenario["api"].get("heap")
        return nan if value is None else float(parse(value, "size"))

    @cached_property
    def failed_share(self) -> Column:
        """By window, the share of the requests that got their final outcome in it which failed; NaN without any."""
        requests = self.result.tables["requests"]
        ended = requests["outcome"] != Outcome.PENDING
        total = np.histogram(requests["ended_s"][ended], self.edges)[0]
        bad = np.histogram(requests["ended_s"][ended & (requests["outcome"] != Outcome.OK)], self.edges)[0]
        return np.asarray(np.divide(bad, total, out=np.full(len(total), nan), where=total > 0))

    @cached_property
    def journeys(self) -> Journeys:
        """The ways of its records."""
        return Journeys(self.result)

    @cached_property
    def rungs(self) -> list[Stretch]:
        """Stretches of lasting pressure, users' harm among them, in order of beginning. Servers that are all at work for
        under two seconds are left out, and before the first fault all that are."""
        since = min((fault.begin for fault in self.faults), default=0.0)
        every = [*pressed(self.result, self.occupancy), *harm(self.result).trouble]
        news = [one for one in every if one.kind != "saturated" or self._is_news(one, since)]
        return sorted(news, key=lambda one: (one.begin_s, -TIERS.index(one.tier)))

    def _is_news(self, one: Stretch, since: float) -> bool:
        return one.begin_s >= since - 1.0 and min(one.end_s, self.end) - one.begin_s >= BY_CHANCE_S

    def unbounded(self, tier: str) -> bool:
        """Whether the tier keeps a queue that nothing bounds."""
        return tier in ("api", "producer", "broker", "flink", "writer") and bool(np.isnan(self.series[f"{tier}.fill"]).all())

    def pressure(self, tier: str) -> Column:
        """By window, from 0 to 1: the fill of the tier's buffer, or the share of time its servers are blocked if that
        is more. A queue without a bound counts as full when it holds what arrives within the client's timeout (1 s
        without one). The client: its failures, or p95 to the final outcome as a share of its timeout."""
        if tier == "client":
            patience = self.series["latency_final_s_p95"] / self.timeout
            pressure = np.fmax(self.failed_share, patience)
        else:
            fill = self.series[f"{tier}.fill"]
            if self.unbounded(tier):
                fill = self.series[f"{tier}.waiting"] / max(self.patience_records, 1.0)
            if tier in ("api", "producer") and isfinite(self.heap):
                fill = np.fmax(fill, self.series[f"{tier}.bytes"] / self.heap)
            pressure = np.fmax(fill, self.series[f"{tier}.blocked_share"])
        return np.asarray(np.clip(pressure, 0, 1))

    @property
    def patience_records(self) -> float:
        """What arrives within the client's timeout (1 s without one)."""
        offered_per_s = sum(self.ledger["requests"].values()) / max(self.end, 1e-9)
        return offered_per_s * (self.timeout if isfinite(self.timeout) else 1.0)

    def held_bytes(self, until: float) -> tuple[Column, dict[str, Column]]:
        """Edges of windows up to `until` seconds, and the mean bytes each tier held in them."""
        edges = self.edges if until >= self.end else np.linspace(0, until, PER_PANEL + 1)
        size = self.occupancy.record_bytes
        held = {
            tier: np.maximum(tier_columns(presence, edges, size)["bytes"], 0) for tier, presence in self.occupancy.tiers.items()
        }
        return edges, held


def _words(fault: Mapping[str, Any], tier: str) -> str:
    name = TIER_NAMES[tier]
    match fault.get("kind"):
        case "slowdown":
            return f"{name} {float(fault['factor']):g}× slower"
        case "stall":
            return f"{name} stands still"
        case "outage":
            return f"{name} is down"
        case "spike":
            return f"{float(fault['factor']):g}× the load"
        case str(kind):
            return f"{name}: {kind.replace('_', ' ')}"
    return f"fault: {name}"


Results = Mapping[str, Result | Reading]
"""Runs by variant's name, in the order of drawing."""


def read(results: Results) -> dict[str, Reading]:
    """Each result's `Reading`; those that are readings already stay what they are. Raises `ValueError` for none."""
    if not results:
        raise ValueError("there is nothing to draw: no results")
    return {name: found if isinstance(found, Reading) else Reading(found) for name, found in results.items()}
