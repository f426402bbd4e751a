"""What users felt."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

from bpsim.explanation.case import Case, at, percent, span
from bpsim.explanation.model import Finding
from bpsim.metrics.pressure import Stretch
from bpsim.metrics.spans import quantiles
from bpsim.metrics.windows import FAILURES
from bpsim.result import Outcome, Work
from bpsim.units import format_seconds

ENDINGS = {
    "rejected": ("turned away with 429", "api.queue"),
    "timed_out": ("gave up waiting", "client.timeout"),
    "refused": ("found no connection", "api"),
    "produce_failed": ("got 503, since their record could not be produced", "producer.max_block"),
    "reset": ("were inside when the API died", "api.heap"),
    "unavailable": ("turned away with 503", "api"),
    "error": ("got a 500", "api"),
    "breaker_open": ("held back by the breaker", "client.breaker"),
    "throttled": ("held back by the throttle", "client.throttle"),
}


def felt(case: Case) -> Iterator[Finding]:
    """What users noticed: when, how many, and in what way."""
    before, later = _slowest(case, 0.0, case.began_s), _slowest(case, case.began_s, case.ended_s)
    values = {"p99_before_s": before, "p99_s": later, "success_share": case.summary["success_share"]}
    first, then = (f"{format_seconds(value)}" if isfinite(value) else "" for value in (before, later))
    goes = f"goes from {first} to {then}" if first and first != then else f"stays at {then}" if first else f"is {then}"
    slower = f"; p99 to the final outcome {goes}" if then else ""
    if case.signs.harm:
        yield _harm(case, slower, values)
    else:
        share = f"{percent(values['success_share'])} of {case.summary['offered']:,.0f} requests succeed"
        words = f"Users notice nothing up to {at(case.ended_s)}: {share}{slower}."
        yield case.finding("felt", "client", case.began_s, case.ended_s, "client", words, **values)
    yield from _retries(case)


def _harm(case: Case, slower: str, values: dict[str, float]) -> Finding:
    first, until = case.signs.harm[0], max(one.end_s for one in case.signs.harm)
    kinds = {f.name.lower(): case.summary[f.name.lower()] for f in FAILURES}
    failed = sum(kinds.values())
    worst = sorted((name for name, number in kinds.items() if number), key=lambda name: -kinds[name])
    told = ", ".join(f"{kinds[name]:,.0f} {ENDINGS[name][0]}" for name in worst[:3])
    words = f"Users notice {span(first.begin_s, until)}: {failed:,.0f} of {case.summary['offered']:,.0f} requests fail"
    slow = sum(one.peak for one in case.signs.harm)
    words += f" ({told})" if told else f", but {slow:,.0f} take over twice as long as before"
    path = _by(case, worst[0]) if worst else "client"
    if case.signs.apart:
        values |= {"apart": sum(one.peak for one in case.signs.apart)}
        words += f"; {values['apart']:,.0f} fail or are slow while no cause acts ({_moments(case.signs.apart)})"
    return case.finding("felt", "client", first.begin_s, until, path, f"{words}{slower}.", failed=failed, **values)


def _by(case: Case, ending: str) -> str:
    """The part of the scenario that made requests end so: for those turned away, who did it."""
    api, producer, lines = case.scenario.api, case.scenario.producer, case.ledger
    if ending == "produce_failed" and lines["records"]["refused"]:
        return "broker.overflow"
    if ending not in ("rejected", "unavailable"):
        return ENDINGS[ending][1]
    if producer is not None and producer.on_full == "fail_fast" and lines["work"]["failed"] > lines["work"]["turned_away"]:
        return "producer.buffer"
    if ending == "unavailable" and api.shedding is not None and lines["work"]["shed"] > lines["work"]["turned_away"]:
        return "api.shedding"
    return "api.admission" if api.admission is not None else ENDINGS[ending][1]


def _moments(stretches: list[Stretch]) -> str:
    """When a few of them began: `37.2 s, 143.3 s and 2 more`."""
    first, more = ", ".join(at(one.begin_s) for one in stretches[:2]), len(stretches) - 2
    return f"{first} and {more} more" if more > 0 else first


def _retries(case: Case) -> Iterator[Finding]:
    first = next((mark for mark in case.bookmarks if mark.name == "many_retries"), None)
    if first is not None:
        attempts = case.result.tables["attempts"]
        sent = attempts["work"] != Work.NOT_SENT
        retries, share = int((sent & (attempts["number"] > 0)).sum()), float((attempts["number"][sent] > 0).mean())
        many = f"{retries:,} in all, {percent(share)} of the run's"
        words = f"At {at(first.time_s)} over 10 % of a second's attempts are retries for the first time: {many}."
        yield case.finding("felt", "client", first.time_s, inf, "client.retry", words, retries=retries, retried_share=share)


def _slowest(case: Case, begin: float, end: float) -> float:
    """p99 of the seconds to the final outcome of the requests born in [begin, end); NaN without any."""
    requests = case.result.tables["requests"]
    mine = (requests["born_s"] >= begin) & (requests["born_s"] < end) & (requests["outcome"] != Outcome.PENDING)
    return float(quantiles((requests["ended_s"] - requests["born_s"])[mine], (0.99,))[0])
