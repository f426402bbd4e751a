"""What becomes of a tail: fan-out, hedging, and clients that do not measure what they do not send."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, expm1, log, log1p

from bpsim.theory.domain import require_count, require_positive, require_share


def fan_out_slow_share(slow: float, calls: int) -> float:
    """Share of requests with at least one slow call of `calls` independent ones, 1 − (1 − p)^n. Raises `ValueError` for a
    share outside 0 … 1. Dean & Barroso 2013, *The Tail at Scale*: 63 % for 1 % and 100."""
    require_share(slow=slow)
    require_count(0, calls=calls)
    return -expm1(calls * log1p(-slow)) if slow < 1 else float(calls > 0)


@dataclass(frozen=True)
class Hedged:
    """Requests with exponential latency of rate `service_rate` per second, a second copy sent after `delay` seconds; the copy
    is taken to load nobody. Raises `ValueError` for a rate that is not positive. P(T > t) = e^{−μt−μ(t−d)} beyond d; Dean &
    Barroso 2013."""

    service_rate: float
    delay: float

    def __post_init__(self) -> None:
        require_positive(service_rate=self.service_rate)
        if not self.delay >= 0:
            raise ValueError(f"delay is {self.delay!r} s; it cannot be negative")

    @property
    def extra_share(self) -> float:
        """Copies per request, e^{−μd}."""
        return exp(-self.service_rate * self.delay)

    def quantile(self, level: float) -> float:
        """Seconds that a share `level` of the requests does not exceed."""
        alone = self.unhedged_quantile(level)
        return alone if alone <= self.delay else (alone + self.delay) / 2

    def unhedged_quantile(self, level: float) -> float:
        """The same without copies."""
        return -log(1 - level) / self.service_rate


@dataclass(frozen=True)
class CoordinatedOmission:
    """`rate` requests per second for `fine` seconds at `service` seconds each, then `frozen` seconds in which none is
    answered. Truth counts from when each was due (taken as a continuum); the naive client waits for the one it has sent.
    Raises `ValueError` for values that are not positive. Gil Tene, *How NOT to measure latency*: 25 s against 11 ms."""

    rate: float
    fine: float
    frozen: float
    service: float

    def __post_init__(self) -> None:
        require_positive(rate=self.rate, fine=self.fine, frozen=self.frozen, service=self.service)

    @property
    def fine_share(self) -> float:
        """Share of requests due before the freeze."""
        return self.fine / (self.fine + self.frozen)

    @property
    def true_mean(self) -> float:
        """Mean latency in seconds."""
        return self.fine_share * self.service + (1 - self.fine_share) * self.frozen / 2

    def true_quantile(self, level: float) -> float:
        """Seconds that a share `level` of the latencies does not exceed."""
        beyond = (level - self.fine_share) / (1 - self.fine_share)
        return max(self.service, beyond * self.frozen)

    @property
    def naive_mean(self) -> float:
        """Mean in seconds of what the naive client writes down: all the fine ones and one freeze."""
        fine = self.rate * self.fine
        return (fine * self.service + self.frozen) / (fine + 1)

    def naive_quantile(self, level: float) -> float:
        """Nearest-rank quantile in seconds of what the naive client writes down."""
        fine = self.rate * self.fine
        return self.service if ceil(level * (fine + 1)) <= fine else self.frozen
