"""The ledger: every record and every attempt is in exactly one place, or the run has failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bpsim.result import Column, Fate, Outcome, Table, Work


class LedgerError(AssertionError):
    """The books do not balance: a bug in the model, never a property of the scenario."""


def place_records(count: int, places: Mapping[Fate, Sequence[tuple[int, int]] | Column]) -> Column:
    """The fate of each of `count` records from the ranges found in each place. Raises `LedgerError` when a record is in
    no place or in two."""
    fates = np.zeros(count, dtype=np.uint8)
    cover = np.zeros(count, dtype=np.int64)
    for fate, ranges in places.items():
        pairs = np.asarray(ranges, dtype=np.int64).reshape(-1, 2)
        begins = np.bincount(pairs[:, 0], minlength=count + 1)
        ends = np.bincount(pairs[:, 1], minlength=count + 1)
        here = np.cumsum(begins[:count] - ends[:count])
        fates[here > 0] = fate
        cover += here
    if (cover != 1).any():
        wrong = int(np.flatnonzero(cover != 1)[0])
        raise LedgerError(f"record {wrong} of {count} is in {cover[wrong]} places; {int((cover != 1).sum())} such records")
    return fates


def check_attempts(attempts: Table, requests: Table, inside: list[int], outside: list[int], retries: int) -> None:
    """Hold the columns against what was found alive in the tiers. Raises `LedgerError` with the numbers."""
    work, outcome = attempts["work"], attempts["outcome"]
    if len(set(inside)) != len(inside):
        raise LedgerError(f"{len(inside) - len(set(inside))} attempts are in two places of the API")
    found = np.zeros(len(work), dtype=bool)
    found[inside] = True
    if (found != (work == Work.INSIDE)).any():
        raise LedgerError(f"{len(inside)} attempts are inside the API, {int((work == Work.INSIDE).sum())} are booked so")
    waiting = [attempt for attempt in outside if outcome[attempt] == Outcome.PENDING]
    if len(waiting) != int((work == Work.OUTSIDE).sum()):
        raise LedgerError(f"{len(waiting)} attempts wait outside, {int((work == Work.OUTSIDE).sum())} are booked so")
    happy = outcome == Outcome.OK
    if (happy != (work == Work.DONE)).any():
        raise LedgerError(f"{int(happy.sum())} attempts succeeded, {int((work == Work.DONE).sum())} were served in time")
    pending = int((outcome == Outcome.PENDING).sum()) + retries
    booked = int((requests["outcome"] == Outcome.PENDING).sum())
    if pending != booked:
        raise LedgerError(f"{pending} attempts and retries are pending, {booked} requests are booked so")
    if int(requests["attempts"].sum()) != len(work):
        raise LedgerError(f"{int(requests['attempts'].sum())} attempts by request, {len(work)} sent")
