"""The table twin of every figure: the same numbers for those who cannot see it, or who want to copy them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from bpsim.metrics import timeseries
from bpsim.metrics.windows import latencies
from bpsim.names import TIER_NAMES
from bpsim.plots.ladder import KINDS
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.stacks import RECORDS, REQUESTS, record_lines
from bpsim.plots.style import count, percent, seconds, size
from bpsim.plots.wave import onsets
from bpsim.plots.ways import LEVELS

ROWS = 12
"""Windows of a run in a table."""
QUANTILES = {"fastest": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "slowest": 1.0}


@dataclass(frozen=True)
class Twin:
    """A table: a title for each column, and the cells row by row, as people read them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def twin(name: str, results: Results) -> Twin:
    """The table twin of figure `name`; a run without anything to tell has no rows."""
    columns, rows_of = _TWINS[name]
    rows = [(variant, *row) for variant, reading in read(results).items() for row in rows_of(reading)]
    return Twin(("variant", *columns), tuple(rows))


Rows = list[tuple[str, ...]]


def _wave(reading: Reading) -> Rows:
    began = onsets(reading)
    return [
        (
            TIER_NAMES[tier],
            seconds(began[tier]) if tier in began else "never",
            percent(float(np.nanmax(reading.pressure(tier), initial=0))),
        )
        for tier in reading.tiers
    ]


def _ladder(reading: Reading) -> Rows:
    ends = [(one, seconds(one.end_s) if isfinite(one.end_s) else "the end") for one in reading.rungs]
    return [(TIER_NAMES[one.tier], KINDS[one.kind][0], seconds(one.begin_s), end) for one, end in ends]


def _over_time(*columns: tuple[str, Callable[[float], str]]) -> Callable[[Reading], Rows]:
    def rows(reading: Reading) -> Rows:
        if not reading.end:
            return []
        series = timeseries(reading.result, reading.end / ROWS)
        cells = [[show(float(value)) for value in series[name]] for name, show in columns if name in series]
        return [(seconds(float(time)), *row) for time, *row in zip(series["time_s"], *cells, strict=True)]

    return rows


def _held(reading: Reading) -> Rows:
    edges, held = reading.held_bytes(reading.end)
    if not len(edges) or not held:
        return []
    chosen = np.unique(np.linspace(0, len(edges) - 2, ROWS).astype(np.int64))
    return [
        (seconds(float(edges[k])), TIER_NAMES[tier], size(float(held[tier][k])))
        for k in chosen
        for tier in held
        if held[tier][k] >= 1
    ]


def _quantiles(reading: Reading) -> Rows:
    _, values = latencies(reading.result)["final"]
    if not len(values):
        return []
    return [(name, seconds(float(np.quantile(values, level)))) for name, level in QUANTILES.items()]


def _ledger(reading: Reading) -> Rows:
    rows: Rows = []
    books = [("requests", REQUESTS, reading.ledger["requests"]), ("records", RECORDS, record_lines(reading))]
    for title, causes, lines in books:
        total = sum(lines.values())
        rows += [
            (title, causes[name][0], count(lines[name]), percent(lines[name] / total)) for name in causes if lines.get(name)
        ]
        rows += [(title, "all", count(total), percent(1.0))] if total else []
    return rows


def _tier_time(reading: Reading) -> Rows:
    return [
        (level, TIER_NAMES[tier], *(seconds(value) for value in ways.values()))
        for level, at in LEVELS.items()
        for tier, ways in reading.journeys.at(at).items()
    ]


def _trace(reading: Reading) -> Rows:
    one = reading.journeys.trace()
    if one is None:
        return []
    return [
        (TIER_NAMES[span.tier], span.what, seconds(span.begin_s - one.born_s),
         seconds(span.end_s - one.born_s) if isfinite(span.end_s) else "the end of the run")
        for span in one.spans
    ]  # fmt: skip


def _rate(value: float) -> str:
    return count(value)


_LEDGER = (("ledger", "where it ended", "how many", "share"), _ledger)
_TWINS: dict[str, tuple[tuple[str, ...], Callable[[Reading], Rows]]] = {
    "wave": (("tier", "pressure begins", "most pressure"), _wave),
    "ladder": (("tier", "what", "from", "to"), _ladder),
    "goodput": (
        ("from", "offered/s", "attempts/s", "goodput/s"),
        _over_time(("offered_per_s", _rate), ("attempts_per_s", _rate), ("goodput_per_s", _rate)),
    ),
    "latency": (
        ("from", "p50", "p95", "p99", "p50 of successes", "p99 of successes"),
        _over_time(
            ("latency_final_s_p50", seconds), ("latency_final_s_p95", seconds), ("latency_final_s_p99", seconds),
            ("latency_success_s_p50", seconds), ("latency_success_s_p99", seconds),
        ),
    ),
    "heatmap": (("quantile", "time to the final outcome"), _quantiles),
    "losses": _LEDGER,
    "waterfall": _LEDGER,
    "memory": (("at", "tier", "holds"), _held),
    "tier_time": (("quantile", "tier", "queued", "served", "blocked"), _tier_time),
    "trace": (("tier", "what", "from", "to"), _trace),
}  # fmt: skip
