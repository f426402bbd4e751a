"""What happened on the way that no tier's pressure shows: a job that failed, was rescaled, or died, and inserts that failed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from bpsim.explanation.case import Case, at, count, span
from bpsim.explanation.model import Finding
from bpsim.result import TIERS, Column

INSERTS = {
    "pool_timeout": ("found no connection in time", "writer.pool_timeout"),
    "statement_timeout": ("took longer than a statement may", "writer.statement_timeout"),
}
"""Why an insert failed, and the option that says so."""


def events(case: Case) -> Iterator[Finding]:
    """A finding for each kind of them, in order of time."""
    found = chain(_rescales(case), _failures(case), _deaths(case), _inserts(case))
    return iter(sorted(found, key=lambda one: one.time_s))


def marked(case: Case, kind: str) -> tuple[Column, Column]:
    """When marks of that kind were made, and their values."""
    marks = case.result.tables["marks"]
    mine = marks["kind"] == kind
    return marks["time_s"][mine], marks["value"][mine]


def deaths_of_the_job(case: Case) -> Column:
    """When the process between broker and database died by itself: neither with a Flink job that failed nor by a fault."""
    marks = case.result.tables["marks"]
    died = marks["time_s"][(marks["kind"] == "crash") & (marks["tier"] != TIERS.index("api"))]
    explained = np.concatenate((marked(case, "job_fails")[0], marked(case, "fault_begins")[0]))
    return np.asarray(died[~np.isin(died, explained)])


def _when(times: Column) -> str:
    return f"at {at(times[0])}" if len(times) == 1 else span(times[0], times[-1])


def _often(times: Column) -> str:
    return f"{'once' if len(times) == 1 else count(len(times), 'time')}, {_when(times)}"


def _rescales(case: Case) -> Iterator[Finding]:
    for moment, subtasks in zip(*marked(case, "rescale"), strict=True):
        words = f"The autoscaler stops the Flink job at {at(moment)}, and starts it again with {subtasks:.0f} subtasks at most."
        yield case.finding("spread", "flink", moment, moment, "flink.autoscaler", words, subtasks=subtasks)


def _failures(case: Case) -> Iterator[Finding]:
    times, in_a_row = marked(case, "job_fails")
    if len(times):
        why = "its checkpoints are not done in time" if in_a_row.max() > 0 else "it does not come back"
        words = f"The Flink job fails {_often(times)}: {why}, and it goes back to the last one."
        yield case.finding("spread", "flink", times[0], times[-1], "flink.options", words, failures=len(times))


def _deaths(case: Case) -> Iterator[Finding]:
    times = deaths_of_the_job(case)
    if len(times):
        gives_up = len(marked(case, "statement_timeout")[0]) + len(marked(case, "pool_timeout")[0]) > 0
        why, path = (
            ("its inserts have failed too often", "writer.retry") if gives_up else ("its memory is full", "consumer.heap")
        )
        words = f"The process that reads from the broker dies {_often(times)}: {why}."
        yield case.finding("spread", "consumer", times[0], times[-1], path, words, deaths=len(times))


def _inserts(case: Case) -> Iterator[Finding]:
    for kind, (why, path) in INSERTS.items():
        times, _ = marked(case, kind)
        if len(times):
            words = f"{count(len(times), 'insert')} {why}, {_when(times)}."
            yield case.finding("spread", "writer", times[0], times[-1], path, words, inserts=len(times))
