"""One station whose arrivals are not Poisson: GI/M/1, Erlang gaps and services, and the approximations beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from bpsim.theory.domain import require_count, require_positive, require_stable, rising_root
from bpsim.theory.single_station import MMc

Transform = Callable[[float], float]


def constant_gaps(arrival_rate: float) -> Transform:
    """Laplace transform of constant gaps of 1/`arrival_rate` seconds, e^{−s/λ}. Kleinrock 1975, app. I."""
    return lambda s: exp(-s / arrival_rate)


def erlang_gaps(arrival_rate: float, shape: int) -> Transform:
    """Laplace transform of Erlang-`shape` gaps of mean 1/`arrival_rate` seconds, (k/(k + s/λ))^k. Kleinrock 1975, app. I."""
    return lambda s: float((shape / (shape + s / arrival_rate)) ** shape)


def gi_m_1(transform: Transform, service_rate: float) -> float:
    """σ of GI/M/1: the share that waits, root of σ = A*(μ(1 − σ)), with `transform` A* the gaps' Laplace transform. Raises
    `ValueError` without a root below 1 − 10⁻⁶. Kleinrock 1975, §6.4."""
    for halvings in range(1, 21):
        high = 1 - 0.5**halvings
        if transform(service_rate * (1 - high)) < high:
            return rising_root(lambda sigma: sigma - transform(service_rate * (1 - sigma)), 0.0, high)
    raise ValueError(f"arrivals are as fast as the service rate {service_rate:.6g}/s: no stable wait")


@dataclass(frozen=True)
class GIM1:
    """GI/M/1, FIFO: gaps of any law with mean 1/`arrival_rate` and Laplace transform `transform`. Raises `ValueError` when
    λ ≥ μ. Kleinrock 1975, §6.4."""

    arrival_rate: float
    transform: Transform
    service_rate: float

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, service_rate=self.service_rate)
        require_stable(self.arrival_rate / self.service_rate)

    @cached_property
    def waiting_share(self) -> float:
        """σ, the share of arrivals that wait; not the utilisation."""
        return gi_m_1(self.transform, self.service_rate)

    @property
    def W(self) -> float:
        """Mean sojourn in seconds: W ~ Exp(μ(1 − σ))."""
        return 1 / (self.service_rate * (1 - self.waiting_share))

    @property
    def Wq(self) -> float:
        """Mean wait in seconds, σ·W."""
        return self.waiting_share * self.W

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return self.arrival_rate * self.W

    @property
    def Lq(self) -> float:
        """Mean number waiting."""
        return self.arrival_rate * self.Wq

    def sojourn_quantile(self, level: float) -> float:
        """Seconds that a share `level` of the sojourns does not exceed."""
        return -self.W * log(1 - level)

    def wait_quantile(self, level: float) -> float:
        """Seconds that a share `level` of the waits does not exceed: P(Wq > t) = σ·e^{−μ(1−σ)t}."""
        return max(0.0, self.W * log(self.waiting_share / (1 - level)))


@dataclass(frozen=True)
class ErlangErlang1:
    """E_k/E_m/1, FIFO, exact by the matrix-geometric method; `arrival_rate` per second, `mean_service` in seconds. Raises
    `ValueError` when ρ ≥ 1. Neuts 1981; logarithmic reduction: Latouche & Ramaswami 1993."""

    arrival_rate: float
    arrival_shape: int
    mean_service: float
    service_shape: int

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, mean_service=self.mean_service)
        require_count(1, arrival_shape=self.arrival_shape, service_shape=self.service_shape)
        require_stable(self.arrival_rate * self.mean_service)

    @cached_property
    def L(self) -> float:
        """Mean number in the system."""
        arrive, serve = _erlang_phases(self.arrival_shape), _erlang_phases(self.service_shape)
        fast, slow = self.arrival_rate * self.arrival_shape, self.service_shape / self.mean_service
        still_a, still_s = np.eye(self.arrival_shape), np.eye(self.service_shape)
        up = np.kron(fast * arrive[1], still_s)
        down = np.kron(still_a, slow * serve[1])
        same = np.kron(fast * arrive[0], still_s) + np.kron(still_a, slow * serve[0])
        first = still_s[:1]
        empty = fast * arrive[0]
        fill = np.kron(fast * arrive[1], first)
        clear = np.kron(still_a, slow * serve[1].sum(axis=1, keepdims=True))
        return _level_mean(up, same, down, (empty, fill, clear))  # type: ignore[arg-type]

    @property
    def W(self) -> float:
        """Mean sojourn in seconds."""
        return self.L / self.arrival_rate

    @property
    def Wq(self) -> float:
        """Mean wait in seconds."""
        return self.W - self.mean_service


def _erlang_phases(shape: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(moves within, moves that end one and begin the next) of an Erlang law with unit phase rate."""
    within = np.eye(shape, k=1) - np.eye(shape)
    ends = np.zeros((shape, shape))
    ends[-1, 0] = 1.0
    return within, ends


def _level_mean(
    up: NDArray[np.float64], same: NDArray[np.float64], down: NDArray[np.float64], edge: tuple[NDArray[np.float64], ...]
) -> float:
    """Mean level of a quasi-birth-death process whose level 0 is (inside, up, down into) = `edge`."""
    one = np.eye(len(same))
    high, low = np.linalg.solve(-same, up), np.linalg.solve(-same, down)
    first_passage, carried = low.copy(), high.copy()
    while carried.max() > 1e-16:  # quadratic: some ten rounds
        mixed = one - high @ low - low @ high
        high, low = np.linalg.solve(mixed, high @ high), np.linalg.solve(mixed, low @ low)
        first_passage += carried @ low
        carried = carried @ high
    rate = up @ np.linalg.inv(-(same + up @ first_passage))
    inside, fill, clear = edge
    balance = np.block([[inside, fill], [clear, same + rate @ down]])
    geometric = np.linalg.inv(one - rate)
    weight = np.concatenate((np.ones(len(inside)), geometric.sum(axis=1)))
    balance[:, 0] = weight
    law = np.linalg.solve(balance.T, np.eye(len(weight))[0])
    return float(law[len(inside) :] @ (geometric @ geometric).sum(axis=1))


def kingman_wait_approximation(utilisation: float, mean_service: float, ca2: float, cs2: float) -> float:
    """Approximate mean wait of GI/G/1 in seconds, ρ/(1 − ρ)·(ca² + cs²)/2·E[S]; right as ρ → 1. Raises `ValueError` when
    ρ ≥ 1. Kingman 1961."""
    require_stable(utilisation)
    return utilisation / (1 - utilisation) * (ca2 + cs2) / 2 * mean_service


def klb_wait_approximation(utilisation: float, mean_service: float, ca2: float, cs2: float) -> float:
    """Kingman's approximate wait in seconds with the correction for light load and smooth arrivals. Raises `ValueError`
    when ρ ≥ 1. Kraemer & Langenbach-Belz 1976."""
    wait = kingman_wait_approximation(utilisation, mean_service, ca2, cs2)
    if wait == 0:
        return 0.0
    if ca2 <= 1:
        return wait * exp(-2 * (1 - utilisation) / (3 * utilisation) * (1 - ca2) ** 2 / (ca2 + cs2))
    return wait * exp(-(1 - utilisation) * (ca2 - 1) / (ca2 + 4 * cs2))


def allen_cunneen_wait_approximation(arrival_rate: float, mean_service: float, servers: int, ca2: float, cs2: float) -> float:
    """Approximate mean wait of GI/G/c in seconds, that of M/M/c times (ca² + cs²)/2. Raises `ValueError` when λE[S] ≥ c.
    Allen 1978."""
    return MMc(arrival_rate, 1 / mean_service, servers).Wq * (ca2 + cs2) / 2
