"""The result of a run as a table in the terminal: one row a number worth reading, one column a variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isnan

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bpsim.claims import Judged
from bpsim.experiment import Experiment
from bpsim.units import format_bytes, format_rate, format_seconds


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _times(value: float) -> str:
    return f"{value:.2f}x"


ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("offered", "offered_per_s", format_rate),
    ("goodput", "goodput_per_s", format_rate),
    ("goodput before the fault", "before_goodput_per_s", format_rate),
    ("goodput during it", "during_goodput_per_s", format_rate),
    ("goodput after it", "after_goodput_per_s", format_rate),
    ("recovered after", "recovery_time_s", format_seconds),
    ("requests that succeed", "success_share", _percent),
    ("attempts per request", "amplification", _times),
    ("work nobody waited for", "wasted_share", _percent),
    ("latency of successes, p50", "latency_success_s_p50", format_seconds),
    ("latency of successes, p99", "latency_success_s_p99", format_seconds),
    ("time to final outcome, p99", "latency_final_s_p99", format_seconds),
    ("rejected (429)", "rejected", _count),
    ("timed out", "timed_out", _count),
    ("refused (API down)", "refused", _count),
    ("produce failed (503)", "produce_failed", _count),
    ("unavailable (503)", "unavailable", _count),
    ("failed (500)", "error", _count),
    ("breaker open", "breaker_open", _count),
    ("throttled by the client", "throttled", _count),
    ("reset by the crash", "reset", _count),
    ("dropped from the queue", "shed", _count),
    ("cancelled", "cancelled", _count),
    ("attempts not sent", "held_back", _count),
    ("in the database", "delivered", _count),
    ("duplicates there", "duplicates", _count),
    ("written again after a crash", "redelivered", _count),
    ("evicted unread", "evicted", _count),
    ("still on their way", "still_inside", _count),
    ("oldest undelivered record", "lag_max_s", format_seconds),
    ("peak memory of the API", "api_peak_bytes", format_bytes),
    ("crashes", "crashes", _count),
    ("first crash at", "crash_time_s", format_seconds),
    ("requests lost in crashes", "crash_lost_requests", _count),
    ("acked, then lost", "acked_then_lost", _count),
    ("bytes lost in the crash", "crash_lost_bytes", format_bytes),
    ("latency before the crash", "latency_before_crash_s", format_seconds),
)
MOODS = {"healthy": "green", "recovered": "green", "degraded": "yellow", "inconclusive": "yellow"} | dict.fromkeys(
    ("metastable", "overloaded", "crashed"), "bold red"
)
"""The colour of a verdict."""
ALWAYS = ("offered_per_s", "goodput_per_s", "success_share", "amplification")
FAULTED = ("recovery_time_s",)
NARROW = 92
"""A claim and its values that are longer together stand in two lines."""


def result_lines(experiment: Experiment, unicode: bool) -> Iterator[Table | Text]:
    """What to print, in order: the question, the table, the claims."""
    summaries = experiment.summaries
    yield Text(experiment.file.question, style="bold")
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII, show_edge=False, pad_edge=False)
    table.add_column("")
    for name in summaries:
        table.add_column(escape(name), justify="right")
    faulted = any(not isnan(values["after_offered_per_s"]) for values in summaries.values())
    if experiment.verdicts:
        table.add_row(
            "verdict",
            *(Text(experiment.verdicts[name].state, style=MOODS[experiment.verdicts[name].state]) for name in summaries),
        )
    for label, metric, show in ROWS:
        values = [summary[metric] for summary in summaries.values()]
        if metric in FAULTED and faulted:
            table.add_row(label, *("not in this run" if isnan(value) else show(value) for value in values))
        elif metric in ALWAYS or any(not isnan(value) and value != 0 for value in values):
            table.add_row(label, *("-" if isnan(value) else show(value) for value in values))
    if summaries:
        yield table
    for name, found in experiment.verdicts.items():
        yield Text.assemble((f"{name}: " if len(summaries) > 1 else "", "bold"), found.words)
    for verdict in experiment.judged:
        yield _claim_line(verdict)
    unjudged = len(experiment.file.expect) - len(experiment.judged)
    if unjudged:
        why = "the run was interrupted" if experiment.interrupted else "their variants were not run"
        yield Text(f"{unjudged} of {len(experiment.file.expect)} claims not judged: {why}")


def _claim_line(verdict: Judged) -> Text:
    line = Text.assemble(("pass  ", "green") if verdict.passed else ("FAIL  ", "bold red"), verdict.claim)
    values = ", ".join(f"{name} = {value:.4g}" for name, value in verdict.values.items())
    line.append(f"   [{values}]" if len(line) + len(values) < NARROW else f"\n      [{values}]")
    return line.append(f" because {verdict.note}") if verdict.note else line
