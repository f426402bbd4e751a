"""Stations in line, in a loop and with feedback, all with unbounded queues: product form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bpsim.theory.domain import require_count, require_positive, require_share, rising_root_above
from bpsim.theory.single_station import MM1


def hypoexponential_survival(rates: Sequence[float], t: float) -> float:
    """P(X > `t` seconds) of a sum of independent exponentials of `rates` per second, equal ones allowed (matrix
    exponential). Raises `ValueError` for a rate that is not positive. Neuts 1981, ch. 2."""
    from scipy.linalg import expm

    for rate in rates:
        require_positive(rate=rate)
    generator = -np.diag(rates) + np.diag(rates[:-1], k=1)
    return float(expm(generator * t)[0].sum())


def hypoexponential_quantile(rates: Sequence[float], level: float) -> float:
    """Seconds that a share `level` of such sums does not exceed. Raises `ValueError` as `hypoexponential_survival` does, and
    unless 0 ≤ `level` < 1."""
    if not 0 <= level < 1:
        raise ValueError(f"level is {level!r}; it must be at least 0 and below 1")
    mean = sum(1 / rate for rate in rates)
    return rising_root_above(lambda t: (1 - level) - hypoexponential_survival(rates, t), mean)


@dataclass(frozen=True)
class TandemJackson:
    """M/M/1 stations in line, unbounded queues, FIFO; rates per second. Each is M/M/1 by itself and sojourns are independent.
    Raises `ValueError` when a station is not stable. Burke 1956; Reich 1957; Jackson 1957."""

    arrival_rate: float
    service_rates: tuple[float, ...]

    def __post_init__(self) -> None:
        assert self.stations, f"{self.service_rates=}"

    @property
    def stations(self) -> tuple[MM1, ...]:
        """The stations one by one."""
        return tuple(MM1(self.arrival_rate, rate) for rate in self.service_rates)

    @property
    def W(self) -> float:
        """Mean seconds from end to end."""
        return sum(station.W for station in self.stations)

    @property
    def L(self) -> float:
        """Mean number in the line."""
        return sum(station.L for station in self.stations)

    def sojourn_quantile(self, level: float) -> float:
        """Seconds from end to end that a share `level` does not exceed."""
        return hypoexponential_quantile([rate - self.arrival_rate for rate in self.service_rates], level)


@dataclass(frozen=True)
class Feedback:
    """M/M/1 whose customers come back at once with probability `again` after each service. Raises `ValueError` when
    λ/(1 − p) ≥ μ. Jackson 1957."""

    arrival_rate: float
    service_rate: float
    again: float

    def __post_init__(self) -> None:
        require_share(again=self.again)
        assert self.station.utilisation < 1

    @property
    def effective_arrival_rate(self) -> float:
        """Visits per second, λ/(1 − p)."""
        return self.arrival_rate / (1 - self.again) if self.again < 1 else float("inf")

    @property
    def station(self) -> MM1:
        """The station with every visit counted."""
        return MM1(self.effective_arrival_rate, self.service_rate)

    @property
    def W(self) -> float:
        """Mean seconds over all visits of a customer."""
        return self.station.L / self.arrival_rate


@dataclass(frozen=True)
class ClosedNetwork:
    """`users` who think for `think` seconds on average and then visit exponential stations of `service_means` seconds.
    Exact mean value analysis. Raises `ValueError` for service means that are not positive. Reiser & Lavenberg 1980."""

    users: int
    think: float
    service_means: tuple[float, ...]

    def __post_init__(self) -> None:
        require_count(1, users=self.users)
        for mean in self.service_means:
            require_positive(service_mean=mean)
        if not self.think >= 0:
            raise ValueError(f"think is {self.think!r} s; it cannot be negative")

    @cached_property
    def response_times(self) -> tuple[float, ...]:
        """Mean seconds at each station, waiting included."""
        means = np.array(self.service_means)
        queues = np.zeros_like(means)
        for users in range(1, self.users + 1):
            times = means * (1 + queues)
            queues = users / (self.think + times.sum()) * times
        return tuple(times.tolist())

    @property
    def response_time(self) -> float:
        """Mean seconds from a request to its answer."""
        return sum(self.response_times)

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return self.users / (self.think + self.response_time)

    @property
    def queues(self) -> tuple[float, ...]:
        """Mean number at each station."""
        return tuple(self.throughput * time for time in self.response_times)

    @property
    def utilisations(self) -> tuple[float, ...]:
        """Share of time that each station works."""
        return tuple(self.throughput * mean for mean in self.service_means)

    @property
    def knee(self) -> float:
        """N*, users at which the asymptotes of throughput meet: (Z + ΣS)/max S."""
        return (self.think + sum(self.service_means)) / max(self.service_means)


def machine_repairman(users: int, think: float, service: float) -> tuple[float, float]:
    """(throughput per second, mean response time in seconds) of `users` with exponential think time before one exponential
    server, M/M/1//N. Raises `ValueError` as `ClosedNetwork` does, which has the rest. Reiser & Lavenberg 1980."""
    loop = ClosedNetwork(users, think, (service,))
    return loop.throughput, loop.response_time
