"""The `records` table: where each record is, read off the tiers themselves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bpsim.kernel.buffer import Sink
from bpsim.kernel.ledger import place_records, triples, when_ended
from bpsim.result import Column, Fate, Table
from bpsim.tiers.broker import Broker
from bpsim.tiers.job import Job
from bpsim.tiers.producer import Ends, Producer

Ranges = list[tuple[int, int]] | Column
Rows = list[tuple[float, ...]]


def record_table(
    producer: Producer | None, broker: Broker | None, job: Job | None, sink: Sink, inside: Mapping[Fate, Rows]
) -> Table:
    """`inside` holds the rows of what the tiers behind the broker have, the furthest first. Raises `LedgerError`."""
    attempt, produced, waiting = producer.table() if producer is not None else Ends.nothing()
    again = (job.replayed if job is not None else []) + (broker.appended_again if broker is not None else [])
    gone = producer.ends.gone if producer is not None else {}
    lost = (
        gone
        | {Fate.DROPPED: sink.dropped}
        | ({Fate.EVICTED: broker.log.evicted, Fate.SKIPPED: broker.log.skipped} if broker is not None else {})
    )
    places: dict[Fate, Ranges] = {Fate.DELIVERED: triples(sink.delivered)[:, :2]}
    places |= {fate: [(int(row[0]), int(row[0] + row[1])) for row in rows] for fate, rows in inside.items()}
    if broker is not None:
        places |= {Fate.IN_BROKER: broker.unread(), Fate.IN_PRODUCER: waiting + broker.on_the_way()}
    places |= {fate: triples(log)[:, :2] for fate, log in lost.items()}
    fate = place_records(len(attempt), places, again)
    ended, deliveries = when_ended(fate, lost.values(), sink.delivered)
    return {
        "attempt": attempt,
        "produced_s": produced,
        "fate": fate,
        "ended_s": ended,
        "redelivered": np.maximum(deliveries - 1, 0).astype(np.uint16),
    }
