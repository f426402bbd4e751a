"""Closed forms: what queueing theory says before anything is simulated. Rates are per second, times in seconds.

Symbols as in Kleinrock (1975): L and Lq are mean numbers in the system and waiting, W and Wq mean times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, sqrt

__all__ = [
    "MM1",
    "MMc",
    "MMcK",
    "arrivals_needed",
    "blocked_after_service",
    "blocked_before_service",
    "drain_time",
    "erlang_b",
    "erlang_c",
    "gi_m_1",
    "linger_batch",
    "machine_repairman",
    "mg1_wait",
    "retry_storm_bound",
    "stable_capacity",
    "time_to_full",
    "time_to_overflow",
    "timeout_share",
    "zero_goodput_time",
]


def _stable(utilisation: float) -> None:
    if not 0 <= utilisation < 1:
        raise ValueError(f"utilisation is {utilisation:.4g}; a queue without a bound is stable only below 1")


@dataclass(frozen=True)
class MM1:
    """M/M/1, FIFO. Raises `ValueError` when it is not stable. Kleinrock 1975, §3.2."""

    arrival_rate: float
    service_rate: float

    def __post_init__(self) -> None:
        _stable(self.utilisation)

    @property
    def utilisation(self) -> float:
        """ρ = λ/μ."""
        return self.arrival_rate / self.service_rate

    @property
    def W(self) -> float:
        """Mean time in the system, 1/(μ − λ)."""
        return 1 / (self.service_rate - self.arrival_rate)

    @property
    def Wq(self) -> float:
        """Mean wait, ρ/(μ − λ)."""
        return self.utilisation * self.W

    @property
    def L(self) -> float:
        """Mean number in the system."""
        return self.arrival_rate * self.W

    def sojourn_quantile(self, level: float) -> float:
        """The time in the system that a share `level` does not exceed: it is exponential."""
        return -self.W * log(1 - level)


def erlang_b(offered: float, servers: int) -> float:
    """Share of arrivals lost by M/G/c/c with `offered` = λ·E[S] erlangs (Erlang 1917; any service law)."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked


def erlang_c(offered: float, servers: int) -> float:
    """Share of arrivals that wait in M/M/c. Raises `ValueError` when `offered` ≥ `servers`."""
    _stable(offered / servers)
    blocked = erlang_b(offered, servers)
    return blocked / (1 - offered / servers * (1 - blocked))


@dataclass(frozen=True)
class MMc:
    """M/M/c, FIFO. Raises `ValueError` when it is not stable. Kleinrock 1975, §3.5."""

    arrival_rate: float
    service_rate: float
    servers: int

    def __post_init__(self) -> None:
        _stable(self.utilisation)

    @property
    def utilisation(self) -> float:
        """ρ = λ/(cμ)."""
        return self.arrival_rate / self.service_rate / self.servers

    @property
    def waiting_share(self) -> float:
        """Erlang's C: the share that waits."""
        return erlang_c(self.arrival_rate / self.service_rate, self.servers)

    @property
    def Wq(self) -> float:
        """Mean wait, C/(cμ − λ)."""
        return self.waiting_share / (self.servers * self.service_rate - self.arrival_rate)

    @property
    def W(self) -> float:
        """Mean time in the system."""
        return self.Wq + 1 / self.service_rate

    def wait_quantile(self, level: float) -> float:
        """The wait that a share `level` does not exceed: P(Wq > t) = C·e^{−(cμ−λ)t}."""
        share = self.waiting_share
        rate = self.servers * self.service_rate - self.arrival_rate
        return 0.0 if level <= 1 - share else log(share / (1 - level)) / rate


@dataclass(frozen=True)
class MMcK:
    """M/M/c with `places` in the whole system; who finds it full is lost (429). Any load. Kleinrock 1975, §3.6."""

    arrival_rate: float
    service_rate: float
    servers: int
    places: int

    @property
    def probabilities(self) -> list[float]:
        """Of 0 … `places` in the system (birth and death)."""
        weights = [1.0]
        for n in range(1, self.places + 1):
            weights.append(weights[-1] * self.arrival_rate / (min(n, self.servers) * self.service_rate))
            if weights[-1] > 1e200:
                weights = [weight / 1e200 for weight in weights]
        total = sum(weights)
        return [weight / total for weight in weights]

    @property
    def rejected_share(self) -> float:
        """Share of arrivals turned away."""
        return self.probabilities[-1]

    @property
    def throughput(self) -> float:
        """Served per second."""
        return self.arrival_rate * (1 - self.rejected_share)

    @property
    def W(self) -> float:
        """Mean time in the system of those let in (Little)."""
        return sum(n * p for n, p in enumerate(self.probabilities)) / self.throughput


def mg1_wait(arrival_rate: float, mean_service: float, scv: float) -> float:
    """Mean wait of M/G/1: ρ·E[S]·(1 + c²)/(2(1 − ρ)) (Pollaczek 1930, Khinchine 1932)."""
    utilisation = arrival_rate * mean_service
    _stable(utilisation)
    return utilisation * mean_service * (1 + scv) / (2 * (1 - utilisation))


def gi_m_1(transform: Callable[[float], float], service_rate: float) -> float:
    """σ of GI/M/1: the share that waits, root of σ = A*(μ(1 − σ)) with `transform` A* the gaps' Laplace transform. The
    wait is σ/(μ(1 − σ)) on average. Raises `ValueError` without a root below 1 (Kleinrock 1975, §6.4)."""
    sigma = 0.5
    for _ in range(100_000):
        new = transform(service_rate * (1 - sigma))
        if abs(new - sigma) < 1e-15:
            break
        sigma = new
    _stable(sigma)
    if sigma > 1 - 1e-9:
        raise ValueError("arrivals are as fast as service: no stable wait")
    return sigma


def blocked_after_service(places: int, ratio: float = 1.0) -> float:
    """Throughput over μ₁ of two exponential stations in line, the first never idle, `places` between them, `ratio` =
    μ₂/μ₁; a server whose part finds no room keeps it (Hunt 1956). Equal rates: (b + 2)/(b + 3)."""
    weights = [ratio**-n for n in range(places + 3)]
    return 1 - weights[-1] / sum(weights)


def blocked_before_service(places: int, ratio: float = 1.0) -> float:
    """The same where the first server begins only when there is room: (b + 1)/(b + 2) for equal rates."""
    weights = [ratio**-n for n in range(places + 2)]
    return 1 - weights[-1] / sum(weights)


def machine_repairman(users: int, think: float, service: float) -> tuple[float, float]:
    """(throughput, mean response time) of `users` with exponential think time before one exponential server."""
    weights = [1.0]
    for n in range(1, users + 1):
        weights.append(weights[-1] * (users - n + 1) * service / think)
    throughput = (1 - 1 / sum(weights)) / service
    return throughput, users / throughput - think


def timeout_share(arrival_rate: float, service_rate: float, timeout: float) -> float:
    """Share of M/M/1's customers whose time in the system exceeds `timeout`, when nobody leaves early: e^{−(μ−λ)T}."""
    return exp(-timeout / MM1(arrival_rate, service_rate).W)


def linger_batch(rate: float, linger: float) -> tuple[float, float]:
    """(mean records, mean wait) of batches that open at a record and close after `linger`, without a size limit and with
    a sender that is always free: 1 + λL and (L + λL²/2)/(1 + λL), by renewal and reward."""
    records = 1 + rate * linger
    return records, (linger + rate * linger**2 / 2) / records


def time_to_full(arrival_rate: float, service_rate: float, capacity: float) -> float:
    """Seconds until a buffer of `capacity` is full under overload, capacity/(λ − μ); infinite without overload. It then
    holds `capacity`, and its last entry waits capacity/μ: all three grow with the buffer."""
    return capacity / (arrival_rate - service_rate) if arrival_rate > service_rate else inf


def time_to_overflow(arrival_rate: float, service_rate: float, places: int) -> float:
    """Mean time for M/M/1 to go from empty to `places` in the system (first passage of the birth-death chain)."""
    gap = arrival_rate - service_rate
    if gap == 0:
        return places * (places + 1) / (2 * arrival_rate)
    return places / gap - service_rate / gap**2 * (1 - (service_rate / arrival_rate) ** places)


def drain_time(backlog: float, arrival_rate: float, service_rate: float) -> tuple[float, float]:
    """(mean, standard deviation) of the time to work off `backlog` customers in M/M/1: n/(μ − λ) and √(n(λ + μ)/(μ − λ)³).
    Raises `ValueError` when it never ends."""
    _stable(arrival_rate / service_rate)
    gap = service_rate - arrival_rate
    return backlog / gap, sqrt(backlog * (arrival_rate + service_rate) / gap**3)


def zero_goodput_time(backlog: float, arrival_rate: float, service_rate: float, timeout: float) -> float:
    """Seconds after a trigger during which a FIFO queue that cancels nothing serves only customers who have left:
    (backlog − μT)/(μ − λ), fluid."""
    _stable(arrival_rate / service_rate)
    return max(0.0, (backlog - service_rate * timeout) / (service_rate - arrival_rate))


def retry_storm_bound(service_rate: float, timeout: float) -> float:
    """μ·T: a FIFO queue bound below this cannot sustain a retry storm, since whoever is let in still succeeds."""
    return service_rate * timeout


def stable_capacity(capacity: float, max_attempts: int) -> float:
    """The load below which a storm of `max_attempts` tries a request dies down by itself: capacity / attempts
    (Huang et al., OSDI 2022, theorem 2; Bronson et al., HotOS 2021: 300/s and one retry give 150/s)."""
    return capacity / max_attempts


def arrivals_needed(utilisation: float, half_width: float = 0.05, z: float = 1.96) -> float:
    """Arrivals to simulate so that the mean queue of M/M/1 is known within ± `half_width` (relative) at `z` standard
    deviations, from its asymptotic variance 2ρ(1 + ρ)/(1 − ρ)⁴ (Whitt 1989)."""
    _stable(utilisation)
    mean = utilisation / (1 - utilisation)
    variance = 2 * utilisation * (1 + utilisation) / (1 - utilisation) ** 4
    return utilisation * variance * (z / (half_width * mean)) ** 2
