"""How long records spend in each tier, and the way of a single request: read off the rows of its batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, isnan

import numpy as np

from bpsim.metrics.spans import Floats
from bpsim.result import TIERS, Column, Fate, Outcome, Result

WAYS = ("queued", "served", "blocked")
STEPS = ("entered_s", "started_s", "served_s", "left_s")
NEAR = 0.005
"""Records whose rank is this close to a quantile stand for it."""


@dataclass(frozen=True)
class Span:
    """A stretch of a request's way: where, what it did there, from when to when (seconds; NaN: not over yet)."""

    tier: str
    what: str
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Trace:
    """The way of one request: `rank` of its time to the final outcome (0 … 1), its outcome, and its spans in order."""

    request: int
    rank: float
    born_s: float
    ended_s: float
    outcome: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Journeys:
    """The ways of all records, or of all requests of a pipeline that ends at its API."""

    result: Result

    @cached_property
    def steps(self) -> dict[str, dict[str, Floats]]:
        """By tier behind the API and step, one time a record: that of its first passage; NaN where it has not been."""
        hops, count = self.result.tables["hops"], len(self.result.tables["records"]["produced_s"])
        found = {}
        for tier in TIERS[2:]:
            rows = np.flatnonzero((hops["tier"] == TIERS.index(tier)) & (hops["count"] > 0))[::-1]  # the first passage last
            if len(rows):
                sizes = hops["count"][rows].astype(np.int64)
                offsets = np.cumsum(sizes) - sizes
                where = np.repeat(hops["first"][rows] - offsets, sizes) + np.arange(sizes.sum())
                found[tier] = {step: _placed(where, np.repeat(hops[step][rows], sizes), count) for step in STEPS}
        return found

    @cached_property
    def spent(self) -> dict[str, dict[str, Floats]]:
        """By tier, seconds queued, served and blocked of each row of `rows`. What came before the attempt that made the
        record (earlier tries, their pauses, the network) is the client's."""
        attempts, records = self.result.tables["attempts"], self.result.tables["records"]
        attempt = records["attempt"][self.rows] if self.of_records else self.rows
        born = self.result.tables["requests"]["born_s"][attempts["request"][attempt]]
        came, began, served = (attempts[name][attempt] for name in ("admitted_s", "started_s", "served_s"))
        left = records["produced_s"][self.rows] if self.of_records else attempts["freed_s"][attempt]
        nothing = np.zeros(len(attempt))
        found = {
            "client": {"queued": came - born, "served": nothing, "blocked": nothing},
            "api": {"queued": began - came, "served": served - began, "blocked": np.maximum(left - served, 0)},
        }
        for tier, steps in (self.steps if self.of_records else {}).items():
            entered, started, done, gone = (steps[step][self.rows] for step in STEPS)
            if tier == "broker":
                started = done = gone
            found[tier] = {"queued": started - entered, "served": done - started, "blocked": gone - done}
        return {tier: {way: np.nan_to_num(values) for way, values in ways.items()} for tier, ways in found.items()}

    @property
    def of_records(self) -> bool:
        """Whether there are records to follow."""
        return "producer" in self.result.scenario

    @cached_property
    def rows(self) -> Column:
        """The records that were delivered; without a producer the attempts that were answered in time."""
        if self.of_records:
            return np.flatnonzero(self.result.tables["records"]["fate"] == Fate.DELIVERED)
        return np.flatnonzero(self.result.tables["attempts"]["outcome"] == Outcome.OK)

    @cached_property
    def total(self) -> Floats:
        """Seconds from the intended first send to the end of the way, for each of `rows`."""
        if self.of_records:
            records = self.result.tables["records"]
            born = self.result.tables["requests"]["born_s"][records["request"][self.rows]]
            return np.asarray(records["ended_s"][self.rows] - born)
        attempts = self.result.tables["attempts"]
        return np.asarray(attempts["ended_s"] - self.result.tables["requests"]["born_s"][attempts["request"]])[self.rows]

    def at(self, level: float) -> dict[str, dict[str, float]]:
        """By tier, mean seconds queued, served and blocked of those whose total is at quantile `level`; empty without any."""
        if not len(self.rows):
            return {}
        order = np.argsort(self.total, kind="stable")
        low = max(0, ceil((level - NEAR) * len(order)) - 1)
        mine = order[low : max(low + 1, ceil((level + NEAR) * len(order)))]
        return {tier: {way: float(values[mine].mean()) for way, values in ways.items()} for tier, ways in self.spent.items()}

    def trace(self, level: float = 0.99) -> Trace | None:
        """The request whose time to the final outcome is at quantile `level`, hop by hop; None when none had an outcome."""
        requests = self.result.tables["requests"]
        ended = np.flatnonzero(requests["outcome"] != Outcome.PENDING)
        if not len(ended):
            return None
        order = ended[np.argsort((requests["ended_s"] - requests["born_s"])[ended], kind="stable")]
        place = max(0, ceil(level * len(order)) - 1)
        request = int(order[place])
        spans = [*self._tries(request), *self._ways(request)]
        outcome = Outcome(int(requests["outcome"][request])).name.lower()
        born, end = float(requests["born_s"][request]), float(requests["ended_s"][request])
        return Trace(request, (place + 1) / len(order), born, end, outcome, tuple(spans))

    def _tries(self, request: int) -> list[Span]:
        attempts = self.result.tables["attempts"]
        found = []
        for row in np.flatnonzero(attempts["request"] == request):
            at = {name: float(attempts[name][row]) for name in attempts if name.endswith("_s")}
            number, outcome = int(attempts["number"][row]) + 1, Outcome(int(attempts["outcome"][row])).name.lower()
            found.append(Span("client", f"try {number}: {outcome.replace('_', ' ')}", at["sent_s"], at["ended_s"]))
            if not isnan(at["admitted_s"]) and at["started_s"] != at["admitted_s"]:
                began = at["freed_s"] if isnan(at["started_s"]) else at["started_s"]
                found.append(Span("api", f"try {number} queued", at["admitted_s"], began))
            if not isnan(at["started_s"]):
                served = at["freed_s"] if isnan(at["served_s"]) else at["served_s"]
                found.append(Span("api", f"try {number} served", at["started_s"], served))
            if at["freed_s"] > at["served_s"]:
                found.append(Span("api", f"try {number} blocked", at["served_s"], at["freed_s"]))
        return found

    def _ways(self, request: int) -> list[Span]:
        found = []
        for record in np.flatnonzero(self.result.tables["records"]["request"] == request):
            for tier, steps in self.steps.items():
                entered, started, served, left = (float(steps[step][record]) for step in STEPS)
                ends = (started, served, left) if tier != "broker" else (left, left, left)
                for way, begin, end in zip(WAYS, (entered, *ends), ends, strict=False):
                    if not isnan(begin) and not end <= begin:
                        found.append(Span(tier, way, begin, end))
        return found


def _placed(where: Column, values: Floats, count: int) -> Floats:
    found = np.full(count, np.nan)
    found[where] = values
    return found
