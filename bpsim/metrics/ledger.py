"""The ledger in words: where every request, attempt and record ended. Each column of lines sums to its total."""

from __future__ import annotations

import numpy as np

from bpsim.result import Column, Fate, Outcome, Result, Work

Lines = dict[str, int]


def ledger(result: Result) -> dict[str, Lines]:
    """Counts by line for `requests`, `attempts` (by outcome), `work` (attempts by what the server did) and `records`.

    Of delivered records, `delivered_in_time` is the first copy of a request somebody was waiting for, `delivered_wasted`
    the first copy of one nobody was (any more), `duplicate` every further copy. `acked_then_lost` is the part of the
    records lost in a crash whose client had been told that all was well.
    """
    requests, attempts = result.tables["requests"], result.tables["attempts"]
    return {
        "requests": {outcome.name.lower(): int((requests["outcome"] == outcome).sum()) for outcome in Outcome},
        "attempts": {outcome.name.lower(): int((attempts["outcome"] == outcome).sum()) for outcome in Outcome},
        "work": {work.name.lower(): int((attempts["work"] == work).sum()) for work in Work},
        "records": _records(result),
    }


def totals(lines: dict[str, Lines]) -> dict[str, int]:
    """How many requests, attempts and records there were in all."""
    return {name: sum(found.values()) for name, found in lines.items() if name != "work"}


def first_copies(result: Result) -> tuple[Column, Column]:
    """Rows in `records` of the first delivered copy of each request: those somebody was waiting for, and the others."""
    requests, records = result.tables["requests"], result.tables["records"]
    delivered = np.flatnonzero(records["fate"] == Fate.DELIVERED)
    delivered = delivered[np.argsort(records["ended_s"][delivered], kind="stable")]
    request, first = np.unique(records["request"][delivered], return_index=True)
    useful = requests["outcome"][request] == Outcome.OK
    return delivered[first[useful]], delivered[first[~useful]]


def _records(result: Result) -> Lines:
    fate = result.tables["records"]["fate"]
    in_time = result.tables["attempts"]["outcome"][result.tables["records"]["attempt"]] == Outcome.OK
    useful, wasted = first_copies(result)
    lost = fate == Fate.LOST_IN_CRASH
    lines = {
        "delivered_in_time": len(useful),
        "delivered_wasted": len(wasted),
        "duplicate": int((fate == Fate.DELIVERED).sum()) - len(useful) - len(wasted),
        "evicted": int((fate == Fate.EVICTED).sum()),
        "dropped": int((fate == Fate.DROPPED).sum()),
        "acked_then_lost": int((lost & in_time).sum()),
        "lost_in_crash": int((lost & ~in_time).sum()),
    }
    for end in (Fate.EXPIRED, Fate.REFUSED, Fate.SKIPPED):
        lines[end.name.lower()] = int((fate == end).sum())
    for place in (Fate.IN_PRODUCER, Fate.IN_BROKER, Fate.IN_CONSUMER, Fate.IN_FLINK, Fate.IN_WRITER):
        lines[place.name.lower()] = int((fate == place).sum())
    return lines


def check(result: Result) -> None:
    """Raises `AssertionError` with the numbers when a column of the ledger does not sum to its total."""
    lines = ledger(result)
    totals = {
        "requests": len(result.tables["requests"]["born_s"]),
        "attempts": len(result.tables["attempts"]["sent_s"]),
        "work": len(result.tables["attempts"]["sent_s"]),
        "records": len(result.tables["records"]["fate"]),
    }
    for name, total in totals.items():
        found = sum(lines[name].values())
        assert found == total, f"{name}: {found} booked, {total} there: {lines[name]}"
