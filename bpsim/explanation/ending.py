"""What ended it, or what keeps it going."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

from bpsim.explanation.case import Case, at
from bpsim.explanation.course import last_pressed
from bpsim.explanation.model import Finding
from bpsim.metrics.bookmarks import out_of_memory
from bpsim.metrics.pressure import Stretch
from bpsim.names import sentence, the
from bpsim.result import TIERS, Work
from bpsim.units import format_bytes, format_rate, format_seconds
from bpsim.utilisation import capacities

USERS_WELL = ("users are well again", "users noticed nothing", "users suffer to the end")


def ending(case: Case) -> Iterator[Finding]:
    """How it ended: with a death, with the cause, some time after it, or not at all."""
    yield from _deaths(case)
    if not case.roots:
        return
    last = max(case.roots, key=lambda root: root.cause.end_s)
    over, well, pressed = last.cause.end_s, _users_well(case), last_pressed(case)
    path = f"{last.cause.path}.lasts" if last.cause.path.startswith("faults.") else last.cause.path
    calm = -inf if pressed is None else pressed.end_s
    if not isfinite(over):
        if not out_of_memory(case.result):
            lasted = case.ended_s - last.cause.begin_s
            words = f"The cause lasts to the end of the run ({at(case.ended_s)}), {at(lasted)} so far{_yet(pressed, well)}."
            yield case.finding("end", last.cause.tier, case.ended_s, inf, path, words, lasted_s=lasted)
        return
    lasted = over - last.cause.begin_s
    words = f"The cause is over at {at(over)}, after {format_seconds(lasted)}"
    if well == inf:
        words += f", yet users suffer to the end of the run ({at(case.ended_s)})."
    else:
        words += f"; {_then(calm, over, *_tiers_well(pressed))}; {_then(well, over, *USERS_WELL)}."
    yield case.finding("end", last.cause.tier, over, max(well, calm), path, words, lasted_s=lasted)
    if well == inf:
        yield from _kept_going(case, over)


def _deaths(case: Case) -> Iterator[Finding]:
    for moment, held in out_of_memory(case.result):
        marks = case.result.tables["marks"]
        back = ((marks["kind"] == "restart") & (marks["tier"] == TIERS.index("api")) & (marks["time_s"] > moment)).any()
        words = f"The API process runs out of memory at {at(moment)}, with {format_bytes(held)} inside, and dies"
        words += "" if back else f"; it is not started again up to {at(case.ended_s)}"
        yield case.finding("end", "api", moment, moment, "api.heap", f"{words}.", held_bytes=held)


def _tiers_well(pressed: Stretch | None) -> tuple[str, str, str]:
    last = "" if pressed is None else f"the last pressure, on {the(pressed.tier)}, ends"
    return last, "no tier was under pressure", "pressure lasts to the end"


def _yet(pressed: Stretch | None, well: float) -> str:
    """What got well although the cause lasts."""
    tiers = f", yet the last pressure, on {the(pressed.tier)}, ends at {at(pressed.end_s)}" if pressed else ""
    users = f", and users notice nothing from {at(well)} on" if isfinite(well) else ""
    return (tiers if pressed and isfinite(pressed.end_s) else "") + users


def _users_well(case: Case) -> float:
    """When users noticed nothing any more, in seconds; inf: never, -inf: they noticed nothing at all."""
    return max((one.end_s for one in case.signs.harm), default=-inf)


def _then(moment: float, over: float, words: str, never: str, still: str) -> str:
    if not isfinite(moment):
        return still if moment > 0 else never
    return f"{words} {at(moment - over)} later, at {at(moment)}" if moment >= over + 0.05 else f"{words} by then"


def _kept_going(case: Case, over: float) -> Iterator[Finding]:
    """Retries that are more than can be done keep it going when nothing else does."""
    attempts, requests = case.result.tables["attempts"], case.result.tables["requests"]
    lasted = case.ended_s - over
    sent = float(((attempts["sent_s"] >= over) & (attempts["work"] != Work.NOT_SENT)).sum()) / lasted
    offered = float((requests["born_s"] >= over).sum()) / lasted
    able = {tier: rate for tier, rate in capacities(case.scenario, case.ended_s).items() if tier in ("api", "producer")}
    if not able or sent < 1.1 * offered:
        return
    tier = min(able, key=lambda name: able[name])
    path = "client.retry" if sent > able[tier] else "client.timeout"
    than = "more" if sent > able[tier] else "less"
    words = (
        f"From {at(over)} to {at(case.ended_s)} clients send {format_rate(sent)}, {sent / max(offered, 1e-9):.1f} times the "
        f"{format_rate(offered)} requests there are: {than} than the {format_rate(able[tier])} that {the(tier)} can do."
    )
    yield case.finding("end", "client", over, inf, path, sentence(words), sent_per_s=sent, offered_per_s=offered,
                       capacity_per_s=able[tier])  # fmt: skip
