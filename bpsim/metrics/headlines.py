"""The numbers worth reading first, in the order of reading: what each is called, how it is shown, which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, isnan, log10, nan

from bpsim.units import SIZES, TIMES, format_bytes, format_rate, format_seconds, unit_for


def percent(value: float) -> str:
    """A share for people: 0.123 -> '12.3%'."""
    return f"{value:.1%}"


def count(value: float) -> str:
    """A count for people: 12345.0 -> '12,345'."""
    return f"{value:,.0f}"


def times(value: float) -> str:
    """A factor for people: 3.14159 -> '3.14x'."""
    return f"{value:.2f}x"


@dataclass(frozen=True)
class Headline:
    """One metric as people read it."""

    label: str
    metric: str
    show: Callable[[float], str]
    better: int = 0
    """1 when more is better, -1 when less is, 0 when it depends."""
    never: int = -1
    """The same for a metric that does not exist in a run: -1 when that is bad (it never recovered), 1 when it is good."""
    event: str = "has any"
    """What a run does in which the metric exists, where others have none."""

    def show_gap(self, gap: float, error: float = nan) -> str:
        """A difference and its uncertainty, rounded up, with the digits that are known, three at most: 412.33 and 9.07 ->
        '412 ± 10/s'. No uncertainty: the same in every seed."""
        unit, size = self.unit_for_gap(max(abs(gap), 0 if isnan(error) else error))
        gap, error = gap / size, error / size
        known = 1 - floor(log10(error)) if error > 0 else 6 if gap else 0
        places = min(max(min(known, 2 - floor(log10(abs(gap))) if gap else known), 0), 6)
        shown = ceil(error * 10**places - 1e-9) / 10**places if error == error else 0.0
        within = f" ± {shown:,.{places}f}" if shown or not gap else ""
        return f"{gap:,.{places}f}{within}{unit}"

    def unit_for_gap(self, value: float) -> tuple[str, float]:
        """The unit in which a difference is best read, and its size; for shares points of a hundred."""
        if self.show in (format_seconds, format_bytes):
            unit, size = unit_for(value, TIMES if self.show is format_seconds else SIZES)
            return f" {unit}", size
        return (" pts", 0.01) if self.show is percent else (SUFFIXES.get(self.show, ""), 1.0)


SUFFIXES: dict[Callable[[float], str], str] = {times: "x", format_rate: "/s"}
HEADLINES = (
    Headline("offered", "offered_per_s", format_rate),
    Headline("goodput", "goodput_per_s", format_rate, 1),
    Headline("goodput before the fault", "before_goodput_per_s", format_rate, 1),
    Headline("goodput during it", "during_goodput_per_s", format_rate, 1),
    Headline("goodput after it", "after_goodput_per_s", format_rate, 1),
    Headline("recovered after", "recovery_time_s", format_seconds, -1, event="recovers"),
    Headline("requests that succeed", "success_share", percent, 1),
    Headline("attempts per request", "amplification", times, -1),
    Headline("work nobody waited for", "wasted_share", percent, -1, 0),
    Headline("latency of successes, p50", "latency_success_s_p50", format_seconds, -1),
    Headline("latency of successes, p99", "latency_success_s_p99", format_seconds, -1),
    Headline("time to final outcome, p99", "latency_final_s_p99", format_seconds, -1),
    Headline("rejected (429)", "rejected", count),
    Headline("timed out", "timed_out", count, -1),
    Headline("refused (API down)", "refused", count, -1),
    Headline("produce failed (503)", "produce_failed", count, -1),
    Headline("unavailable (503)", "unavailable", count),
    Headline("failed (500)", "error", count, -1),
    Headline("breaker open", "breaker_open", count),
    Headline("throttled by the client", "throttled", count),
    Headline("reset by the crash", "reset", count, -1),
    Headline("dropped from the queue", "shed", count),
    Headline("cancelled", "cancelled", count),
    Headline("attempts not sent", "held_back", count),
    Headline("in the database", "delivered", count, 1),
    Headline("duplicates there", "duplicates", count, -1),
    Headline("written again after a crash", "redelivered", count, -1),
    Headline("evicted unread", "evicted", count, -1),
    Headline("still on their way", "still_inside", count, -1),
    Headline("oldest undelivered record", "lag_max_s", format_seconds, -1, 0),
    Headline("a record through Flink, p50", "flink_latency_s_p50", format_seconds, -1),
    Headline("most in Flink's buffers", "flink_peak_buffered_bytes", format_bytes, -1),
    Headline("a checkpoint, p50", "checkpoint_s_p50", format_seconds, -1),
    Headline("checkpoints expired", "checkpoints_expired", count, -1),
    Headline("failures of the Flink job", "job_failures", count, -1),
    Headline("peak memory of the API", "api_peak_bytes", format_bytes, -1),
    Headline("crashes", "crashes", count, -1),
    Headline("first crash at", "crash_time_s", format_seconds, 1, 1, "crashes"),
    Headline("requests lost in crashes", "crash_lost_requests", count, -1),
    Headline("acked, then lost", "acked_then_lost", count, -1),
    Headline("bytes lost in the crash", "crash_lost_bytes", format_bytes, -1, 1),
    Headline("latency before the crash", "latency_before_crash_s", format_seconds, -1, 1),
)


def headline(metric: str) -> Headline:
    """That of `metric`, or a plain one."""
    return next((one for one in HEADLINES if one.metric == metric), Headline(metric, metric, lambda value: f"{value:,.4g}"))
