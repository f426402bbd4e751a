"""What was lost, by cause, and what was done for nobody."""

from __future__ import annotations

from collections.abc import Iterator

from bpsim.explanation.case import Case, at
from bpsim.explanation.model import Finding
from bpsim.metrics.bookmarks import out_of_memory
from bpsim.result import Column, Fate, Work

GIVEN_UP = {
    Fate.EXPIRED: ("producer", "producer.delivery_timeout", "records are given up by the producer before the broker had them"),
    Fate.REFUSED: ("broker", "broker.overflow", "records are refused by a broker that had no room"),
    Fate.SKIPPED: ("consumer", "consumer", "records are passed over by a consumer whose position had been deleted"),
    Fate.DROPPED: ("writer", "writer.retry", "records are given up by the writer after its last try"),
}
"""Ends that are somebody's decision: whose, by which option, and in words."""
KEPT, FURTHER = ("client", "api"), ("client.retry", "consumer.commit_interval")
"""Losses of requests and work, and copies too many, are no loss of records."""


def lost(case: Case) -> Iterator[Finding]:
    """A finding for each way in which records, requests or work were lost; or one that says that no record was."""
    found = [_finding(case, *loss) for loss in _losses(case) if loss[0]]
    if not any(one.tier not in KEPT and one.path not in FURTHER for one in found) and case.scenario.producer is not None:
        last, end = case.scenario.tiers[-1], case.ended_s
        kept = {"delivered": case.summary["delivered"], "still_inside": case.summary["still_inside"]}
        words = (
            f"No record is lost: {kept['delivered']:,.0f} are delivered, {kept['still_inside']:,.0f} on their way at {at(end)}."
        )
        found.append(case.finding("lost", last, end, end, last, words, **kept))
    yield from sorted(found, key=lambda one: one.time_s)


def _losses(case: Case) -> Iterator[tuple[float, Column, str, str, str]]:
    """How many, when, in which tier, by which part of the scenario, and in words."""
    lines, records, attempts = case.ledger["records"], case.result.tables["records"], case.result.tables["attempts"]
    ended, fate, work = records["ended_s"], records["fate"], attempts["work"]
    died, crashed = _what_killed(case), records["ended_s"][fate == Fate.LOST_IN_CRASH]
    yield lines["evicted"], ended[fate == Fate.EVICTED], "broker", "broker.retention", "records are deleted by retention unread"
    for end, (tier, path, words) in GIVEN_UP.items():
        yield lines[end.name.lower()], ended[fate == end], tier, path, words
    told = "records are lost in a crash after the client had been told that all was well"
    yield lines["acked_then_lost"], crashed, "producer", died, told
    yield lines["lost_in_crash"], crashed, "producer", died, "records that nobody had been promised are lost in a crash"
    inside = attempts["ended_s"][work == Work.LOST]
    yield case.summary["crash_lost_requests"], inside, "api", died, "requests are inside the API process when it dies"
    wasted = attempts["served_s"][work == Work.WASTED]
    yield len(wasted), wasted, "api", "api.cancellation", "attempts are served though nobody waits for them any more"
    again = ended[records["redelivered"] > 0]
    twice = "records are written again because the consumer crashed before it had committed them"
    yield case.summary["redelivered"], again, "consumer", "consumer.commit_interval", twice
    copies = ended[(fate == Fate.DELIVERED) & (attempts["number"][records["attempt"]] > 0)]
    yield lines["duplicate"], copies, "writer", "client.retry", "records in the database are copies that a retry made"


def _what_killed(case: Case) -> str:
    """The path of what killed the API process: its heap, or a fault."""
    if out_of_memory(case.result):
        return "api.heap"
    faults = enumerate(case.scenario.faults)
    return next((f"faults.{number}" for number, fault in faults if fault.kind == "crash" and fault.target == "api"), "api")


def _finding(case: Case, count: float, when: Column, tier: str, path: str, words: str) -> Finding:
    first, last = (float(when.min()), float(when.max())) if len(when) else (case.ended_s, case.ended_s)
    moment = f"at {at(first)}" if first == last else f"from {at(first)} to {at(last)}"
    return case.finding("lost", tier, first, last, path, f"{count:,.0f} {words}, {moment}.", count=count)
