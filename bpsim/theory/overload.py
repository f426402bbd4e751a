"""More arrives than is served: how long until it hurts, and how long until it heals. Fluid unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import NamedTuple

import numpy as np

from bpsim.theory.domain import require_count, require_positive, require_stable


class DrainTime(NamedTuple):
    """Seconds to empty a backlog: mean and standard deviation."""

    mean: float
    sd: float


def time_to_full(arrival_rate: float, service_rate: float, capacity: float) -> float:
    """Seconds until a buffer of `capacity` is full, capacity/(λ − μ); infinite without overload. It then holds `capacity`,
    and its last entry waits capacity/μ: all three grow with the buffer. Fluid, arithmetic."""
    return capacity / (arrival_rate - service_rate) if arrival_rate > service_rate else inf


def time_to_overflow(arrival_rate: float, service_rate: float, places: int) -> float:
    """Mean seconds for M/M/1 to go from empty to `places` in the system, exact, any load; infinite beyond 10³⁰⁸. Raises
    `ValueError` for rates that are not positive. First passage of the birth-death chain, step by step: the closed form
    K/(λ − μ) − μ/(λ − μ)²·(1 − (μ/λ)^K) cancels near λ = μ."""
    require_positive(arrival_rate=arrival_rate, service_rate=service_rate)
    require_count(0, places=places)
    total = step = 0.0
    for _ in range(places):
        step = (1 + service_rate * step) / arrival_rate
        total += step
    return total


def drain_time(backlog: float, arrival_rate: float, service_rate: float) -> DrainTime:
    """Time to work off `backlog` customers in M/M/1, arrivals going on: n/(μ − λ) and √(n(λ + μ)/(μ − λ)³) seconds. Raises
    `ValueError` when it never ends. Busy period begun by n; Kleinrock 1975, §5.8."""
    require_stable(arrival_rate / service_rate)
    gap = service_rate - arrival_rate
    return DrainTime(backlog / gap, sqrt(backlog * (arrival_rate + service_rate) / gap**3))


def zero_goodput_time(backlog: float, arrival_rate: float, service_rate: float, timeout: float) -> float:
    """Seconds after a trigger during which a FIFO queue that cancels nothing serves only customers who have left:
    (backlog − μT)/(μ − λ). Raises `ValueError` when λ ≥ μ. Fluid, arithmetic."""
    require_stable(arrival_rate / service_rate)
    return max(0.0, (backlog - service_rate * timeout) / (service_rate - arrival_rate))


def retry_storm_bound(service_rate: float, timeout: float) -> float:
    """μ·T: a FIFO queue bound below this cannot sustain a retry storm, since whoever is let in still succeeds. Derived; it
    agrees with HotOS 2025, where 35 recovers and 150 does not at μT = 50."""
    return service_rate * timeout


@dataclass(frozen=True)
class BufferOverflow:
    """A buffer of `buffer_bytes` under sustained overload, records of `record_bytes`, rates per second; the process dies when
    it is full. Doubling the buffer doubles time, loss and latency. Raises `ValueError` unless λ > μ. Fluid, arithmetic."""

    arrival_rate: float
    service_rate: float
    record_bytes: float
    buffer_bytes: float

    def __post_init__(self) -> None:
        require_positive(service_rate=self.service_rate, record_bytes=self.record_bytes, buffer_bytes=self.buffer_bytes)
        if not self.arrival_rate > self.service_rate:
            raise ValueError(f"{self.arrival_rate:.6g}/s is no overload of {self.service_rate:.6g}/s: the buffer never fills")

    @property
    def growth(self) -> float:
        """Records per second by which the backlog grows."""
        return self.arrival_rate - self.service_rate

    @property
    def growth_bytes(self) -> float:
        """Bytes per second by which it grows."""
        return self.growth * self.record_bytes

    @property
    def time_to_full(self) -> float:
        """Seconds until out of memory."""
        return time_to_full(self.arrival_rate, self.service_rate, self.records_lost)

    @property
    def records_lost(self) -> float:
        """Records in the buffer when it bursts."""
        return self.buffer_bytes / self.record_bytes

    @property
    def latency_of_last(self) -> float:
        """Seconds that the last record let in would have waited."""
        return self.records_lost / self.service_rate


@dataclass(frozen=True)
class Spike:
    """Arrivals rise from `base_rate` to `spike_rate` for `duration` seconds before a server of `service_rate`. Raises
    `ValueError` unless base < μ < spike. Fluid, arithmetic."""

    base_rate: float
    spike_rate: float
    service_rate: float
    duration: float

    def __post_init__(self) -> None:
        if not 0 <= self.base_rate < self.service_rate < self.spike_rate:
            raise ValueError(
                f"not base < service < spike: {self.base_rate:.6g}, {self.service_rate:.6g}, {self.spike_rate:.6g}"
            )

    @property
    def peak_backlog(self) -> float:
        """Records waiting when the spike ends."""
        return (self.spike_rate - self.service_rate) * self.duration

    @property
    def peak_latency(self) -> float:
        """Seconds that the last record of the spike waits."""
        return self.peak_backlog / self.service_rate

    @property
    def drain(self) -> float:
        """Seconds from the end of the spike until the backlog is gone."""
        return self.peak_backlog / (self.service_rate - self.base_rate)

    @property
    def drain_over_spike(self) -> float:
        """Drain over duration, (λ₁ − μ)/(μ − λ₀)."""
        return self.drain / self.duration

    @property
    def time_above_base(self) -> float:
        """Seconds with a backlog."""
        return self.duration + self.drain

    @property
    def area(self) -> float:
        """Record-seconds waited by all."""
        return self.peak_backlog * self.time_above_base / 2


@dataclass(frozen=True)
class CapacityDip:
    """For `duration` seconds each service takes `service_time_factor` times as long (0: nothing is served); FIFO, no retries,
    nothing cancelled. Raises `ValueError` when λ ≥ μ, and for a factor between 0 and 1. Fluid, arithmetic."""

    arrival_rate: float
    service_rate: float
    duration: float
    service_time_factor: float

    def __post_init__(self) -> None:
        require_stable(self.arrival_rate / self.service_rate)
        if self.service_time_factor != 0 and not self.service_time_factor >= 1:
            raise ValueError(f"service_time_factor is {self.service_time_factor!r}; a dip is 1 or more, an outage 0")

    @property
    def capacity_during(self) -> float:
        """Served per second during the dip."""
        return self.service_rate / self.service_time_factor if self.service_time_factor else 0.0

    @property
    def peak_backlog(self) -> float:
        """Waiting when the dip ends."""
        return max(0.0, self.arrival_rate - self.capacity_during) * self.duration

    @property
    def peak_wait(self) -> float:
        """Seconds that an arrival at the end of the dip waits."""
        return self.peak_backlog / self.service_rate

    @property
    def drain(self) -> float:
        """Seconds from the end of the dip until the backlog is gone."""
        return drain_time(self.peak_backlog, self.arrival_rate, self.service_rate).mean

    def zero_goodput(self, timeout: float) -> float:
        """Seconds after the dip in which all who are served have timed out."""
        return zero_goodput_time(self.peak_backlog, self.arrival_rate, self.service_rate, timeout)


def busy_period_cdf(arrival_rate: float, service_rate: float, t: float) -> float:
    """P(an M/M/1 busy period ends within `t` seconds), any load; exact. Raises `ValueError` for rates that are not positive.
    Takács 1962: Catalan walks, uniformised, so that all terms are positive."""
    from scipy.special import gammainc, gammaln

    require_positive(arrival_rate=arrival_rate, service_rate=service_rate)
    if t <= 0:
        return 0.0
    both = arrival_rate + service_rate
    expected = both * t
    served = np.arange(1, int((expected + 40 * sqrt(expected) + 200) / 2) + 1)  # later ends: a Poisson tail below 1e-100
    catalan = gammaln(2 * served - 1) - gammaln(served) - gammaln(served + 1)
    walks = catalan + (served - 1) * log(arrival_rate / both) + served * log(service_rate / both)
    return float(np.exp(walks) @ gammainc(2 * served - 1, expected))


def lifo_goodput(arrival_rate: float, service_rate: float, deadline: float) -> float:
    """Served per second within `deadline` seconds of waiting by an overloaded LIFO M/M/1 that cancels nothing: λ·P(busy period
    ≤ T), near μ, where FIFO's tends to 0. Raises `ValueError` unless λ > μ. Maurer 2015 (Facebook's adaptive LIFO)."""
    if not arrival_rate > service_rate:
        raise ValueError(f"{arrival_rate:.6g}/s is no overload of {service_rate:.6g}/s")
    return arrival_rate * busy_period_cdf(arrival_rate, service_rate, deadline)
