"""What the client knows of every request and of every attempt, as columns."""

from __future__ import annotations

from math import nan

import numpy as np

from bpsim.result import Outcome, Table
from bpsim.tiers.client.client import NEW_REQUEST, Client

PENDING, OK = int(Outcome.PENDING), int(Outcome.OK)


def request_table(client: Client) -> Table:
    """The `requests` table. A request has ended when its last attempt has and no other is to come; one that was hedged has
    succeeded with any of its attempts, and is pending while any is."""
    n, count = client.requests, client.count
    request = np.frombuffer(client.request, dtype=np.int32)
    last = np.full(n, -1, dtype=np.int32)
    last[request] = np.arange(count, dtype=np.int32)
    outcomes_so_far = np.frombuffer(client.outcome, dtype=np.uint8)
    for decisive in (PENDING, OK) if client.spec.hedge else ():
        rows = np.flatnonzero(outcomes_so_far[:count] == decisive)
        last[request[rows]] = rows
    outcome = outcomes_so_far[last]
    ended = np.frombuffer(client.ended, dtype=np.float64)[last]
    to_come = np.array([row for _, row, _ in client.orbit if row != NEW_REQUEST], dtype=np.int64)
    outcome[to_come] = PENDING
    ended[to_come] = nan
    return {
        "born_s": client.births(n),
        "ended_s": ended,
        "outcome": outcome,
        "attempts": np.bincount(request, minlength=n),
        "criticality": client.criticalities(n),
        "size_bytes": np.broadcast_to(np.int64(client.spec.record_size), n),
    }


def attempt_table(client: Client) -> Table:
    """The client's columns of the `attempts` table."""
    return {
        "request": client.attempt_column(client.request, np.int32),
        "number": client.attempt_column(client.number, np.int32),
        "sent_s": client.attempt_column(client.sent),
        "ended_s": client.attempt_column(client.ended),
        "outcome": client.attempt_column(client.outcome, np.uint8),
        "work": client.attempt_column(client.work, np.uint8),
    }
