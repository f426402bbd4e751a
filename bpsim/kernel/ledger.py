"""The ledger: every record and every attempt is in exactly one place, or the run has failed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bpsim.result import Column, Fate, Outcome, Table, Work


class LedgerError(AssertionError):
    """The books do not balance: a bug in the model, never a property of the scenario."""


Ranges = Sequence[tuple[int, int]] | Column


def triples(flat: array[float]) -> Column:
    """Flat (first, end, time) triples as rows."""
    return np.frombuffer(flat, dtype=np.float64).reshape(-1, 3)


def when_ended(fate: Column, lost: Iterable[array[float]], delivered: array[float]) -> tuple[Column, Column]:
    """When each record ended (NaN: it has not), and how often it was delivered. Of several deliveries the first counts, and
    what was `lost` once but is on its way again has not ended."""
    ended = np.full(len(fate), np.nan)
    for log in lost:
        where, when = _each(triples(log))
        ended[where] = when
    ended[fate <= Fate.IN_WRITER] = np.nan
    where, when = _each(triples(delivered))
    ended[where[::-1]] = when[::-1]
    return ended, np.bincount(where, minlength=len(fate))


def _each(rows: Column) -> tuple[Column, Column]:
    """Every record of (first, end, time) rows, and its time."""
    first, count = rows[:, 0].astype(np.int32), (rows[:, 1] - rows[:, 0]).astype(np.int32)
    where = np.repeat(first - (np.cumsum(count, dtype=np.int32) - count), count)
    where += np.arange(len(where), dtype=np.int32)
    return where, np.repeat(rows[:, 2], count)


def cover_of(count: int, ranges: Ranges) -> Column:
    """How often each of `count` records is in `ranges`."""
    pairs = np.asarray(ranges, dtype=np.int64).reshape(-1, 2)
    change = np.bincount(pairs[:, 0], minlength=count + 1)
    change -= np.bincount(pairs[:, 1], minlength=count + 1)
    return np.cumsum(change[:count], dtype=np.int32)


def place_records(count: int, places: Mapping[Fate, Ranges], again: Ranges = ()) -> Column:
    """The fate of each of `count` records from the ranges found in each place. Raises `LedgerError` when a record is in
    no place or in two. Only those that were read or sent `again` may be in several, and several times in one: the first of
    `places` that has them counts."""
    fates = np.zeros(count, dtype=np.uint8)
    cover = np.zeros(count, dtype=np.int32)
    several = cover_of(count, again) > 0 if len(again) else np.zeros(count, dtype=bool)
    for fate, ranges in places.items():
        here = cover_of(count, ranges)
        if len(again):
            here[several] = (here[several] > 0) & (cover[several] == 0)
        fates[here > 0] = fate
        cover += here
    if (cover != 1).any():
        wrong = int(np.flatnonzero(cover != 1)[0])
        raise LedgerError(f"record {wrong} of {count} is in {cover[wrong]} places; {int((cover != 1).sum())} such records")
    return fates


def check_attempts(
    attempts: Table,
    requests: Table,
    inside: list[int],
    outside: list[int],
    travelling: tuple[list[int], list[int]],
    retries: int,
) -> None:
    """Hold the columns against what was found alive: attempts `inside` the API and `outside` its door, `travelling` out and
    back, and `retries` to come. Raises `LedgerError` with the numbers."""
    work, outcome = attempts["work"], attempts["outcome"]
    if len(set(inside)) != len(inside):
        raise LedgerError(f"{len(inside) - len(set(inside))} attempts are in two places of the API")
    out, back = travelling
    if len(back) != int((work == Work.REPLYING).sum()):
        raise LedgerError(f"{len(back)} replies are on the network, {int((work == Work.REPLYING).sum())} are booked so")
    found = np.zeros(len(work), dtype=bool)
    found[inside] = True
    if (found != (work == Work.INSIDE)).any():
        raise LedgerError(f"{len(inside)} attempts are inside the API, {int((work == Work.INSIDE).sum())} are booked so")
    waiting = [attempt for attempt in [*outside, *out] if outcome[attempt] == Outcome.PENDING]
    if len(waiting) != int((work == Work.OUTSIDE).sum()):
        raise LedgerError(f"{len(waiting)} attempts wait outside, {int((work == Work.OUTSIDE).sum())} are booked so")
    happy = outcome == Outcome.OK
    if (happy != (work == Work.DONE)).any():
        raise LedgerError(f"{int(happy.sum())} attempts succeeded, {int((work == Work.DONE).sum())} were served in time")
    pending = len(np.unique(attempts["request"][outcome == Outcome.PENDING])) + retries
    booked = int((requests["outcome"] == Outcome.PENDING).sum())
    if pending != booked:
        raise LedgerError(f"{pending} attempts and retries are pending, {booked} requests are booked so")
    if int(requests["attempts"].sum()) != len(work):
        raise LedgerError(f"{int(requests['attempts'].sum())} attempts by request, {len(work)} sent")
