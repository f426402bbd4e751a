"""What the API knows of every attempt, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np

from bpsim.result import Table, Work
from bpsim.streams import column
from bpsim.tiers.client import Client

NEVER_IN = [int(work) for work in (Work.OUTSIDE, Work.TURNED_AWAY, Work.LEFT, Work.NOT_SENT, Work.VANISHED)]
"""Attempts that were never inside, or are not yet."""


def columns(
    client: Client, admitted: Mapping[int, float], started: array[float], served: array[float], freed: array[float]
) -> Table:
    """`admitted_s` is when an attempt was sent, unless `admitted` knows better; NaN where it never came in."""
    came_in = column(client.sent, client.count)
    work = client.attempt_column(client.work, np.uint8)
    came_in[np.isin(work, NEVER_IN)] = np.nan
    for attempt, moment in admitted.items():
        if work[attempt] not in NEVER_IN:
            came_in[attempt] = moment
    return {
        "admitted_s": came_in,
        "started_s": client.attempt_column(started),
        "served_s": client.attempt_column(served),
        "freed_s": client.attempt_column(freed),
    }
