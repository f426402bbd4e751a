"""Lines of exponential stations with finite buffers: what backpressure costs. Buffers exclude the place in service.

Blocking after service: a finished part that finds no room stays on its server (`yield store.put()` after the work; Flink).
Blocking before service: a server begins only when there is room downstream (a credit first; a consumer that pauses polling).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bpsim.theory.chain import stationary
from bpsim.theory.domain import require_count, require_positive

Line = tuple[int, ...]


def blocked_after_service(places: int, ratio: float = 1.0) -> float:
    """Throughput over μ₁ of two exponential stations in line, the first never idle, `places` between them, `ratio` =
    μ₂/μ₁, blocking after service; (b + 2)/(b + 3) for equal rates. Raises `ValueError` for a ratio ≤ 0. Hunt 1956."""
    return _unblocked_share(places + 2, places, ratio)


def blocked_before_service(places: int, ratio: float = 1.0) -> float:
    """The same with blocking before service; (b + 1)/(b + 2) for equal rates. Raises `ValueError` for a ratio ≤ 0.
    M/M/1/(b + 1) with λ = μ₁."""
    return _unblocked_share(places + 1, places, ratio)


def _unblocked_share(most: int, places: int, ratio: float) -> float:
    require_count(0, places=places)
    require_positive(ratio=ratio)
    # The full state weighs ratio^-most; from the end that is smaller, so that no ratio overflows.
    weights = ratio ** -np.arange(most + 1.0) if ratio >= 1 else ratio ** np.arange(most, -1.0, -1.0)
    return float(weights[:-1].sum() / weights.sum())


@dataclass(frozen=True)
class SaturatedLine:
    """Exponential stations of `service_rates` (per second), `buffers[i]` places before station i + 2, blocking after
    service; the first is never idle, the last never blocked. Exact, by its Markov chain. Raises `ValueError` for a chain of
    more than 200 000 states. Hunt 1956; Hillier & Boling 1967, Oper. Res. 15(2), 286–303."""

    service_rates: tuple[float, ...]
    buffers: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.service_rates) < 2 or len(self.buffers) != len(self.service_rates) - 1:
            raise ValueError(f"{len(self.service_rates)} stations have one buffer fewer, not {len(self.buffers)}; at least two")
        for rate, places in zip(self.service_rates, (0, *self.buffers), strict=True):
            require_positive(service_rate=rate)
            require_count(0, buffer=places)

    @classmethod
    def equal(cls, stations: int, buffer: int, service_rate: float = 1.0) -> SaturatedLine:
        """`stations` of one rate with `buffer` places between neighbours."""
        return cls((service_rate,) * stations, (buffer,) * (stations - 1))

    def blocked_in(self, line: Line) -> list[bool]:
        """Which stations are blocked, where `line[i]` is the number finished by station i + 1 and not by station i + 2."""
        blocked = [False] * len(self.service_rates)
        for i in range(len(line) - 1, -1, -1):  # from the end: a blocked server holds a place of the one before it
            blocked[i] = line[i] == self.buffers[i] + (1 if blocked[i + 1] else 2)
        return blocked

    def _moves(self, line: Line) -> Iterator[tuple[Line, float]]:
        blocked = self.blocked_in(line)
        for station, rate in enumerate(self.service_rates):
            if blocked[station] or (station and not line[station - 1]):
                continue
            after = list(line)
            if station:
                after[station - 1] -= 1
            if station < len(line):
                after[station] += 1
            yield tuple(after), rate

    @cached_property
    def _law(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return stationary((0,) * len(self.buffers), self._moves)

    @cached_property
    def blocked_shares(self) -> tuple[float, ...]:
        """Share of time that each station but the last is blocked."""
        lines, law = self._law
        flags = np.array([self.blocked_in(tuple(line)) for line in lines.tolist()], dtype=float)
        return tuple((law @ flags)[:-1].tolist())

    @property
    def throughput(self) -> float:
        """Parts per second: the first station works whenever it is not blocked."""
        return self.service_rates[0] * (1 - self.blocked_shares[0])

    @property
    def in_process(self) -> float:
        """Mean number of parts beyond the first station."""
        lines, law = self._law
        return float(law @ lines.sum(axis=1)) - self.blocked_shares[0]


def saturated_line_throughput(service_rates: Sequence[float], buffers: Sequence[int]) -> float:
    """Parts per second of a `SaturatedLine`, blocking after service. Raises `ValueError` as it does. Hillier & Boling 1967."""
    return SaturatedLine(tuple(service_rates), tuple(buffers)).throughput


@dataclass(frozen=True)
class OpenTandem:
    """Poisson arrivals (per second) to two exponential stations: at most `places` at the first, its server included, beyond
    which arrivals are lost (429); `buffer` places before the second, blocking after service. The smallest model of
    backpressure that ends in rejection. Exact, by its Markov chain; any load. Raises `ValueError` beyond 200 000 states."""

    arrival_rate: float
    first_rate: float
    second_rate: float
    places: int
    buffer: int

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate, first_rate=self.first_rate, second_rate=self.second_rate)
        require_count(1, places=self.places)
        require_count(0, buffer=self.buffer)

    def _moves(self, state: tuple[int, int, int]) -> Iterator[tuple[tuple[int, int, int], float]]:
        first, second, blocked = state
        room = second <= self.buffer
        if first < self.places:
            yield (first + 1, second, blocked), self.arrival_rate
        if first and not blocked:
            yield (first - 1, second + 1, 0) if room else (first, second, 1), self.first_rate
        if second:
            yield (first - 1, second, 0) if blocked else (first, second - 1, 0), self.second_rate

    @cached_property
    def _law(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return stationary((0, 0, 0), self._moves)

    @property
    def rejected_share(self) -> float:
        """Share of arrivals that find the first station full."""
        states, law = self._law
        return float(law[states[:, 0] == self.places].sum())

    @property
    def throughput(self) -> float:
        """Served per second."""
        states, law = self._law
        return self.second_rate * float(law[states[:, 1] > 0].sum())

    @property
    def blocked_share(self) -> float:
        """Share of time that the first server is blocked."""
        states, law = self._law
        return float(law @ states[:, 2])

    @property
    def L(self) -> tuple[float, float]:
        """Mean numbers at the first and at the second station; a blocked part is at the first."""
        states, law = self._law
        return float(law @ states[:, 0]), float(law @ states[:, 1])

    @property
    def W(self) -> float:
        """Mean sojourn in seconds of those let in (Little)."""
        return sum(self.L) / self.throughput
