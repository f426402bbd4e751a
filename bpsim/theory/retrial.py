"""No queue: who finds the servers busy tries again later, from the orbit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bpsim.theory.chain import stationary
from bpsim.theory.domain import require_count, require_positive, require_stable


@dataclass(frozen=True)
class RetrialQueue:
    """One exponential server without a queue; each in the orbit tries again at `retry_rate` per second by itself. Raises
    `ValueError` when λ ≥ μ. Falin & Templeton 1997, ch. 1."""

    arrival_rate: float
    service_rate: float
    retry_rate: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate, retry_rate=self.retry_rate)
        require_stable(self.utilisation)

    @property
    def utilisation(self) -> float:
        """Share of time that the server works, λ/μ."""
        return self.arrival_rate / self.service_rate

    @property
    def orbit(self) -> float:
        """Mean number in the orbit, ρ(ρ + λ/θ)/(1 − ρ)."""
        return self.utilisation * (self.utilisation + self.arrival_rate / self.retry_rate) / (1 - self.utilisation)

    @property
    def time_in_orbit(self) -> float:
        """Mean seconds in the orbit, over all arrivals."""
        return self.orbit / self.arrival_rate

    @property
    def retries(self) -> float:
        """Tries per second from the orbit."""
        return self.retry_rate * self.orbit

    @property
    def attempts_per_success(self) -> float:
        """Tries, first ones included, for each one served."""
        return 1 + self.retries / self.arrival_rate


@dataclass(frozen=True)
class ConstantRetrialQueue:
    """The same where the whole orbit tries at `retry_rate` per second, however many are in it (one retry worker). Any rates:
    `stable` says whether the orbit stays bounded; the means raise `ValueError` when it does not. Fayolle 1986."""

    arrival_rate: float
    service_rate: float
    retry_rate: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate, retry_rate=self.retry_rate)

    @property
    def ratio(self) -> float:
        """r = λ(λ + θ)/(θμ), of the geometric law of the orbit; stable below 1."""
        return self.arrival_rate * (self.arrival_rate + self.retry_rate) / (self.retry_rate * self.service_rate)

    @property
    def stable(self) -> bool:
        """λ(λ + θ) < θμ; ρ < 1 is not enough."""
        return self.ratio < 1

    @property
    def utilisation(self) -> float:
        """Share of time that the server works, λ/μ."""
        self._require_stable()
        return self.arrival_rate / self.service_rate

    @property
    def orbit(self) -> float:
        """Mean number in the orbit."""
        idle_too = 1 + self.service_rate / (self.arrival_rate + self.retry_rate)
        return self.utilisation * self.ratio / (1 - self.ratio) * idle_too

    @property
    def time_in_orbit(self) -> float:
        """Mean seconds in the orbit, over all arrivals."""
        return self.orbit / self.arrival_rate

    def _require_stable(self) -> None:
        if not self.stable:
            raise ValueError(f"λ(λ + θ)/(θμ) is {self.ratio:.4g}; the orbit is bounded only below 1")


@dataclass(frozen=True)
class MultiserverRetrialQueue:
    """M/M/c/c with an orbit whose members try again at `retry_rate` per second each; numeric, the orbit cut at `most_orbit`.
    Raises `ValueError` when λ ≥ cμ, and when the cut leaves more than 10⁻⁹ at the edge. Falin & Templeton 1997, ch. 2."""

    arrival_rate: float
    service_rate: float
    servers: int
    retry_rate: float
    most_orbit: int = 800

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate, retry_rate=self.retry_rate)
        require_count(1, servers=self.servers, most_orbit=self.most_orbit)
        require_stable(self.arrival_rate / self.service_rate / self.servers)

    def _moves(self, state: tuple[int, int]) -> Iterator[tuple[tuple[int, int], float]]:
        busy, orbit = state
        if busy < self.servers:
            yield (busy + 1, orbit), self.arrival_rate
            if orbit:
                yield (busy + 1, orbit - 1), orbit * self.retry_rate
        elif orbit < self.most_orbit:
            yield (busy, orbit + 1), self.arrival_rate
        if busy:
            yield (busy - 1, orbit), busy * self.service_rate

    @cached_property
    def _law(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        states, law = stationary((0, 0), self._moves)
        edge = float(law[states[:, 1] == self.most_orbit].sum())
        if edge > 1e-9:
            raise ValueError(f"the orbit is at its cut of {self.most_orbit} for {edge:.2g} of the time; raise most_orbit")
        return states, law

    @property
    def orbit(self) -> float:
        """Mean number in the orbit."""
        states, law = self._law
        return float(law @ states[:, 1])

    @property
    def busy_servers(self) -> float:
        """Mean number of busy servers."""
        states, law = self._law
        return float(law @ states[:, 0])

    @property
    def all_busy_share(self) -> float:
        """Share of time, and of first tries, that find no free server."""
        states, law = self._law
        return float(law[states[:, 0] == self.servers].sum())

    @property
    def attempts_per_success(self) -> float:
        """Tries, first ones included, for each one served."""
        return 1 + self.retry_rate * self.orbit / self.arrival_rate
