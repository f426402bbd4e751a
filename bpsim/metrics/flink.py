"""What a Flink job tells: its checkpoints, its time in buffers, and how evenly its subtasks work."""

from __future__ import annotations

from math import nan

import numpy as np

from bpsim.result import TIERS, Ended, Result

FLINK_METRICS: dict[str, str] = {
    "flink_latency_s_p50": "p50 seconds of a record from its fetch for a Flink job's source to the end of the job",
    "flink_latency_s_p99": "p99 of the same",
    "flink_peak_buffered_bytes": "most bytes in a Flink job's network buffers at once",
    "flink_busiest_share": "share of its time that the busiest subtask of a Flink job's last task works",
    "flink_least_busy_share": "share of its time that the least busy one works",
    "checkpoints_completed": "checkpoints of a Flink job that were completed",
    "checkpoints_expired": "checkpoints that took longer than their timeout",
    "checkpoint_s_p50": "p50 seconds from trigger to completion",
    "checkpoint_s_max": "longest of those completed",
    "checkpoint_persisted_bytes_max": "most in-flight data in one checkpoint (unaligned)",
    "job_failures": "times a Flink job failed over because of its checkpoints",
    "side_sinks_written": "copies of records that a Flink job's sinks beside the last operator have written",
    "side_sinks_written_again": "of those, more than one of a record in one sink: a job that failed reads again",
    "rescales": "times the autoscaler restarted a Flink job with other parallelism",
    "rescale_down_s": "seconds that the job was down for it",
    "rescale_catch_up_s": "seconds from the first rescale until every record takes less than 1 s again (NaN: never, or none)",
}
"""Names for `summary`, with what they mean; NaN without a Flink job."""


def flink(result: Result) -> dict[str, float]:
    """Their values."""
    if "flink" not in result.tables:
        return {}
    return _latency(result) | _subtasks(result) | _checkpoints(result) | _side_sinks(result) | _rescales(result)


def first_rescale(result: Result) -> float:
    """When the autoscaler first stopped the job; NaN: never."""
    marks = result.tables["marks"]
    return float(marks["time_s"][marks["kind"] == "rescale"][0]) if "rescale" in marks["kind"] else nan


def _rescales(result: Result) -> dict[str, float]:
    marks = result.tables["marks"]
    stops, starts = (marks["time_s"][marks["kind"] == kind] for kind in ("rescale", "restart"))
    ends = np.append(starts, result.ended_s)[np.searchsorted(starts, stops)]
    return {"rescales": len(stops), "rescale_down_s": float((ends - stops).sum())}


def _side_sinks(result: Result) -> dict[str, float]:
    table = result.tables.get("side_sinks")
    if table is None:
        return {}
    once = sum(len(np.unique(table["record"][table["operator"] == name])) for name in dict.fromkeys(table["operator"].tolist()))
    return {"side_sinks_written": len(table["record"]), "side_sinks_written_again": len(table["record"]) - once}


def _latency(result: Result) -> dict[str, float]:
    hops = result.tables["hops"]
    done = (hops["tier"] == TIERS.index("flink")) & ~np.isnan(hops["served_s"])
    if not done.any():
        return {}
    took = (hops["left_s"] - hops["entered_s"])[done]
    took = took[~np.isnan(took)]
    p50, p99 = np.quantile(took, (0.5, 0.99)) if len(took) else (nan, nan)
    return {"flink_latency_s_p50": float(p50), "flink_latency_s_p99": float(p99)}


def _subtasks(result: Result) -> dict[str, float]:
    table = result.tables["flink"]
    if not len(table["time_s"]):
        return {}
    buffered = np.nan_to_num(table["inputQueueSize"]) + np.nan_to_num(table["outputQueueSize"])
    _, moment = np.unique(table["time_s"], return_inverse=True)
    last = table["vertex"] == table["vertex"][-1]
    busy = [table["busyTimeMsPerSecond"][last & (table["subtask"] == number)] for number in np.unique(table["subtask"][last])]
    shares = [float(times.mean()) / 1000 for times in busy]
    return {
        "flink_peak_buffered_bytes": float(np.bincount(moment, weights=buffered).max()),
        "flink_busiest_share": max(shares),
        "flink_least_busy_share": min(shares),
    }


def _checkpoints(result: Result) -> dict[str, float]:
    table = result.tables["checkpoints"]
    completed = table["ended"] == Ended.COMPLETED
    took = (table["ended_s"] - table["triggered_s"])[completed]
    return {
        "checkpoints_completed": len(took),
        "checkpoints_expired": int((table["ended"] == Ended.EXPIRED).sum()),
        "checkpoint_s_p50": float(np.median(took)) if len(took) else nan,
        "checkpoint_s_max": float(took.max()) if len(took) else nan,
        "checkpoint_persisted_bytes_max": float(table["persisted_bytes"].max(initial=0)),
        "job_failures": int((result.tables["marks"]["kind"] == "job_fails").sum()),
    }
