"""What is inside the API's process: read off for the ledger and the memory, and lost when it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpsim.result import Outcome, Work
from bpsim.tiers.client import PENDING

if TYPE_CHECKING:
    from bpsim.tiers.api.api import Api

RESET, LOST, TURNED_AWAY = int(Outcome.RESET), int(Work.LOST), int(Work.TURNED_AWAY)


def inside(api: Api) -> list[int]:
    """Every attempt inside the process."""
    served = [job for job in api.servers.jobs() if job >= 0]
    return [*api.queue, *served, *(api.producing.inside() if api.producing is not None else ())]


def outside(api: Api) -> list[int]:
    """Every attempt that waits before it: for a place, or for the process to run again."""
    return [*api.outside, *api.backlog]


def held_bytes(api: Api) -> int:
    """Memory of the process: every request inside and every record in the producer's buffer."""
    held = api.producer.held if api.producer is not None else 0
    return (len(api.queue) + len(api.away.waiting) + api.busy + held) * api.bytes_each


def lose_everything(api: Api, now: float) -> None:
    """The process died: every waiting client sees its connection reset."""
    lost, client = inside(api), api.client
    turning_away = [~job for job in api.servers.jobs() if job < 0]
    waiting = [attempt for attempt in outside(api) if client.outcome[attempt] == PENDING]
    told = [*lost, *turning_away, *api.away.waiting, *waiting]
    for place in (api.queue, api.outside, api.backlog, api.away.waiting, api.servers, api.producing):
        if place is not None:
            place.clear()
    api.busy = 0
    for attempt in lost:
        client.work[attempt] = LOST
    for attempt in [*lost, *turning_away]:
        api.freed[attempt] = now
    for attempt in waiting:
        client.work[attempt] = TURNED_AWAY
    for attempt in sorted(told):
        if client.outcome[attempt] == PENDING:
            client.link.tell(attempt, now, RESET)
    if api.producer is not None:
        api.producer.die(now)
