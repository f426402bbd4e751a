"""Why a run went as it did: `explain(result)` -> findings, each with numbers, times and the line of the scenario behind it."""

from collections.abc import Mapping

from bpsim.explanation.beginning import beginning, blames, harmless
from bpsim.explanation.case import Case, at, percent
from bpsim.explanation.causes import Cause
from bpsim.explanation.course import course, stop
from bpsim.explanation.ending import ending
from bpsim.explanation.events import events
from bpsim.explanation.felt import felt
from bpsim.explanation.lost import lost
from bpsim.explanation.model import TITLES, Explanation, Finding, Part
from bpsim.names import the
from bpsim.result import Result

__all__ = ["TITLES", "Explanation", "Finding", "Part", "explain"]


def explain(result: Result, numbers: Mapping[str, float] | None = None) -> Explanation:
    """The causal chain of a run, read off its tables: nothing is simulated. Its summary (`numbers`), if it is at hand, saves
    making that again.

    Raises `pydantic.ValidationError` when the scenario in `result` is not one that this version of bpsim knows.
    """
    case = Case.of(result, numbers)
    findings = [*beginning(case), *harmless(case), *_spread(case), *stop(case), *felt(case), *lost(case), *ending(case)]
    tiers = tuple(dict.fromkeys(root.cause.tier for root in case.roots))
    root = tiers[0] if tiers else None
    return Explanation(result.variant, root, tiers, _headline(case, root), tuple(findings), case.bookmarks)


def _spread(case: Case) -> list[Finding]:
    return sorted([*course(case), *events(case)], key=lambda one: one.time_s)


def _headline(case: Case, root: str | None) -> str:
    if root is None:
        share = percent(case.summary["success_share"])
        return f"Nothing happened that anybody had to wait for: {share} of the requests succeed up to {at(case.ended_s)}."
    first, *others = (one.cause for one in case.roots)
    what, place = blames(case.scenario, first), case.result.place(first.path)
    return f"It begins at {at(first.begin_s)} in {the(root)}, which {what} ({place}){_and(case, others)}."


def _and(case: Case, others: list[Cause]) -> str:
    """The second cause in words, or how many more there are."""
    if len(others) > 1:
        return f"; {len(others)} more causes follow"
    return "".join(f"; and from {at(one.begin_s)} on {the(one.tier)} {blames(case.scenario, one)}" for one in others)
