"""One number a question: the summary of a run, every name with its unit."""

from __future__ import annotations

from math import nan

import numpy as np

from bpsim.metrics.flink import FLINK_METRICS, first_rescale, flink
from bpsim.metrics.health import health
from bpsim.metrics.lag import LAG_METRICS, log_lag
from bpsim.metrics.ledger import ledger
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.onsets import onsets
from bpsim.metrics.pressure import fault_window
from bpsim.metrics.spans import level_peak, quantiles
from bpsim.metrics.windows import FAILURES, LEVELS, NAMES, latencies, tier_columns
from bpsim.result import CRITICALITIES, TIERS, Column, Fate, Outcome, Result, Work

PHASES = ("before", "during", "after")
INSERT_ERRORS = ("pool_timeout", "statement_timeout")

METRICS: dict[str, str] = {
    "offered": "requests sent at least once",
    "attempts": "HTTP tries of them that were sent",
    "success_share": "requests that succeeded, of those that ended",
    "amplification": "attempts sent per request",
    "offered_per_s": "requests per second of the run",
    "goodput_per_s": "successful requests per second of the run",
    "wasted_share": "of the attempts served, those nobody waited for any more",
    "held_back": "attempts that breaker or throttle kept the client from sending",
    "shed": "attempts let in and dropped from the API's queue unserved",
    "cancelled": "attempts the API stopped working on because the client had stopped waiting",
    "duplicates": "records in the database beyond the first of their request",
    "redelivered": "further writes of records the database already had, because a crashed consumer read them again",
    "acked_then_lost": "records lost in a crash after the client had been told all was well",
    "evicted": "records deleted by retention before anybody read them",
    "dropped": "records the writer gave up on after its last try: never in the database",
    "insert_errors": "inserts that failed: no connection in time, or the statement took too long",
    "insert_errors_from_s": "when an insert first failed (NaN: none did)",
    "expired": "records the producer gave up before the broker had them",
    "publish_refused": "records the broker refused because it had no room for them",
    "skipped": "records passed over by a consumer whose position had been deleted",
    "delivered": "records in the database",
    "still_inside": "records still on their way at the end (censored)",
    "pending": "requests without a final outcome at the end (censored)",
    "recovery_time_s": "seconds after the last fault until requests keep succeeding (NaN: never, or no fault)",
    "crashes": "times a process died",
    "crash_time_s": "when a process first died (NaN: none did)",
    "crash_lost_requests": "requests inside the API process when it died",
    "crash_lost_records": "records in the producer's memory that died with it",
    "crash_lost_bytes": "their bytes",
    "latency_before_crash_s": "latency of the last record delivered before the first crash (no broker: of the last reply)",
    "delivered_per_s_before_crash": "records per second into the database until the crash (or the end)",
    "lag_max_s": "largest age of the oldest record that was not yet delivered",
    "catch_up_s": "seconds after the last fault until every record is delivered within 1 s again (NaN: never, or no fault)",
    "lag_10min_s": "when that age first passed 10 minutes (NaN: never)",
    "api_peak_bytes": "largest memory of the API process: requests inside and the producer's buffer",
}
METRICS |= FLINK_METRICS | LAG_METRICS
METRICS |= {
    f"latency_{kind}_s_{name}": f"{name} seconds from intended first send to {what}"
    for kind, what in (("success", "a success"), ("failure", "a final failure"), ("final", "the final outcome"))
    for name in (*NAMES, "mean")
}
METRICS |= {f"success_share_{name}": f"success_share of the {name} requests" for name in CRITICALITIES}
METRICS |= {f.name.lower(): f"requests whose last attempt ended so: {f.name.lower()}" for f in FAILURES}
for _phase in PHASES:
    METRICS |= {
        f"{_phase}_offered_per_s": f"requests per second {_phase} the faults",
        f"{_phase}_goodput_per_s": f"successful requests per second {_phase} the faults",
        f"{_phase}_amplification": f"attempts per request {_phase} the faults",
        f"{_phase}_latency_final_s_p99": f"p99 seconds to the final outcome {_phase} the faults",
    }
for _tier in TIERS:
    METRICS |= {
        f"{_tier}_busy_share": f"{_tier}: share of its servers' time spent working"
        + (" (of a job, its busiest task by the second)" if _tier == "flink" else ""),
        f"{_tier}_blocked_share": f"{_tier}: share of its servers' time spent waiting for room downstream",
        f"{_tier}_idle_share": f"{_tier}: the rest",
        f"{_tier}_peak_records": f"{_tier}: most records (or requests) inside at once",
        f"{_tier}_onset_s": f"{_tier}: when it came under lasting pressure after the first fault began (inf: never)",
    }


def summary(result: Result, occupancy: Occupancy | None = None) -> dict[str, float]:
    """Every name in `METRICS` with its value; NaN where there is nothing to measure. `occupancy` of the same result, if it is
    at hand, saves making it again."""
    occupancy = occupancy or Occupancy(result)
    values = _totals(result) | _latency(result) | _phases(result) | _crash(result, occupancy) | _lag(result)
    values |= _by_criticality(result) | _insert_errors(result) | flink(result) | log_lag(result)
    values["recovery_time_s"] = recovery_time(result)
    values |= _tiers(result, occupancy) | onsets(result, occupancy)
    return {name: float(values.get(name, nan)) for name in METRICS}


def _totals(result: Result) -> dict[str, float]:
    lines = ledger(result)
    requests, records, work = lines["requests"], lines["records"], lines["work"]
    offered, attempts = sum(requests.values()), sum(work.values()) - work["not_sent"]
    ended = offered - requests["pending"]
    served = work["done"] + work["wasted"]
    delivered = sum(records[name] for name in ("delivered_in_time", "delivered_wasted", "duplicate"))
    return {name.lower(): requests[name.lower()] for name in (f.name for f in FAILURES)} | {
        "offered": offered,
        "attempts": attempts,
        "pending": requests["pending"],
        "success_share": requests["ok"] / ended if ended else nan,
        "amplification": attempts / offered if offered else nan,
        "offered_per_s": offered / result.ended_s if result.ended_s else nan,
        "goodput_per_s": requests["ok"] / result.ended_s if result.ended_s else nan,
        "wasted_share": work["wasted"] / served if served else nan,
        "held_back": work["not_sent"],
        "shed": work["shed"],
        "cancelled": work["cancelled"],
        "crashes": int((result.tables["marks"]["kind"] == "crash").sum()),
        "crash_lost_requests": work["lost"],
        "duplicates": records["duplicate"],
        "redelivered": int(result.tables["records"]["redelivered"].sum()),
        "acked_then_lost": records["acked_then_lost"],
        "evicted": records["evicted"],
        "expired": records["expired"],
        "publish_refused": records["refused"],
        "skipped": records["skipped"],
        "dropped": records["dropped"],
        "delivered": delivered,
        "still_inside": sum(count for name, count in records.items() if name.startswith("in_")),
    }


def _insert_errors(result: Result) -> dict[str, float]:
    marks = result.tables["marks"]
    when = marks["time_s"][np.isin(marks["kind"], INSERT_ERRORS)]
    return {"insert_errors": len(when), "insert_errors_from_s": float(when.min()) if len(when) else nan}


def _by_criticality(result: Result) -> dict[str, float]:
    requests = result.tables["requests"]
    ended = requests["outcome"] != Outcome.PENDING
    found = {}
    for code, name in enumerate(CRITICALITIES):
        mine = requests["outcome"][ended & (requests["criticality"] == code)]
        found[f"success_share_{name}"] = float((mine == Outcome.OK).mean()) if len(mine) else nan
    return found


def _latency(result: Result) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, (_, latency) in latencies(result).items():
        row = quantiles(latency, LEVELS)
        found |= {f"latency_{kind}_s_{name}": value for name, value in zip(NAMES, row, strict=True)}
        found[f"latency_{kind}_s_mean"] = float(latency.mean()) if len(latency) else nan
    return found


def _phases(result: Result) -> dict[str, float]:
    window = fault_window(result)
    if window is None:
        return {}
    requests, attempts = result.tables["requests"], result.tables["attempts"]
    edges = np.array([0.0, *window, result.ended_s])
    happy = requests["outcome"] == Outcome.OK
    found: dict[str, float] = {}
    for phase, begin, end in zip(PHASES, edges, edges[1:], strict=False):
        if end <= begin:
            continue
        born = int(((requests["born_s"] >= begin) & (requests["born_s"] < end)).sum())
        made = (attempts["sent_s"] >= begin) & (attempts["sent_s"] < end)
        sent = int((made & (attempts["work"] != Work.NOT_SENT)).sum())
        ended = (requests["ended_s"] >= begin) & (requests["ended_s"] < end) & (requests["outcome"] != Outcome.PENDING)
        latency = (requests["ended_s"] - requests["born_s"])[ended]
        found |= {
            f"{phase}_offered_per_s": born / (end - begin),
            f"{phase}_goodput_per_s": int((ended & happy).sum()) / (end - begin),
            f"{phase}_amplification": sent / born if born else nan,
            f"{phase}_latency_final_s_p99": float(quantiles(latency, (0.99,))[0]),
        }
    return found


def recovery_time(result: Result, step_s: float = 5.0) -> float:
    """Seconds from the last fault's end until, in every later step of `step_s`, 90 % of the requests born in it succeed.
    Those still pending count only once they have waited for `step_s`, as not successful. 0 when at once, NaN when never,
    when there was no fault, or when nobody asked after it."""
    window = fault_window(result)
    if window is None or window[1] >= result.ended_s:
        return nan
    later = health(result, window[1], step_s)
    if not len(later.bad):
        return 0.0 if later.judged.any() else nan
    last = int(later.bad[-1])
    return (last + 1) * step_s if later.judged[last + 1 :].any() else nan


def _crash(result: Result, occupancy: Occupancy) -> dict[str, float]:
    crash, records = occupancy.crash_s, result.tables["records"]
    until = result.ended_s if np.isnan(crash) else crash
    done = (records["fate"] == Fate.DELIVERED) & (records["ended_s"] <= until)
    found = {"crash_time_s": crash, "delivered_per_s_before_crash": int(done.sum()) / until if until else nan}
    api, producer = occupancy.tiers["api"], occupancy.tiers.get("producer")
    begins, ends = [api.inside[0]], [api.inside[1]]
    if producer is not None:
        begins.append(producer.inside[0])
        ends.append(producer.inside[1])
    bytes_each = occupancy.record_bytes + api.overhead
    found["api_peak_bytes"] = level_peak(np.concatenate(begins), np.concatenate(ends)) * bytes_each
    if not np.isnan(crash):
        lost = int((records["fate"] == Fate.LOST_IN_CRASH).sum())
        found |= {"crash_lost_records": lost, "crash_lost_bytes": lost * occupancy.record_bytes}
        if not len(done):
            found["latency_before_crash_s"] = _last_reply(result, crash)
        elif done.any():
            last = np.flatnonzero(done)[np.argmax(records["ended_s"][done])]
            found["latency_before_crash_s"] = float(records["ended_s"][last] - records["produced_s"][last])
    return found


def _last_reply(result: Result, until: float) -> float:
    """Seconds from sending to reply of the last success before `until`; NaN without any."""
    requests = result.tables["requests"]
    before = np.flatnonzero((requests["outcome"] == Outcome.OK) & (requests["ended_s"] < until))
    if not len(before):
        return nan
    last = before[np.argmax(requests["ended_s"][before])]
    return float(requests["ended_s"][last] - requests["born_s"][last])


def _lag(result: Result) -> dict[str, float]:
    """Age of the oldest undelivered record. It grows until that record ends, so it peaks at ends (or with the run)."""
    records = result.tables["records"]
    if not len(records["produced_s"]):
        return {}
    ended = np.where(np.isnan(records["ended_s"]), result.ended_s, records["ended_s"])
    age = ended - records["produced_s"]
    old = np.flatnonzero(age > 600.0)
    window = fault_window(result)
    return {
        "lag_max_s": float(age.max()),
        "catch_up_s": _catch_up(result, ended, age, window[1] if window is not None else nan),
        "rescale_catch_up_s": _catch_up(result, ended, age, first_rescale(result)),
        "lag_10min_s": float(records["produced_s"][old].min() + 600) if len(old) else nan,
    }


def _catch_up(result: Result, ended: Column, age: Column, since: float) -> float:
    late = age > 1.0
    if np.isnan(since) or (late & np.isnan(result.tables["records"]["ended_s"])).any():
        return nan
    return max(0.0, float(ended[late].max(initial=0.0)) - since)


def _tiers(result: Result, occupancy: Occupancy) -> dict[str, float]:
    whole = np.array([0.0, max(result.ended_s, 1e-9)])
    found = {}
    for tier, presence in occupancy.tiers.items():
        columns = tier_columns(presence, whole, occupancy.record_bytes)
        for share in ("busy_share", "blocked_share", "idle_share"):
            found[f"{tier}_{share}"] = columns[share][0]
        found[f"{tier}_peak_records"] = level_peak(*presence.inside, presence.weight)
    return found
