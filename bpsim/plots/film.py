"""A run as a film: what each station holds from moment to moment, and some requests followed on their way."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from bpsim.metrics.spans import per_window
from bpsim.metrics.windows import edges_of, tier_columns, window_width
from bpsim.plots.reading import Column, Reading
from bpsim.result import TIERS, Fate, Outcome, Result, Work

FRAMES, TOKENS = 600, 2000
"""At most about so many frames and requests: what a browser draws at 60 frames a second."""
Film = dict[str, Any]
"""Plain data, ready for JSON; a number that does not exist is None."""
STATES = {
    "pause": ("pause_begins", "pause_ends", "paused"),
    "hold": ("hold_begins", "hold_ends", "holds its producers"),
    "down": ("crash", "restart", "process is dead"),
}
"""Kind of a station's state -> the marks it begins and ends with, and its words."""
GRAVES = {
    Outcome.REJECTED: "429 too many requests",
    Outcome.TIMED_OUT: "client gave up waiting",
    Outcome.REFUSED: "connection refused",
    Outcome.PRODUCE_FAILED: "503 could not produce",
    Outcome.RESET: "connection reset",
    Outcome.UNAVAILABLE: "503 unavailable",
    Outcome.ERROR: "500 error",
    Outcome.BREAKER_OPEN: "breaker open, not sent",
    Outcome.THROTTLED: "throttled, not sent",
}


def film(run: Result | Reading, since: float = 0.0, step_s: float | None = None, every: int | None = None) -> Film:
    """Frames (every `step_s` seconds) and journeys (of one request in `every`) from `since` seconds on. Frames are windows that
    begin at `time_s`; by tier `records` and `bytes` inside, `fill` of its buffer (of a queue without a bound: as a share of
    what arrives within the client's timeout), and the shares of time its servers were `busy` and `blocked`; `graves` count
    attempts and records that came to nothing, since the beginning of the run."""
    reading = run if isinstance(run, Reading) else Reading(run)
    result = reading.result
    edges = edges_of(result, step_s or window_width(result.duration_s, FRAMES))
    edges = edges[max(0, int(np.searchsorted(edges, since, side="right")) - 1) :]
    return {
        "since_s": since,
        "end_s": result.ended_s,
        "duration_s": result.duration_s,
        "time_s": _plain(edges[:-1], 4),
        "stations": [_station(reading, tier, edges) for tier in reading.tiers],
        "rates": {name: _plain(values, 2) for name, values in _rates(result, edges).items()},
        "done": _done(result, edges),
        "graves": _graves(result, edges),
        "states": _states(reading),
        "tokens": journeys(result, since, every),
    }


def _plain(values: Column, digits: int) -> list[float | None]:
    rounded = np.round(values, digits)
    return [None if value != value else value for value in rounded.tolist()]


def _station(reading: Reading, tier: str, edges: Column) -> Film:
    presence = reading.occupancy.tiers[tier]
    columns = tier_columns(presence, edges, reading.occupancy.record_bytes)
    bounded = bool(np.isfinite(presence.bound))
    fill = columns["fill"] if bounded else columns["waiting"] / max(reading.patience_records, 1.0)
    return {
        "tier": tier,
        "servers": presence.servers,
        "bound": float(presence.bound) if bounded else None,
        "records": _plain(columns["records"], 1),
        "bytes": _plain(columns["bytes"], 0),
        "fill": _plain(np.clip(fill, 0, 1), 3),
        "busy": _plain(columns["busy_share"], 3),
        "blocked": _plain(columns["blocked_share"], 3),
    }


def _rates(result: Result, edges: Column) -> dict[str, Column]:
    requests, attempts = result.tables["requests"], result.tables["attempts"]
    sent = attempts["work"] != Work.NOT_SENT
    happy = requests["outcome"] == Outcome.OK
    counts = {
        "offered": per_window(requests["born_s"], edges),
        "retries": per_window(attempts["sent_s"][sent & (attempts["number"] > 0)], edges),
        "goodput": per_window(requests["ended_s"][happy], edges),
    }
    return {name: count / np.diff(edges) for name, count in counts.items()}


def _done(result: Result, edges: Column) -> Film:
    """Requests answered in time and records stored, since the beginning of the run."""
    requests, records = result.tables["requests"], result.tables["records"]
    return {
        "answered": _until(requests["ended_s"][requests["outcome"] == Outcome.OK], edges),
        "delivered": _until(records["ended_s"][records["fate"] == Fate.DELIVERED], edges),
    }


def _until(when: Column, edges: Column) -> list[int]:
    """How many of these moments have come by the end of each window."""
    return [int(count) for count in np.searchsorted(np.sort(when), edges[1:], side="right")]


def _graves(result: Result, edges: Column) -> list[Film]:
    attempts, records = result.tables["attempts"], result.tables["records"]
    found = [(words, "client", attempts["ended_s"][attempts["outcome"] == outcome]) for outcome, words in GRAVES.items()]
    wasted = attempts["served_s"][attempts["work"] == Work.WASTED]
    found.append(("served, nobody waiting", "api", wasted))
    for fate, words, tier in (
        (Fate.EVICTED, "deleted by retention", "broker"),
        (Fate.LOST_IN_CRASH, "lost in a crash", "producer"),
    ):
        found.append((words, tier, records["ended_s"][records["fate"] == fate]))
    return [{"cause": words, "tier": tier, "count": _until(when, edges)} for words, tier, when in found if len(when)]


def _states(reading: Reading) -> list[Film]:
    """Spans in which something holds a station up: faults, pauses, holds, death."""
    found = [{"kind": "fault", "tier": f.tier, "begin": f.begin, "end": f.end, "words": f.words} for f in reading.faults]
    marks = reading.result.tables["marks"]
    for kind, (begins, ends, words) in STATES.items():
        for code, tier in enumerate(TIERS):
            mine = marks["tier"] == code
            begin, end = (marks["time_s"][mine & (marks["kind"] == name)].tolist() for name in (begins, ends))
            for moment in begin:
                over = next((later for later in end if later >= moment), reading.end)
                found.append({"kind": kind, "tier": tier, "begin": moment, "end": over, "words": words})
    return found


def journeys(result: Result, since: float = 0.0, every: int | None = None) -> Film:
    """One request in `every` (default: so many as make `TOKENS` attempts), with all their attempts: columns of equal length, a
    row an attempt. Times in seconds: `sent`, `admitted`, `started`, `freed` by the API, `ended` for the client with
    `outcome`, `produced`, `left_<tier>` behind the API, `gone` (evicted or lost), and `again`, when the request's next
    attempt was sent."""
    attempts = result.tables["attempts"]
    gone = ~(np.fmax(attempts["ended_s"], attempts["freed_s"]) >= since) & ~np.isnan(attempts["ended_s"])
    alive = np.flatnonzero((attempts["sent_s"] >= since) | ~gone)
    stride = every or max(1, ceil(len(alive) / TOKENS))
    rows = alive[attempts["request"][alive] % stride == 0][-2 * TOKENS :]
    columns = {name: attempts[f"{name}_s"][rows] for name in ("sent", "admitted", "started", "freed", "ended")}
    columns |= _records_of(result, rows)
    columns["again"] = _next_attempts(attempts["request"][rows], columns["sent"])
    found: Film = {name: _plain(values, 3) for name, values in columns.items()}
    outcomes = [outcome.name.lower() for outcome in Outcome]
    found["outcome"] = [outcomes[code] for code in attempts["outcome"][rows]]
    found |= {name: attempts[name][rows].tolist() for name in ("request", "number")}
    return found | {"every": stride}


def _next_attempts(request: Column, sent: Column) -> Column:
    order = np.lexsort((sent, request))
    again = np.full(len(sent), np.nan)
    same = request[order][1:] == request[order][:-1]
    again[order[:-1][same]] = sent[order[1:]][same]
    return again


def _records_of(result: Result, rows: Column) -> dict[str, Column]:
    """When the records of these attempts entered and left each tier behind the API."""
    records, hops = result.tables["records"], result.tables["hops"]
    record_of = np.full(len(result.tables["attempts"]["sent_s"]), -1, dtype=np.int64)
    record_of[records["attempt"]] = np.arange(len(records["attempt"]))
    record = record_of[rows]
    there = record >= 0
    ended, fate = (_pick(records[name], record, there) for name in ("ended_s", "fate"))
    found = {
        "produced": _pick(records["produced_s"], record, there),
        "gone": np.where((fate == Fate.EVICTED) | (fate == Fate.LOST_IN_CRASH), ended, np.nan),
    }
    for code, tier in enumerate(TIERS):
        mine = np.flatnonzero((hops["tier"] == code) & (hops["count"] > 0))
        if tier in result.scenario and code >= TIERS.index("producer"):
            found[f"left_{tier}"] = _left(hops, mine, record)
    return found


def _pick(values: Column, index: Column, there: Column) -> Column:
    found = np.full(len(index), np.nan)
    found[there] = values[index[there]]
    return found


def _left(hops: dict[str, Column], mine: Column, record: Column) -> Column:
    """When each record left the tier whose rows in `hops` are `mine`; NaN when it has not."""
    if not len(mine):
        return np.full(len(record), np.nan)
    mine = mine[np.argsort(hops["first"][mine], kind="stable")]
    first = hops["first"][mine]
    at = np.maximum(np.searchsorted(first, record, side="right") - 1, 0)
    at = np.searchsorted(first, first[at], side="left")  # of several passages the first
    inside = (record >= first[at]) & (record < first[at] + hops["count"][mine][at])
    return np.where(inside, hops["left_s"][mine][at], np.nan)
