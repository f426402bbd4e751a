"""One exponential station: M/M/1, M/M/c, and those with a bounded number of places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from bpsim.theory.domain import require_count, require_positive, require_stable


@dataclass(frozen=True)
class MM1:
    """M/M/1, FIFO; rates per second. Raises `ValueError` when ρ ≥ 1. Kleinrock 1975, ch. 3; Gross & Harris, ch. 2."""

    arrival_rate: float
    service_rate: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate)
        require_stable(self.utilisation)

    @property
    def utilisation(self) -> float:
        """ρ = λ/μ; also the share of arrivals that wait."""
        return self.arrival_rate / self.service_rate

    @property
    def W(self) -> float:
        """Mean sojourn in seconds, 1/(μ − λ)."""
        return 1 / (self.service_rate - self.arrival_rate)

    @property
    def Wq(self) -> float:
        """Mean wait in seconds, ρ/(μ − λ)."""
        return self.utilisation * self.W

    @property
    def L(self) -> float:
        """Mean number in the system, ρ/(1 − ρ)."""
        return self.arrival_rate * self.W

    @property
    def Lq(self) -> float:
        """Mean number waiting."""
        return self.arrival_rate * self.Wq

    @property
    def variance_of_number(self) -> float:
        """Variance of the number in the system, ρ/(1 − ρ)²."""
        return self.L * (1 + self.L)

    @property
    def empty_share(self) -> float:
        """Share of time with nobody in the system, 1 − ρ."""
        return 1 - self.utilisation

    def sojourn_quantile(self, level: float) -> float:
        """Seconds that a share `level` of the sojourns does not exceed: W ~ Exp(μ − λ)."""
        return -self.W * log(1 - level)

    def wait_quantile(self, level: float) -> float:
        """Seconds that a share `level` of the waits does not exceed: P(Wq > t) = ρ·e^{−(μ−λ)t}."""
        return max(0.0, self.W * log(self.utilisation / (1 - level)))


def erlang_b(offered: float, servers: int) -> float:
    """Share of arrivals lost by M/G/c/c with `offered` = λ·E[S] erlangs; any service law. Raises `ValueError` for a negative
    load. Erlang 1917; insensitivity: Sevastyanov 1957."""
    require_count(0, servers=servers)
    if not offered >= 0:
        raise ValueError(f"offered load is {offered!r} erlangs; it cannot be negative")
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked


def erlang_c(offered: float, servers: int) -> float:
    """Share of arrivals that wait in M/M/c. Raises `ValueError` when `offered` ≥ `servers`. Erlang 1917."""
    require_count(1, servers=servers)
    require_stable(offered / servers)
    blocked = erlang_b(offered, servers)
    return blocked / (1 - offered / servers * (1 - blocked))


@dataclass(frozen=True)
class ErlangLoss:
    """M/G/c/c: `servers` without a queue, `offered` = λ·E[S] erlangs, any load. Raises `ValueError` for a negative load.
    Erlang 1917."""

    offered: float
    servers: int

    @property
    def rejected_share(self) -> float:
        """Erlang's B."""
        return erlang_b(self.offered, self.servers)

    @property
    def carried(self) -> float:
        """Mean number of busy servers."""
        return self.offered * (1 - self.rejected_share)

    @property
    def utilisation(self) -> float:
        """Share of a server's time spent working."""
        return self.carried / self.servers


@dataclass(frozen=True)
class MMc:
    """M/M/c, FIFO; rates per second, `service_rate` of one server. Raises `ValueError` when λ ≥ cμ. Kleinrock 1975, §3.5."""

    arrival_rate: float
    service_rate: float
    servers: int

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate)
        require_count(1, servers=self.servers)
        require_stable(self.utilisation)

    @property
    def utilisation(self) -> float:
        """ρ = λ/(cμ)."""
        return self.arrival_rate / self.service_rate / self.servers

    @property
    def busy_servers(self) -> float:
        """Mean number of busy servers, λ/μ."""
        return self.arrival_rate / self.service_rate

    @cached_property
    def waiting_share(self) -> float:
        """Erlang's C: the share that waits."""
        return erlang_c(self.busy_servers, self.servers)

    @property
    def empty_share(self) -> float:
        """Share of time with nobody in the system."""
        blocking_weight = self.servers * log(self.busy_servers) - lgamma(self.servers + 1)
        return float(self.waiting_share * (1 - self.utilisation) * np.exp(-blocking_weight))

    @property
    def Wq(self) -> float:
        """Mean wait in seconds, C/(cμ − λ)."""
        return self.waiting_share / (self.servers * self.service_rate - self.arrival_rate)

    @property
    def W(self) -> float:
        """Mean sojourn in seconds."""
        return self.Wq + 1 / self.service_rate

    @property
    def Lq(self) -> float:
        """Mean number waiting."""
        return self.arrival_rate * self.Wq

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return self.arrival_rate * self.W

    def wait_quantile(self, level: float) -> float:
        """Seconds that a share `level` of the waits does not exceed: P(Wq > t) = C·e^{−(cμ−λ)t}."""
        rate = self.servers * self.service_rate - self.arrival_rate
        return max(0.0, log(self.waiting_share / (1 - level)) / rate)


@dataclass(frozen=True)
class MMcK:
    """M/M/c with `places` in the whole system; who finds it full is lost (429). Any load, 1 included. Times are of those
    let in. Raises `ValueError` when `places` < `servers`. Kleinrock 1975, §3.6; Gross & Harris, §2.5."""

    arrival_rate: float
    service_rate: float
    servers: int
    places: int

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate)
        require_count(1, servers=self.servers)
        require_count(self.servers, places=self.places)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Of 0 … `places` in the system (birth and death); logarithms, so that no load overflows."""
        busy = np.minimum(np.arange(1, self.places + 1), self.servers)
        logs = np.concatenate(([0.0], np.cumsum(np.log(self.arrival_rate / (busy * self.service_rate)))))
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())

    @property
    def rejected_share(self) -> float:
        """Share of arrivals turned away."""
        return float(self.probabilities[-1])

    @property
    def loss_rate(self) -> float:
        """Turned away per second."""
        return self.arrival_rate * self.rejected_share

    @property
    def throughput(self) -> float:
        """Served per second."""
        return self.utilisation * self.servers * self.service_rate

    @property
    def utilisation(self) -> float:
        """Share of a server's time spent working."""
        busy = np.minimum(np.arange(self.places + 1), self.servers)
        return float(self.probabilities @ busy) / self.servers

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return float(self.probabilities @ np.arange(self.places + 1))

    @property
    def Lq(self) -> float:
        """Mean number waiting."""
        return float(self.probabilities @ np.maximum(np.arange(self.places + 1) - self.servers, 0))

    @property
    def W(self) -> float:
        """Mean sojourn in seconds (Little)."""
        return self.L / self.throughput

    @property
    def Wq(self) -> float:
        """Mean wait in seconds (Little)."""
        return self.Lq / self.throughput

    @property
    def waiting_share(self) -> float:
        """Share of those let in that wait."""
        return float(self.probabilities[self.servers : -1].sum() / self.probabilities[:-1].sum())
