"""Runs made by hand for the figures: everything about them is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bpsim.result import TIERS, Fate, Outcome, Result, Work

OK, TIMED_OUT, REFUSED, RESET = Outcome.OK, Outcome.TIMED_OUT, Outcome.REFUSED, Outcome.RESET
API, WRITER = TIERS.index("api"), TIERS.index("writer")
FAULT = {"kind": "slowdown", "target": "api", "at": "4 s", "lasts": "2 s", "factor": 3}
Row = tuple[float, float, int]
"""Born, ended and outcome of a request that is one attempt; the API serves it from its birth on."""
Mark = tuple[float, int, str, float]
"""Time, tier, kind and value."""


def made(rows: list[Row], marks: Sequence[Mark] = (), end: float = 10.0, **scenario: Any) -> Result:
    """A run of a client, an API with one worker and a producer whose records leave at once, to the producer's end."""
    born, ended = (np.array([row[i] for row in rows], dtype=np.float64) for i in (0, 1))
    outcome = np.array([row[2] for row in rows], dtype=np.uint8)
    index = np.arange(len(rows))
    refused = outcome == REFUSED
    inside = np.where(refused, np.nan, born)
    work = np.array([_work(row[2]) for row in rows], dtype=np.uint8)
    kept = np.flatnonzero((work == Work.DONE) | (work == Work.WASTED))
    bytes_ = np.full(len(rows), 1000)
    plain = {"client": {"record_size": "1000 B", "timeout": "1 s"}, "api": {"workers": 1, "queue": {"records": 10}}}
    return Result(
        scenario={**plain, "producer": {"buffer": {"records": 10}}, **scenario},
        seed=1,
        replication=0,
        variant="base",
        duration_s=end,
        ended_s=end,
        tables={
            "requests": {
                "born_s": born, "ended_s": ended, "outcome": outcome, "attempts": index * 0 + 1, "size_bytes": bytes_,
                "criticality": np.ones(len(rows), dtype=np.uint8),
            },
            "attempts": {
                "request": index, "number": index * 0, "sent_s": born, "admitted_s": inside, "started_s": inside,
                "served_s": np.where(refused, np.nan, ended), "freed_s": np.where(refused, np.nan, ended),
                "ended_s": ended, "outcome": outcome, "work": work,
            },
            "records": {
                "attempt": kept, "request": kept, "produced_s": ended[kept], "size_bytes": bytes_[kept],
                "fate": np.full(len(kept), Fate.DELIVERED, dtype=np.uint8), "ended_s": ended[kept],
                "redelivered": np.zeros(len(kept), dtype=np.int32),
            },
            "hops": _hops(ended[kept]),
            "marks": {
                "time_s": np.array([mark[0] for mark in marks]),
                "tier": np.array([mark[1] for mark in marks], dtype=np.uint8),
                "kind": np.array([mark[2] for mark in marks], dtype=object),
                "value": np.array([mark[3] for mark in marks]),
            },
        },
    )  # fmt: skip


def _work(outcome: int) -> Work:
    return {OK: Work.DONE, TIMED_OUT: Work.WASTED, REFUSED: Work.TURNED_AWAY, RESET: Work.LOST}[Outcome(outcome)]


def _hops(left: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    ones = np.ones(len(left), dtype=np.int64)
    tier = np.full(len(left), TIERS.index("producer"), dtype=np.uint8)
    times = dict.fromkeys(("entered_s", "started_s", "served_s", "left_s"), left)
    return {"tier": tier, "first": np.arange(len(left)), "count": ones, "size_bytes": 1000 * ones, **times}


def steady() -> list[Row]:
    """Ten requests a second for ten seconds, each answered after 50 ms."""
    return [(i / 10, i / 10 + 0.05, OK) for i in range(100)]


def calm() -> Result:
    """Nothing goes wrong."""
    return made(steady())


def faulty() -> Result:
    """From 4 s to 6 s every request times out after one second."""
    rows = [(born, born + 1, TIMED_OUT) if 4 <= born < 6 else (born, ended, out) for born, ended, out in steady()]
    return made(rows, [(4.0, API, "fault_begins", 0.0), (6.0, API, "fault_ends", 0.0)], faults=[FAULT])


def crashed() -> Result:
    """At 2 s the API dies; whoever comes later is refused."""
    rows = [(born, born + 0.001, REFUSED) if born >= 2 else (born, ended, out) for born, ended, out in steady()]
    rows[19] = (1.9, 2.0, RESET)
    api = {"workers": 1, "queue": {}, "heap": "5 kB"}
    return made(rows, [(2.0, API, "crash", 5000.0)], api=api)


def variants() -> dict[str, Result]:
    return {"calm": calm(), "with_fault": faulty(), "crashed": crashed()}
