"""Customers who give up: reneging, deadlines, and clients that time out while the server works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, exp, expm1

import numpy as np
from numpy.typing import NDArray

from bpsim.theory.domain import require_count, require_positive
from bpsim.theory.single_station import MM1


@dataclass(frozen=True)
class ErlangA:
    """M/M/c+M: who waits leaves at `patience_rate` per second, who is served stays. Any load. Raises `ValueError` for rates
    that are not positive. Palm 1957; Garnett, Mandelbaum & Reiman 2002."""

    arrival_rate: float
    service_rate: float
    servers: int
    patience_rate: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate, patience_rate=self.patience_rate)
        require_count(1, servers=self.servers)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Of 0, 1, 2 … in the system, cut where each further one is less than half as likely and 80 beyond (2⁻⁸⁰)."""
        spare = 2 * self.arrival_rate - self.servers * self.service_rate
        most = self.servers + max(0, ceil(spare / self.patience_rate)) + 80
        numbers = np.arange(1, most + 1)
        waiting = np.maximum(numbers - self.servers, 0)
        leaving = (numbers - waiting) * self.service_rate + waiting * self.patience_rate
        logs = np.concatenate(([0.0], np.cumsum(np.log(self.arrival_rate / leaving))))
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())

    @property
    def waiting_share(self) -> float:
        """Share of arrivals that find all servers busy."""
        return float(self.probabilities[self.servers :].sum())

    @property
    def Lq(self) -> float:
        """Mean number waiting."""
        return float(self.probabilities[self.servers :] @ np.arange(len(self.probabilities) - self.servers))

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return float(self.probabilities @ np.arange(len(self.probabilities)))

    @property
    def abandoned_share(self) -> float:
        """Share of arrivals that leave unserved, θLq/λ."""
        return self.patience_rate * self.Lq / self.arrival_rate

    @property
    def throughput(self) -> float:
        """Served per second."""
        return self.arrival_rate * (1 - self.abandoned_share)

    @property
    def Wq(self) -> float:
        """Mean seconds waited, by those who leave too."""
        return self.Lq / self.arrival_rate

    @property
    def utilisation(self) -> float:
        """Share of a server's time spent working."""
        return (self.L - self.Lq) / self.servers


@dataclass(frozen=True)
class MM1Deadline:
    """M/M/1+D: who has waited `patience` seconds leaves; expired work is skipped at no cost. Any load, 1 included. Raises
    `ValueError` for values that are not positive. Barrer 1957; Baccelli & Hébuterne 1981: the virtual wait has density
    λp₀e^{−(μ−λ)x} up to τ and λp₀e^{λτ−μx} beyond."""

    arrival_rate: float
    service_rate: float
    patience: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate, patience=self.patience)

    @cached_property
    def _masses(self) -> tuple[float, float, float, float]:
        """(empty, within, beyond, first moment within), all over one unknown factor that keeps them finite."""
        reach = (self.arrival_rate - self.service_rate) * self.patience
        scale = exp(-max(reach, 0.0))
        grown = exp(min(reach, 0.0))  # e^reach, scaled
        if abs(reach) < 1e-3:  # both quotients cancel near 0: their Taylor series, rest < 1e-14
            zeroth = scale * (1 + reach / 2 + reach**2 / 6 + reach**3 / 24 + reach**4 / 120)
            first = scale * (1 / 2 + reach / 3 + reach**2 / 8 + reach**3 / 30 + reach**4 / 144)
        else:
            zeroth = (expm1(reach) if reach < 0 else -expm1(-reach)) / reach
            first = (grown - zeroth) / reach
        within = self.arrival_rate * self.patience * zeroth
        beyond = self.arrival_rate / self.service_rate * grown
        return scale, within, beyond, self.arrival_rate * self.patience**2 * first

    @property
    def abandoned_share(self) -> float:
        """Share of arrivals that leave unserved."""
        empty, within, beyond, _ = self._masses
        return beyond / (empty + within + beyond)

    @property
    def throughput(self) -> float:
        """Served per second."""
        return self.arrival_rate * (1 - self.abandoned_share)

    @property
    def utilisation(self) -> float:
        """Share of time that the server works."""
        return self.throughput / self.service_rate

    @property
    def Wq(self) -> float:
        """Mean wait in seconds of those served."""
        empty, within, _, moment = self._masses
        return moment / (empty + within)


def timeout_share(arrival_rate: float, service_rate: float, timeout: float) -> float:
    """Share of M/M/1's customers whose sojourn exceeds `timeout` seconds, when nobody leaves early: e^{−(μ−λ)T}; goodput is
    λ times the rest. Raises `ValueError` when λ ≥ μ. Kleinrock 1975, §3.2."""
    return exp(-timeout / MM1(arrival_rate, service_rate).W)


def timeout_share_behind(ahead: int, service_rate: float, timeout: float) -> float:
    """Probability that a request with `ahead` before it (the one in service included) exceeds `timeout` seconds in FIFO with
    exponential service: P(Poisson(μT) ≤ n). Raises `ValueError` for a negative count. Habibi et al., SRDS 2024 (MSF-Model's
    P_retry)."""
    from scipy.special import gammaincc

    require_count(0, ahead=ahead)
    require_positive(service_rate=service_rate)
    return float(gammaincc(ahead + 1, service_rate * timeout))
