"""The moments of a run that are worth jumping to: first block, first 429, out of memory, recovered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np

from bpsim.metrics.harm import harm
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.pressure import Stretch, fault_window, pressed, retried_share
from bpsim.result import TIERS, Fate, Outcome, Result

MANY_RETRIES = 0.1
"""Share of the attempts from which retries are a load of their own (SRE book, ch. 21: a budget of 10 %)."""
ANSWERS = {
    "first_429": ((Outcome.REJECTED,), "the first 429"),
    "first_503": ((Outcome.UNAVAILABLE, Outcome.PRODUCE_FAILED), "the first 503"),
    "first_500": ((Outcome.ERROR,), "the first 500"),
    "first_timeout": ((Outcome.TIMED_OUT,), "the first client gives up waiting"),
    "first_refused": ((Outcome.REFUSED,), "the first connection is refused"),
}
STATES = {"saturated": "every server is at work", "blocked": "waits for room downstream", "full": "its buffer is full"}
BY_CHANCE_S = 2.0
"""Servers may all be at work for less than this without anything being wrong."""


@dataclass(frozen=True)
class Bookmark:
    """A moment (simulated seconds), its name, the tier it happened in, and what happened."""

    name: str
    time_s: float
    tier: str
    words: str


def bookmarks(
    result: Result,
    occupancy: Occupancy | None = None,
    stretches: list[Stretch] | None = None,
    trouble: list[Stretch] | None = None,
) -> list[Bookmark]:
    """The moments of `result` in order of time; what did not happen is not among them. What `pressed` and `harm` found, if
    it is at hand, saves finding it again."""
    window = fault_window(result)
    since = window[0] if window is not None else 0.0
    stretches = pressed(result, occupancy or Occupancy(result)) if stretches is None else stretches
    found = [
        *_faults(result, window),
        *_pressure([one for one in stretches if one.begin_s >= since or one.kind != "saturated"], result.ended_s),
        *_answers(result),
        *_retries(result),
        *_deaths(result),
        *_losses(result),
        *_harm(harm(result).trouble if trouble is None else trouble),
    ]
    return sorted(found, key=lambda mark: (mark.time_s, TIERS[::-1].index(mark.tier), mark.name))


def _faults(result: Result, window: tuple[float, float] | None) -> Iterator[Bookmark]:
    if window is None:
        return
    marks = result.tables["marks"]
    for name, kind, moment in (("first_fault", "fault_begins", window[0]), ("faults_over", "fault_ends", window[1])):
        rows = np.flatnonzero((marks["kind"] == kind) & (marks["time_s"] == moment))
        if len(rows):
            words = "the first fault begins" if kind == "fault_begins" else "the last fault is over"
            yield Bookmark(name, moment, TIERS[marks["tier"][rows[0]]], words)


def _pressure(stretches: list[Stretch], end_s: float) -> Iterator[Bookmark]:
    names = {"saturated": "first_saturated", "blocked": "first_block", "full": "first_full"}
    for kind, name in names.items():
        least = BY_CHANCE_S if kind == "saturated" else 0.0
        first = next((one for one in stretches if one.kind == kind and min(one.end_s, end_s) - one.begin_s >= least), None)
        if first is not None:
            holds = first.tier == "broker" and kind == "blocked"
            yield Bookmark(name, first.begin_s, first.tier, "holds its producers back" if holds else STATES[kind])


def _answers(result: Result) -> Iterator[Bookmark]:
    attempts = result.tables["attempts"]
    for name, (outcomes, words) in ANSWERS.items():
        when = attempts["ended_s"][np.isin(attempts["outcome"], outcomes)]
        if len(when):
            yield Bookmark(name, float(when.min()), "client", words)


def _retries(result: Result) -> Iterator[Bookmark]:
    edges = np.arange(0, result.ended_s + 1, 1.0)
    many = np.flatnonzero(retried_share(result, edges) > MANY_RETRIES) if len(edges) > 1 else np.zeros(0, dtype=np.int64)
    if len(many):
        attempts = result.tables["attempts"]
        again = attempts["sent_s"][(attempts["number"] > 0) & (attempts["sent_s"] >= edges[many[0]])]
        yield Bookmark("many_retries", float(again.min()), "client", "more than 10 % of the attempts are retries")


def out_of_memory(result: Result) -> list[tuple[float, float]]:
    """When the API process ran out of memory, and the bytes it held: its deaths that no fault brought about."""
    marks = result.tables["marks"]
    api = marks["tier"] == TIERS.index("api")
    died = np.flatnonzero(api & (marks["kind"] == "crash") & (marks["value"] > 0))
    faults = result.scenario.get("faults") or []
    begun = np.flatnonzero(api & (marks["kind"] == "fault_begins"))
    crashes = [number for number, fault in enumerate(faults) if fault.get("kind") == "crash"]
    wanted = {float(marks["time_s"][row]) for row in begun if int(marks["value"][row]) in crashes}
    return [(float(marks["time_s"][row]), float(marks["value"][row])) for row in died if marks["time_s"][row] not in wanted]


def _deaths(result: Result) -> Iterator[Bookmark]:
    memory = out_of_memory(result)
    if memory:
        yield Bookmark("out_of_memory", memory[0][0], "api", "the process runs out of memory and dies")
    marks = result.tables["marks"]
    killed = [row for row in np.flatnonzero(marks["kind"] == "crash") if marks["time_s"][row] not in dict(memory)]
    if killed:
        tier = TIERS[marks["tier"][killed[0]]]
        yield Bookmark("first_crash", float(marks["time_s"][killed[0]]), tier, "the process dies")


def _losses(result: Result) -> Iterator[Bookmark]:
    records = result.tables["records"]
    for fate, name, tier, words in (
        (Fate.EVICTED, "first_evicted", "broker", "retention deletes the first unread record"),
        (Fate.LOST_IN_CRASH, "first_lost_in_crash", "producer", "the first record dies with the API process"),
    ):
        when = records["ended_s"][records["fate"] == fate]
        if len(when):
            yield Bookmark(name, float(when.min()), tier, words)


def _harm(trouble: list[Stretch]) -> Iterator[Bookmark]:
    if trouble:
        yield Bookmark("users_notice", trouble[0].begin_s, "client", "users notice: requests fail or take much longer")
        well = max(one.end_s for one in trouble)
        if isfinite(well):
            yield Bookmark("recovered", well, "client", "users notice nothing any more")
