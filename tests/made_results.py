"""Results made by hand, row by row, so that every number read from them is known beforehand.

`made_runs` makes whole runs of one attempt a request for the figures; here each table is said as it is: retries, tiers
behind the producer, batches, crashes. No engine runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpsim.result import CRITICALITIES, TIERS, Fate, Outcome, Result, Table, Work

NEVER = float("nan")
SIZE = 1000
"""Bytes of a record and of a request."""
SCENARIO: dict[str, Any] = {"client": {"record_size": f"{SIZE} B", "timeout": "1 s"}, "api": {"workers": 1}}
WORK = {
    Outcome.PENDING: Work.INSIDE, Outcome.OK: Work.DONE, Outcome.REJECTED: Work.TURNED_AWAY,
    Outcome.TIMED_OUT: Work.WASTED, Outcome.REFUSED: Work.TURNED_AWAY, Outcome.PRODUCE_FAILED: Work.FAILED,
    Outcome.RESET: Work.LOST,
}  # fmt: skip
"""What the server most often did for an attempt that ended so."""


@dataclass(frozen=True)
class Try:
    """One attempt. The times that are not said never came."""

    sent_s: float
    ended_s: float = NEVER
    outcome: Outcome = Outcome.OK
    admitted_s: float = NEVER
    started_s: float = NEVER
    served_s: float = NEVER
    freed_s: float = NEVER
    work: Work | None = None
    """None: what `WORK` says of the outcome."""


@dataclass(frozen=True)
class Asked:
    """One request: its tries, in order of sending."""

    born_s: float
    tries: tuple[Try, ...]
    pending: bool = False
    """It waits for its next try at the end of the run."""


@dataclass(frozen=True)
class Made:
    """One record, of attempt number `attempt` in the order of sending."""

    attempt: int
    produced_s: float
    ended_s: float = NEVER
    fate: Fate = Fate.DELIVERED


@dataclass(frozen=True)
class Hop:
    """`count` records from `first` on passing `tier` together."""

    tier: str
    first: int
    count: int
    entered_s: float
    started_s: float = NEVER
    served_s: float = NEVER
    left_s: float = NEVER


@dataclass(frozen=True)
class Mark:
    """Something that happened."""

    time_s: float
    tier: str
    kind: str
    value: float = 0.0


def served(sent: float, began: float, done: float, outcome: Outcome = Outcome.OK, freed: float | None = None) -> Try:
    """A try let in at once, begun and served; the client hears at `done`, or 1 s after sending when it times out."""
    ended = sent + 1.0 if outcome == Outcome.TIMED_OUT else done
    return Try(sent, ended, outcome, sent, began, done, done if freed is None else freed)


def turned_away(sent: float, ended: float, outcome: Outcome = Outcome.REJECTED) -> Try:
    """A try that never got in."""
    return Try(sent, ended, outcome)


def once(born: float, latency: float, outcome: Outcome = Outcome.OK) -> Asked:
    """A request of one try that waits for nobody."""
    return Asked(born, (Try(born, born + latency, outcome, born, born, born + latency, born + latency),))


def made(
    asked: Sequence[Asked] = (),
    records: Sequence[Made] = (),
    hops: Sequence[Hop] = (),
    marks: Sequence[Mark] = (),
    end: float = 10.0,
    **scenario: Any,
) -> Result:
    """The run of `end` seconds that left these rows; `scenario` adds tiers to a client and an API of one worker."""
    sent = sorted(((one.sent_s, i, number) for i, ask in enumerate(asked) for number, one in enumerate(ask.tries)))
    return Result(
        scenario={**SCENARIO, "duration": f"{end} s", **scenario},
        seed=1,
        replication=0,
        variant="base",
        duration_s=end,
        ended_s=end,
        tables={
            "requests": _requests(asked),
            "attempts": _attempts([(i, number, asked[i].tries[number]) for _, i, number in sent]),
            "records": _records(records, np.array([i for _, i, _ in sent], dtype=np.int32)),
            "hops": _hops(hops),
            "marks": _marks(sorted(marks, key=lambda mark: mark.time_s)),
        },
    )


def _times(rows: Sequence[Any], *names: str) -> Table:
    return {name: np.array([getattr(row, name) for row in rows], dtype=np.float64) for name in names}


def _codes(values: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.uint8)


def _requests(asked: Sequence[Asked]) -> Table:
    open_ = [ask.pending or ask.tries[-1].outcome == Outcome.PENDING for ask in asked]
    last = [ask.tries[-1] for ask in asked]
    return _times(asked, "born_s") | {
        "ended_s": np.array([NEVER if o else one.ended_s for o, one in zip(open_, last, strict=True)], dtype=np.float64),
        "outcome": _codes([Outcome.PENDING if o else one.outcome for o, one in zip(open_, last, strict=True)]),
        "attempts": np.array([len(ask.tries) for ask in asked], dtype=np.int32),
        "criticality": np.full(len(asked), CRITICALITIES.index("critical"), dtype=np.uint8),
        "size_bytes": np.full(len(asked), SIZE, dtype=np.int64),
    }


def _attempts(rows: Sequence[tuple[int, int, Try]]) -> Table:
    tries = [one for _, _, one in rows]
    return {
        "request": np.array([i for i, _, _ in rows], dtype=np.int32),
        "number": np.array([number for _, number, _ in rows], dtype=np.int32),
        **_times(tries, "sent_s", "admitted_s", "started_s", "served_s", "freed_s", "ended_s"),
        "outcome": _codes([one.outcome for one in tries]),
        "work": _codes([WORK[one.outcome] if one.work is None else one.work for one in tries]),
    }


def _records(records: Sequence[Made], request: np.ndarray[Any, Any]) -> Table:
    attempt = np.array([record.attempt for record in records], dtype=np.int32)
    return {
        "attempt": attempt,
        "request": request[attempt],
        **_times(records, "produced_s", "ended_s"),
        "size_bytes": np.full(len(records), SIZE, dtype=np.int64),
        "fate": _codes([record.fate for record in records]),
        "redelivered": np.zeros(len(records), dtype=np.int32),
    }


def _hops(hops: Sequence[Hop]) -> Table:
    count = np.array([hop.count for hop in hops], dtype=np.int64)
    return {
        "tier": _codes([TIERS.index(hop.tier) for hop in hops]),
        "first": np.array([hop.first for hop in hops], dtype=np.int64),
        "count": count,
        "size_bytes": count * SIZE,
        **_times(hops, "entered_s", "started_s", "served_s", "left_s"),
    }


def _marks(marks: Sequence[Mark]) -> Table:
    return _times(marks, "time_s", "value") | {
        "tier": _codes([TIERS.index(mark.tier) for mark in marks]),
        "kind": np.array([mark.kind for mark in marks], dtype=object),
    }


def fault(begin: float, end: float, tier: str = "writer", number: int = 0) -> list[Mark]:
    """The marks of one fault."""
    return [Mark(begin, tier, "fault_begins", number), Mark(end, tier, "fault_ends", number)]
