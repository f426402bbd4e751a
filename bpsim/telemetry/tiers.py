"""Every tier's load and the users' view, under bpsim's own names."""

from __future__ import annotations

from collections.abc import Mapping

from bpsim.metrics.spans import Floats
from bpsim.result import TIERS
from bpsim.telemetry.exposition import Exposition

TIER = {
    "records": ("tier_records", "records or requests inside"),
    "bytes": ("tier_bytes", "bytes inside"),
    "waiting": ("tier_waiting", "records or requests that wait"),
    "busy_share": ("tier_busy_ratio", "share of the servers that work"),
    "blocked_share": ("tier_blocked_ratio", "share of the servers that wait for room downstream: backpressure"),
    "fill": ("tier_fill_ratio", "waiting, over what may wait"),
}
QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99", "p999": "0.999"}


def add_tiers(to: Exposition, labels: Mapping[str, str], series: Mapping[str, Floats]) -> None:
    """All of `series`, a `timeseries`, at the ends of its windows."""
    times = series["time_s"] + series["window_s"]
    for tier in TIERS:
        for column, (name, means) in TIER.items():
            if f"{tier}.{column}" in series:
                to.add(f"bpsim_{name}", f"{means}, average", {"tier": tier, **labels}, times, series[f"{tier}.{column}"])
    for name, values in series.items():
        if name.endswith("_per_s"):
            what = name.removesuffix("_per_s")
            to.add("bpsim_requests_per_second", "what became of requests", {"what": what, **labels}, times, values)
        elif name.startswith("latency_"):
            kind, quantile = name.removeprefix("latency_").split("_s_")
            mine = {"kind": kind, "quantile": QUANTILES[quantile], **labels}
            to.add("bpsim_latency_seconds", "from the intended first send", mine, times, values)
