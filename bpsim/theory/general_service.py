"""One station with Poisson arrivals and any service law, by moments; sharing and priorities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, factorial, gamma, prod

import numpy as np

from bpsim.theory.domain import require_count, require_positive, require_stable


@dataclass(frozen=True)
class ServiceMoments:
    """E[S], E[S²], E[S³] of a service time, in s, s², s³. Raises `ValueError` when no law has them (E[S²] < E[S]²)."""

    mean: float
    second: float
    third: float

    def __post_init__(self) -> None:
        require_positive(mean=self.mean, second=self.second, third=self.third)
        if self.second < self.mean**2 * (1 - 1e-12):
            raise ValueError(f"E[S²] is {self.second:.6g}, below E[S]² = {self.mean**2:.6g}: no service law has that")

    @property
    def scv(self) -> float:
        """Squared coefficient of variation, var/mean²."""
        return self.second / self.mean**2 - 1

    @classmethod
    def constant(cls, mean: float) -> ServiceMoments:
        """Always `mean` seconds."""
        return cls(mean, mean**2, mean**3)

    @classmethod
    def erlang(cls, shape: int, mean: float) -> ServiceMoments:
        """Erlang-`shape`; 1 is exponential."""
        require_count(1, shape=shape)
        step = mean / shape
        return cls(*(step**n * prod(shape + i for i in range(n)) for n in (1, 2, 3)))

    @classmethod
    def uniform(cls, low: float, high: float) -> ServiceMoments:
        """Uniform between `low` and `high` seconds."""
        return cls(*((high ** (n + 1) - low ** (n + 1)) / ((n + 1) * (high - low)) for n in (1, 2, 3)))

    @classmethod
    def lognormal(cls, mean: float, scv: float) -> ServiceMoments:
        """Lognormal with the given mean and squared coefficient of variation."""
        return cls(*(mean**n * (1 + scv) ** (n * (n - 1) // 2) for n in (1, 2, 3)))

    @classmethod
    def weibull(cls, shape: float, scale: float) -> ServiceMoments:
        """Weibull; `scale` in seconds."""
        return cls(*(scale**n * gamma(1 + n / shape) for n in (1, 2, 3)))

    @classmethod
    def hyperexponential(cls, shares: Sequence[float], means: Sequence[float]) -> ServiceMoments:
        """Exponential of mean `means[i]` seconds with probability `shares[i]`."""
        if abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"shares add up to {sum(shares):.9g}; they must add up to 1")
        return cls(*(factorial(n) * sum(p * m**n for p, m in zip(shares, means, strict=True)) for n in (1, 2, 3)))


def mg1_wait(arrival_rate: float, mean_service: float, scv: float) -> float:
    """Mean wait of M/G/1 in seconds: ρ·E[S]·(1 + c²)/(2(1 − ρ)). Raises `ValueError` when ρ ≥ 1. Pollaczek 1930, Khinchine
    1932."""
    utilisation = arrival_rate * mean_service
    require_stable(utilisation)
    return utilisation * mean_service * (1 + scv) / (2 * (1 - utilisation))


@dataclass(frozen=True)
class MG1:
    """M/G/1, FIFO, `arrival_rate` per second. Raises `ValueError` when ρ ≥ 1. Pollaczek–Khinchine; Kleinrock 1975, ch. 5."""

    arrival_rate: float
    service: ServiceMoments

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate)
        require_stable(self.utilisation)

    @property
    def utilisation(self) -> float:
        """ρ = λ·E[S]."""
        return self.arrival_rate * self.service.mean

    @property
    def Wq(self) -> float:
        """Mean wait in seconds, λE[S²]/(2(1 − ρ))."""
        return self.arrival_rate * self.service.second / (2 * (1 - self.utilisation))

    @property
    def variance_of_wait(self) -> float:
        """Variance of the wait in s², λE[S³]/(3(1 − ρ)) + Wq²."""
        return self.arrival_rate * self.service.third / (3 * (1 - self.utilisation)) + self.Wq**2

    @property
    def W(self) -> float:
        """Mean sojourn in seconds."""
        return self.Wq + self.service.mean

    @property
    def Lq(self) -> float:
        """Mean number waiting."""
        return self.arrival_rate * self.Wq

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return self.arrival_rate * self.W


def md1_wait_cdf(arrival_rate: float, service: float, t: float) -> float:
    """P(Wq ≤ `t`) of M/D/1 with `service` seconds each. Raises `ValueError` when ρ ≥ 1. The law is Erlang's and Crommelin's;
    computed by Franx (2001, Oper. Res. Letters 29), whose terms are all positive, so that no `t` cancels."""
    load = arrival_rate * service
    require_stable(load)
    if t < 0:
        return 0.0
    periods = int(t / service) + 1
    ahead = load * periods - arrival_rate * t
    # P(more than k arrivals during a service) for k = 0 … periods
    poisson = exp(-load) * np.cumprod(np.concatenate(([1.0], load / np.arange(1, periods + 60))))
    more = poisson[::-1].cumsum()[::-1][1:]
    number = np.zeros(periods + 1)
    number[0] = 1 - load
    for n in range(periods):
        number[n + 1] = (number[0] * more[n] + number[1 : n + 1] @ more[n:0:-1]) / poisson[0]
    waiting = np.cumsum(number)[1:]  # P(at most k wait), k = 0 … periods − 1
    arrivals = exp(-ahead) * np.cumprod(np.concatenate(([1.0], ahead / np.arange(1, periods))))
    return float(waiting[::-1] @ arrivals)


@dataclass(frozen=True)
class ProcessorSharing:
    """M/G/1 with the server shared equally; depends on the service law by its mean only (seconds). Raises `ValueError` when
    ρ ≥ 1. Kleinrock 1976, §4.4."""

    arrival_rate: float
    mean_service: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, mean_service=self.mean_service)
        require_stable(self.arrival_rate * self.mean_service)

    @property
    def slowdown(self) -> float:
        """Sojourn over own work, 1/(1 − ρ), whatever the size."""
        return 1 / (1 - self.arrival_rate * self.mean_service)

    @property
    def W(self) -> float:
        """Mean sojourn in seconds."""
        return self.sojourn_of(self.mean_service)

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return self.arrival_rate * self.W

    def sojourn_of(self, size: float) -> float:
        """Mean sojourn in seconds of a job with `size` seconds of work."""
        return size * self.slowdown


def priority_waits(arrival_rates: Sequence[float], service_rate: float) -> tuple[float, ...]:
    """Mean waits in seconds, most urgent class first, of a non-preemptive M/M/1 with one service rate. Raises `ValueError`
    when the classes together are not stable. Cobham 1954."""
    return tuple(sum(arrival_rates) / service_rate * sojourn for sojourn in preemptive_sojourns(arrival_rates, service_rate))


def preemptive_sojourns(arrival_rates: Sequence[float], service_rate: float) -> tuple[float, ...]:
    """Mean sojourns in seconds, most urgent class first, of a preemptive-resume M/M/1 with one service rate. Raises
    `ValueError` when the classes together are not stable. Kleinrock 1976, §3.6."""
    require_positive(service_rate=service_rate)
    loads = [0.0, *accumulate(rate / service_rate for rate in arrival_rates)]
    require_stable(loads[-1])
    return tuple(1 / service_rate / ((1 - above) * (1 - own)) for above, own in pairwise(loads))
