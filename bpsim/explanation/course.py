"""How it went from tier to tier, and where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf

import numpy as np

from bpsim.explanation.case import Case, at, percent, span
from bpsim.explanation.model import Finding
from bpsim.metrics.pressure import Kind, Stretch
from bpsim.metrics.spans import level_peak
from bpsim.names import sentence, the
from bpsim.result import TIERS
from bpsim.units import format_seconds

SHORT_S = 2.0
"""Servers that are all at work for less than this are no news, away from the root."""
SERVERS = {
    "api": "workers",
    "flink": "parallelism",
    "writer": "connections",
    "producer": "max_in_flight",
    "broker": "throughput",
}
BUFFERS = {"api": "queue", "producer": "buffer", "broker": "retention", "flink": "network_buffers", "writer": "buffer"}
NEWS: tuple[Kind, ...] = ("blocked", "full", "saturated", "behind")
"""Of several kinds of pressure of a tier, the first of these is told; of the tier where it began, that it is busy."""


def course(case: Case) -> Iterator[Finding]:
    """A finding for each tier that came under pressure after the first cause, in order of time."""
    told = [_told(case, tier) for tier in reversed(TIERS)]
    for one in sorted((one for one in told if one is not None), key=lambda one: one[0].begin_s):
        yield _finding(case, *one)
    yield from _contended(case)


def _contended(case: Case) -> Iterator[Finding]:
    """An API that serves everybody at once is never busy by its workers: they make each other slower."""
    api, presence = case.scenario.api, case.signs.occupancy.tiers["api"]
    most = level_peak(*presence.busy)
    alone, together = api.service.mean, api.service.mean + most * api.contention
    if not case.roots or affected(case, "api") or together < 2 * alone:
        return
    slow = f"a handler that takes {format_seconds(alone)} alone takes up to {format_seconds(together)}"
    words = f"The API serves up to {most:,.0f} at once from {at(case.began_s)} on, and all slow each other: {slow}."
    yield case.finding("spread", "api", case.began_s, case.ended_s, "api.contention", words, inside=most, handler_s=together)


def affected(case: Case, tier: str) -> list[Stretch]:
    """The stretches of pressure of a tier that belong to the story."""
    at_root = {tier, "client"} & {root.cause.tier for root in case.roots}
    first, last = case.began_s - 1.0, _trouble_ends(case) + 1.0

    def belongs(one: Stretch) -> bool:
        long = bool(at_root) or min(one.end_s, case.ended_s) - one.begin_s >= SHORT_S
        return one.begin_s >= first and (one.kind != "saturated" or (long and one.begin_s <= last))

    return [one for one in case.signs.stretches if one.tier == tier and belongs(one)]


def _trouble_ends(case: Case) -> float:
    """When the causes are over and nobody suffers or waits for room any more: servers all busy later are so by chance."""
    ends = [min(root.cause.end_s, case.ended_s) for root in case.roots] + [one.end_s for one in case.signs.harm]
    return max([*ends, *(one.end_s for one in case.signs.stretches if one.kind != "saturated")], default=0.0)


def _told(case: Case, tier: str) -> tuple[Stretch, list[Stretch]] | None:
    mine = affected(case, tier) if case.roots else []
    at_root = tier in {root.cause.tier for root in case.roots}
    for kind in sorted(NEWS, key=lambda kind: at_root and kind != "saturated"):
        same = [one for one in mine if one.kind == kind]
        if same:
            whole = Stretch(tier, kind, same[0].begin_s, same[-1].end_s, max(one.peak for one in same))
            return whole, same
    return None


def _finding(case: Case, whole: Stretch, parts: list[Stretch]) -> Finding:
    words, path, values = SAYS[whole.kind](case, whole)
    if len(parts) > 1:
        words += f", in {len(parts)} stretches"
        values["stretches"] = len(parts)
    return case.finding("spread", whole.tier, whole.begin_s, whole.end_s, path, f"{words}.", **values)


Said = tuple[str, str, dict[str, float]]


def _blocked(case: Case, one: Stretch) -> Said:
    when, below = span(one.begin_s, one.end_s), case.signs.after(one.tier)
    if one.tier == "broker":
        most = case.summary["broker_peak_records"]
        words = f"The broker holds its producers back {when}: {most:,.0f} records are unread at most"
        return words, "broker.overflow", {"blocked_share": one.peak, "unread": most}
    assert below is not None
    words = f"{sentence(the(one.tier))} waits for room in {the(below)} {when}, up to {percent(one.peak)} of its time"
    return words, f"{below}.{BUFFERS.get(below, '')}".rstrip("."), {"blocked_share": one.peak}


def _full(case: Case, one: Stretch) -> Said:
    bound = case.signs.occupancy.tiers[one.tier].bound
    name = "Flink's network buffers are" if one.tier == "flink" else f"{sentence(the(one.tier))}'s {BUFFERS[one.tier]} is"
    words = f"{name} full {span(one.begin_s, one.end_s)}: {percent(min(one.peak, 1))} of {bound:,.0f} records"
    if one.tier == "broker" and one.peak > 1.01:  # it deletes whole segments
        most = one.peak * bound
        words = f"{name} full {span(one.begin_s, one.end_s)}: up to {most:,.0f} records, {bound:,.0f} of which it has to keep"
    return words, f"{one.tier}.{BUFFERS[one.tier]}", {"fill": one.peak, "bound": bound}


def _saturated(case: Case, one: Stretch) -> Said:
    when, servers = span(one.begin_s, one.end_s), case.signs.occupancy.tiers[one.tier].servers
    path = f"{one.tier}.{SERVERS[one.tier]}"
    words = f"{sentence(the(one.tier))} is busy all the time {when}"
    if one.tier == "producer":
        words = f"The producer waits for the broker's ack, {servers} requests in flight, {when}"
    elif one.tier == "api":
        words = (
            f"All {servers:,} workers of the API are busy {when}" if servers > 1 else f"The API's only worker is busy {when}"
        )
    queue = f": up to {one.peak:,.0f} wait" if one.peak >= 1 else ""
    return f"{words}{queue}", path, {"servers": servers, "waiting": one.peak}


def _behind(case: Case, one: Stretch) -> Said:
    words = f"Unread records pile up in the broker {span(one.begin_s, one.end_s)}: {one.peak:,.0f} at most"
    return words, "broker.overflow", {"unread": one.peak}


SAYS: dict[str, Callable[[Case, Stretch], Said]] = {
    "blocked": _blocked, "full": _full, "saturated": _saturated, "behind": _behind,
}  # fmt: skip


def stop(case: Case) -> Iterator[Finding]:
    """For each root, the tier at which the wave that climbs from it ends, if users do not feel it."""
    done = set()
    for root in case.roots:
        start = root.cause.tier
        if start in ("client", "api") or start in done:
            continue
        done.add(start)
        yield from _stop(case, start)


def _stop(case: Case, start: str) -> Iterator[Finding]:
    tiers = case.scenario.tiers
    top = start
    for tier in reversed(tiers[1 : tiers.index(start)]):
        if not affected(case, tier):
            break
        top = tier
    above = tiers[tiers.index(top) - 1]
    if above == "client" or (case.signs.harm and top in ("api", "producer", "broker") and not _lag_only(case, top)):
        return
    last = max((one.begin_s for one in affected(case, top)), default=case.began_s)
    first = min((one.begin_s for one in affected(case, top)), default=last)
    until = max((one.end_s for one in affected(case, top)), default=inf)
    words, path, values = _why(case, top, above)
    yield case.finding("stop", top, first, until, path, f"The wave stops at {the(top)} ({at(first)}): {words}.", **values)


def _lag_only(case: Case, top: str) -> bool:
    """Whether the wave ends in a log that takes in whatever comes."""
    pushes_back = case.scenario.broker is not None and case.scenario.broker.overflow in ("hold_producer", "reject_publish")
    return top == "broker" and not pushes_back


def _why(case: Case, top: str, above: str) -> Said:
    lag = case.summary["lag_max_s"]
    if top in ("broker", "consumer") and _lag_only(case, "broker") and "broker" not in {root.cause.tier for root in case.roots}:
        most = case.summary["broker_peak_records"]
        words = (
            f"a log keeps what is unread, so no producer waits for a reader; it becomes lag, {most:,.0f} records in the broker "
            f"and {format_seconds(lag)} for the oldest at most"
        )
        gone = case.summary["evicted"]
        words += f"; then it becomes loss, {gone:,.0f} records deleted unread" if gone else ""
        return words, "broker.overflow", {"unread": most, "lag_max_s": lag, "evicted": gone}
    room = top if top in BUFFERS else above
    presence, path = case.signs.occupancy.tiers[room], f"{room}.{BUFFERS[room]}"
    most = level_peak(*presence.waiting, presence.waiting_weight)
    if np.isnan(presence.bound):
        return f"{the(room)} has room without a bound, and {most:,.0f} wait there at most", path, {"waiting": most}
    share = most / presence.bound
    if share > 1:
        words = f"{the(room)} takes in what comes, up to {most:,.0f} records, in room for {presence.bound:,.0f} and at work"
        return words, path, {"fill": share, "bound": presence.bound}
    words = f"{the(room)} has room, {percent(share)} full at most, {most:,.0f} of {presence.bound:,.0f} records"
    return words, path, {"fill": share, "bound": presence.bound}


def last_pressed(case: Case) -> Stretch | None:
    """The pressure that ends last; None when no tier was under any."""
    return max((one for tier in TIERS for one in affected(case, tier)), key=lambda one: one.end_s, default=None)
