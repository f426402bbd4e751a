"""What was lost, by cause, and what was done for nobody."""

from __future__ import annotations

from collections.abc import Iterator

from bpsim.explanation.case import Case, at, count
from bpsim.explanation.events import marked
from bpsim.explanation.model import Finding
from bpsim.metrics.bookmarks import out_of_memory
from bpsim.result import Column, Fate, Work

GIVEN_UP = {
    Fate.EXPIRED: (
        "producer",
        "producer.delivery_timeout",
        "{records} {are} given up by the producer before the broker had them",
    ),
    Fate.REFUSED: ("broker", "broker.overflow", "{records} {are} refused by a broker that had no room"),
    Fate.SKIPPED: ("consumer", "consumer", "{records} {are} passed over by a consumer whose position had been deleted"),
    Fate.DROPPED: ("writer", "writer.retry", "{records} {are} given up by the DB writer after its last try"),
}
"""Ends that are somebody's decision: whose, by which option, and in words."""
Loss = tuple[float, Column, str, str, str]
"""How many, when, in which tier, by which part of the scenario, and in words."""


def lost(case: Case) -> Iterator[Finding]:
    """A finding for each way in which records, requests or work were lost; or one that says that no record was."""
    gone = [_finding(case, *loss) for loss in _records(case) if loss[0]]
    found = [*gone, *(_finding(case, *loss) for loss in _work(case) if loss[0])]
    if not gone and case.scenario.producer is not None:
        found.append(_nothing(case))
    yield from sorted(found, key=lambda one: one.time_s)


def _nothing(case: Case) -> Finding:
    """That every record is in the last tier, or on its way there."""
    last, end, lines = case.scenario.tiers[-1], case.ended_s, case.ledger["records"]
    kept = {"delivered": case.summary["delivered"], "still_inside": case.summary["still_inside"]}
    words = f"{kept['delivered']:,.0f} are delivered, {kept['still_inside']:,.0f} on their way"
    if last == "broker":
        kept = {"in_broker": lines["in_broker"], "in_producer": lines["in_producer"]}
        words = f"{kept['in_broker']:,.0f} are in the broker, {kept['in_producer']:,.0f} on their way"
    return case.finding("lost", last, end, end, last, f"No record is lost: {words} at {at(end)}.", **kept)


def _records(case: Case) -> Iterator[Loss]:
    """Records that are gone."""
    lines, records = case.ledger["records"], case.result.tables["records"]
    ended, fate, died = records["ended_s"], records["fate"], _what_killed(case)
    crashed = ended[fate == Fate.LOST_IN_CRASH]
    yield (
        lines["evicted"],
        ended[fate == Fate.EVICTED],
        "broker",
        "broker.retention",
        "{records} {are} deleted by retention unread",
    )
    for end, (tier, path, words) in GIVEN_UP.items():
        yield lines[end.name.lower()], ended[fate == end], tier, path, words
    told = "{records} {are} lost in a crash after the client had been told that all was well"
    yield lines["acked_then_lost"], crashed, "producer", died, told
    yield lines["lost_in_crash"], crashed, "producer", died, "{records} that nobody had been promised {are} lost in a crash"


def _work(case: Case) -> Iterator[Loss]:
    """Requests and work that came to nothing, and records that were written more than once."""
    lines, records, attempts = case.ledger["records"], case.result.tables["records"], case.result.tables["attempts"]
    ended, fate, work = records["ended_s"], records["fate"], attempts["work"]
    inside = attempts["ended_s"][work == Work.LOST]
    words = "{requests} {are} inside the API process when it dies"
    yield case.summary["crash_lost_requests"], inside, "api", _what_killed(case), words
    wasted = attempts["served_s"][work == Work.WASTED]
    words = "{attempts} {are} served though nobody waits for {them} any more"
    yield len(wasted), wasted, "api", "api.cancellation", words
    again = ended[records["redelivered"] > 0]
    tier, path, why = _why_again(case)
    words = f"{{writes}} {{repeat}} what had been written {{when}}: {why}"
    yield case.summary["redelivered"], again, tier, path, words
    copies = ended[(fate == Fate.DELIVERED) & (attempts["number"][records["attempt"]] > 0)]
    yield lines["duplicate"], copies, "writer", "client.retry", "{records} in the database {are} {copies} that a retry made"


def _why_again(case: Case) -> tuple[str, str, str]:
    """Why records were read again that had been written: whose doing, by which option, in words."""
    if len(marked(case, "job_fails")[0]):
        return "flink", "flink.options", "the Flink job failed and went back to its last checkpoint"
    if len(marked(case, "rescale")[0]):
        return "flink", "flink.autoscaler", "the Flink job was stopped to be rescaled, and went back to its last checkpoint"
    return "consumer", "consumer.commit_interval", "the process that had read them died before it had committed them"


def _what_killed(case: Case) -> str:
    """The path of what killed the API process: its heap, or a fault."""
    if out_of_memory(case.result):
        return "api.heap"
    faults = enumerate(case.scenario.faults)
    return next((f"faults.{number}" for number, fault in faults if fault.kind == "crash" and fault.target == "api"), "api")


def _finding(case: Case, number: float, when: Column, tier: str, path: str, words: str) -> Finding:
    first, last = (float(when.min()), float(when.max())) if len(when) else (case.ended_s, case.ended_s)
    moment = f"at {at(first)}" if first == last else f"from {at(first)} to {at(last)}"
    told = _told(number, words if "{when}" in words else f"{words}, {{when}}", moment)
    return case.finding("lost", tier, first, last, path, f"{told}.", count=number)


def _told(number: float, words: str, moment: str) -> str:
    """`words` with its nouns counted and in agreement, and the moment."""
    one = number == 1
    things = {f"{thing}s": count(number, thing) for thing in ("record", "request", "attempt", "write")}
    forms = {"are": "is", "them": "it", "repeat": "repeats", "copies": "a copy"}
    return words.format_map(things | {many: single if one else many for many, single in forms.items()} | {"when": moment})
