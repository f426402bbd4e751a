"""Time series: everything per window of time. An empty window is NaN, never 0, wherever there was nothing to measure."""

from __future__ import annotations

from math import ceil, floor, inf, log10

import numpy as np

from bpsim.metrics.ledger import first_copies
from bpsim.metrics.occupancy import Occupancy, Presence
from bpsim.metrics.spans import Floats, per_window, quantiles, quantiles_per_window, time_in
from bpsim.result import Fate, Outcome, Result, Work

LEVELS = (0.5, 0.95, 0.99, 0.999)
NAMES = ("p50", "p95", "p99", "p999")
FAILURES = (
    Outcome.REJECTED,
    Outcome.TIMED_OUT,
    Outcome.REFUSED,
    Outcome.PRODUCE_FAILED,
    Outcome.RESET,
    Outcome.UNAVAILABLE,
    Outcome.ERROR,
    Outcome.BREAKER_OPEN,
    Outcome.THROTTLED,
)


def window_width(duration: float, windows: int = 300) -> float:
    """A round width (1, 2 or 5 · 10ᵏ s, at least 1 ms) that cuts `duration` into about `windows`."""
    raw = max(duration / windows, 1e-3)
    step = 10.0 ** floor(log10(raw))
    return float(next(step * factor for factor in (1, 2, 5, 10) if step * factor >= raw * 0.999))


def edges_of(result: Result, width: float | None = None) -> Floats:
    """The edges of the windows; the last one ends with the run."""
    width = width or window_width(result.duration_s)
    count = max(1, ceil(result.ended_s / width - 1e-9))
    return np.asarray(np.minimum(np.arange(count + 1) * width, max(result.ended_s, 1e-9)))


def timeseries(result: Result, window_s: float | None = None, occupancy: Occupancy | None = None) -> dict[str, Floats]:
    """Columns per window: `time_s` (begin), `window_s` (width), rates per second, latency quantiles, and for each tier
    `<tier>.records`, `.bytes`, `.waiting` (time averages), `.busy_share`, `.blocked_share`, `.idle_share` (they sum to
    1) and `.fill` (waiting / bound, NaN without a bound). `occupancy` of the same result, if it is at hand, saves making it
    again."""
    edges = edges_of(result, window_s)
    width = np.diff(edges)
    columns = {"time_s": edges[:-1], "window_s": width}
    columns |= _rates(result, edges) | _latencies(result, edges)
    occupancy = occupancy or Occupancy(result)
    for tier, presence in occupancy.tiers.items():
        for name, values in tier_columns(presence, edges, occupancy.record_bytes).items():
            columns[f"{tier}.{name}"] = values
    return columns


def _rates(result: Result, edges: Floats) -> dict[str, Floats]:
    width = np.diff(edges)
    requests, attempts, records = (result.tables[name] for name in ("requests", "attempts", "records"))
    outcome, work = attempts["outcome"], attempts["work"]
    offered = per_window(requests["born_s"], edges)
    sent = per_window(attempts["sent_s"][work != Work.NOT_SENT], edges)
    happy = requests["outcome"] == Outcome.OK
    delivered = records["fate"] == Fate.DELIVERED
    counts = {
        "offered_per_s": offered,
        "attempts_per_s": sent,
        "goodput_per_s": per_window(requests["ended_s"][happy], edges),
        "completed_per_s": per_window(attempts["served_s"], edges),
        "wasted_per_s": per_window(attempts["served_s"][work == Work.WASTED], edges),
        "delivered_per_s": per_window(records["ended_s"][delivered], edges),
        "delivered_in_time_per_s": per_window(records["ended_s"][first_copies(result)[0]], edges),
        "evicted_per_s": per_window(records["ended_s"][records["fate"] == Fate.EVICTED], edges),
    }
    for failure in FAILURES:
        counts[f"{failure.name.lower()}_per_s"] = per_window(attempts["ended_s"][outcome == failure], edges)
    rates = {name: count / width for name, count in counts.items()}
    rates["amplification"] = np.divide(sent, offered, out=np.full(len(width), np.nan), where=offered > 0)
    return rates


def latencies(result: Result) -> dict[str, tuple[Floats, Floats]]:
    """(when, latency) of successes, of final failures and of final outcomes, from the intended first send."""
    requests = result.tables["requests"]
    latency = requests["ended_s"] - requests["born_s"]
    ended = requests["outcome"] != Outcome.PENDING
    happy = requests["outcome"] == Outcome.OK
    kinds = {"success": happy, "failure": ended & ~happy, "final": ended}
    return {kind: (requests["ended_s"][mask], latency[mask]) for kind, mask in kinds.items()}


def latency(result: Result, since: float = 0.0, until: float = inf) -> dict[str, float]:
    """Quantiles over requests born in [since, until): `<kind>_s_p50` … `p999` for the kinds success, failure and final,
    `<kind>_count` behind them, and `censored_count`: requests still without a final outcome."""
    requests = result.tables["requests"]
    mine = (requests["born_s"] >= since) & (requests["born_s"] < until)
    seconds, outcome = (requests["ended_s"] - requests["born_s"])[mine], requests["outcome"][mine]
    ended, happy = outcome != Outcome.PENDING, outcome == Outcome.OK
    found = {"censored_count": float((~ended).sum())}
    for kind, mask in {"success": happy, "failure": ended & ~happy, "final": ended}.items():
        row = quantiles(seconds[mask], LEVELS)
        found |= {f"{kind}_count": float(mask.sum())} | {
            f"{kind}_s_{name}": float(v) for name, v in zip(NAMES, row, strict=True)
        }
    return found


def _latencies(result: Result, edges: Floats) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    for kind, (when, latency) in latencies(result).items():
        found = quantiles_per_window(when, latency, edges, LEVELS)
        columns |= {f"latency_{kind}_s_{name}": row for name, row in zip(NAMES, found, strict=True)}
    return columns


def tier_columns(presence: Presence, edges: Floats, record_bytes: int) -> dict[str, Floats]:
    """The columns of one tier."""
    width = np.diff(edges)
    records = time_in(*presence.inside, edges, presence.weight) / width
    waiting = time_in(*presence.waiting, edges, presence.waiting_weight) / width
    busy = np.clip(time_in(*presence.busy, edges, presence.busy_weight) / (width * presence.servers), 0, 1)
    blocked = np.clip(time_in(*presence.blocked, edges) / (width * presence.servers), 0, 1 - busy)
    return {
        "records": records,
        "bytes": records * (record_bytes + presence.overhead),
        "waiting": waiting,
        "busy_share": busy,
        "blocked_share": blocked,
        "idle_share": 1 - busy - blocked,
        "fill": waiting / presence.bound if presence.bound else np.full(len(width), np.nan),
    }
