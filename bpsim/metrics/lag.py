"""How far a consumer is behind the end of the log, by both definitions in use: its position, and what it has committed."""

from __future__ import annotations

import numpy as np

from bpsim.metrics.spans import level_peak
from bpsim.result import TIERS, Column, Result
from bpsim.units import parse

LAG_METRICS = {
    "lag_position_max": "most records in the log that the consumer had not read (end of the log − position: records-lag-max)",
    "lag_position_max_s": "longest that a record was in the log before it was read",
    "lag_committed_max": "most records in the log whose delivery was not committed (kafka-consumer-groups' LAG); NaN with "
    "Flink's checkpoints, which commit by themselves",
    "lag_committed_max_s": "longest from a record's append to the commit after its delivery",
}


def log_lag(result: Result) -> dict[str, float]:
    """`LAG_METRICS`, as far as there is a consumer. Auto-commits fall on multiples of their interval, so committed lag is a
    sawtooth of interval × rate even when all is well."""
    consumer, flink = result.scenario.get("consumer"), result.scenario.get("flink")
    hops = result.tables["hops"]
    rows = np.flatnonzero((hops["tier"] == TIERS.index("broker")) & (hops["count"] > 0))
    if consumer is None or not len(rows):
        return {}
    entered, left, count = (hops[name][rows] for name in ("entered_s", "left_s", "count"))
    left = np.where(np.isnan(left), result.ended_s, left)
    found = {"lag_position_max": level_peak(entered, left, count), "lag_position_max_s": float((left - entered).max())}
    if flink is not None and flink.get("operators"):
        return found
    ended = result.tables["records"]["ended_s"]
    appended = np.full(len(ended), np.inf)
    record = np.repeat(hops["first"][rows] - (np.cumsum(count) - count), count) + np.arange(count.sum())
    np.minimum.at(appended, record, np.repeat(entered, count))
    there = np.flatnonzero(np.isfinite(appended))
    interval = parse(consumer["commit_interval"], "duration")
    commit = np.ceil(ended[there] / interval) * interval
    commit = np.where(np.isnan(commit), result.ended_s, np.minimum(commit, result.ended_s))
    return found | {
        "lag_committed_max": _peak_before_commits(appended[there], commit),
        "lag_committed_max_s": float((commit - appended[there]).max()),
    }


def _peak_before_commits(appended: Column, commit: Column) -> float:
    """`level_peak` of spans that end at few moments, in a twentieth of its time: it is reached just before one of them."""
    moments, gone = np.unique(commit, return_counts=True)
    before = np.cumsum(gone) - gone
    return float((np.searchsorted(np.sort(appended), moments) - before).max(initial=0))
