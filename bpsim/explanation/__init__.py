"""Why a run went as it did: `explain(result)` -> findings, each with numbers, times and the line of the scenario behind it."""

from collections.abc import Mapping

from bpsim.explanation.beginning import beginning, does, harmless, sends
from bpsim.explanation.case import Case, at, percent
from bpsim.explanation.course import course, stop
from bpsim.explanation.ending import ending
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
    findings = [*beginning(case), *harmless(case), *course(case), *stop(case), *felt(case), *lost(case), *ending(case)]
    tiers = tuple(dict.fromkeys(root.cause.tier for root in case.roots))
    root = tiers[0] if tiers else None
    return Explanation(result.variant, root, tiers, _headline(case, root), tuple(findings), case.bookmarks)


def _headline(case: Case, root: str | None) -> str:
    if root is None:
        share = percent(case.summary["success_share"])
        return f"Nothing happened that anybody had to wait for: {share} of the requests succeed up to {at(case.ended_s)}."
    first, others = case.roots[0].cause, len({one.cause.tier for one in case.roots}) - 1
    what = f"sends {sends(case.scenario, first)}"
    if first.path.startswith("faults."):
        what = does(case.scenario.faults[int(first.path.split(".")[1])])
    elif first.kind == "policy":
        what = "turns requests away by its own rules"
    more = f"; {others} more {'tier has' if others == 1 else 'tiers have'} troubles of their own" if others else ""
    return f"It begins at {at(first.begin_s)} in {the(root)}, which {what} ({case.result.place(first.path)}){more}."
