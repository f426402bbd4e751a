"""The result of a run as a table in the terminal: one row a number worth reading, one column a variant."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bpsim.claims import Judged
from bpsim.experiment import Experiment
from bpsim.metrics.headlines import HEADLINES

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
    for row in HEADLINES:
        label, metric, show = row.label, row.metric, row.show
        values = [summary[metric] for summary in summaries.values()]
        if metric in FAULTED and faulted:
            table.add_row(label, *("not in this run" if isnan(value) else show(value) for value in values))
        elif metric in ALWAYS or any(not isnan(value) and value != 0 for value in values):
            table.add_row(label, *("-" if isnan(value) else show(value) for value in values))
    if summaries:
        yield table
    for name, found in experiment.verdicts.items():
        whose = (f"{name}: " if len(summaries) > 1 else "", "bold")
        yield Text.assemble(whose, (found.state, MOODS[found.state]), f". {found.words}")
    for verdict in experiment.judged:
        yield _claim_line(verdict)
    unjudged = len(experiment.file.expect) - len(experiment.judged)
    if unjudged:
        why = "the run was interrupted" if experiment.interrupted else "their variants were not run"
        yield Text(f"{unjudged} of {len(experiment.file.expect)} claims not judged: {why}")


def _claim_line(verdict: Judged) -> Text:
    line = Text.assemble(("pass  ", "green") if verdict.passed else ("FAIL  ", "bold red"), verdict.claim)
    values = f"[{verdict.numbers}]"
    line.append(f"   {values}" if len(line) + len(values) < NARROW + 2 else f"\n      {values}")
    return line.append(f" because {verdict.note}") if verdict.note else line
