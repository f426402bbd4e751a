"""Records in batches: bulk service, lingering, and arrivals that come many at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bpsim.theory.domain import require_count, require_positive, require_stable, rising_root


def bulk_root(arrival_rate: float, batch_rate: float, most: int) -> float:
    """Root r in (0, 1) of μr^{b+1} − (λ + μ)r + λ = 0 for Poisson records (per second) served up to `most` at a time by an
    exponential server of `batch_rate` batches per second. Raises `ValueError` when λ ≥ bμ. Bailey 1954."""
    require_positive(arrival_rate=arrival_rate, batch_rate=batch_rate)
    require_count(1, most=most)
    require_stable(arrival_rate / (batch_rate * most))
    powers = np.arange(1, most + 1)
    return rising_root(lambda r: batch_rate * float((r**powers).sum()) - arrival_rate, 0.0, 1.0)  # (1 − r) divided out


@dataclass(frozen=True)
class BulkService:
    """M/M(1,b)/1: an idle server takes what waits, up to `most`, and nobody joins a batch in progress: a database writer, a
    Kafka sender with one request in flight. Rates per second, `batch_rate` in batches. Raises `ValueError` when λ ≥ bμ.
    Bailey 1954; Neuts: busy and n waiting has probability A·rⁿ."""

    arrival_rate: float
    batch_rate: float
    most: int

    def __post_init__(self) -> None:
        assert 0 < self.root < 1

    @cached_property
    def root(self) -> float:
        """r, ratio of the geometric law of those waiting."""
        return bulk_root(self.arrival_rate, self.batch_rate, self.most)

    @property
    def _scale(self) -> float:
        return 1 / (self.batch_rate / self.arrival_rate + 1 / (1 - self.root))

    @property
    def idle_share(self) -> float:
        """Share of time that the server is idle."""
        return self._scale * self.batch_rate / self.arrival_rate

    @property
    def Lq(self) -> float:
        """Mean number of records waiting."""
        return self._scale * self.root / (1 - self.root) ** 2

    @property
    def Wq(self) -> float:
        """Mean wait of a record in seconds."""
        return self.Lq / self.arrival_rate

    @property
    def W(self) -> float:
        """Mean sojourn of a record in seconds."""
        return self.Wq + 1 / self.batch_rate

    @property
    def mean_batch(self) -> float:
        """Mean records in a batch."""
        return self.arrival_rate / (self.batch_rate * (1 - self.idle_share))


@dataclass(frozen=True)
class JoinableBulkService:
    """M/M^[K]/1 with partial batches: arrivals may join a batch in service that is not full. Raises `ValueError` when
    λ ≥ Kμ. Gross & Harris, §3.2.2: p_n = (1 − r)rⁿ."""

    arrival_rate: float
    batch_rate: float
    most: int

    def __post_init__(self) -> None:
        assert 0 < self.root < 1

    @cached_property
    def root(self) -> float:
        """r, ratio of the geometric law of the number in the system."""
        return bulk_root(self.arrival_rate, self.batch_rate, self.most)

    @property
    def L(self) -> float:
        """Mean number of records in the system."""
        return self.root / (1 - self.root)

    @property
    def W(self) -> float:
        """Mean sojourn of a record in seconds."""
        return self.L / self.arrival_rate


@dataclass(frozen=True)
class SizeBatch:
    """A batch that closes when it holds `records`, by size only, arrivals at `arrival_rate` per second. Raises `ValueError`
    for a rate that is not positive. Arithmetic: the first waits for K − 1 others, the last for none."""

    arrival_rate: float
    records: int

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate)
        require_count(1, records=self.records)

    @property
    def first_wait(self) -> float:
        """Mean seconds that the first record waits, (K − 1)/λ."""
        return (self.records - 1) / self.arrival_rate

    @property
    def mean_wait(self) -> float:
        """Mean seconds that a record waits, half of that."""
        return self.first_wait / 2


@dataclass(frozen=True)
class LingerBatch:
    """Kafka's linger: Poisson records (per second), a batch opens at a record and closes after `linger` seconds or at
    `most` records (None: no limit), with a sender that is always free. Raises `ValueError` for a rate that is not positive.
    Renewal and reward; without a limit 1 + λL records that wait (L + λL²/2)/(1 + λL)."""

    arrival_rate: float
    linger: float
    most: int | None = None

    def __post_init__(self) -> None:
        require_positive(arrival_rate=self.arrival_rate)
        require_count(1, most=1 if self.most is None else self.most)
        if not self.linger >= 0:
            raise ValueError(f"linger is {self.linger!r} s; it cannot be negative")

    @cached_property
    def _totals(self) -> tuple[float, float]:
        """(mean records in a batch, mean seconds waited by all of them together)."""
        from scipy.special import gammainc

        joined = self.arrival_rate * self.linger
        if self.most is None:
            return 1 + joined, self.linger * (1 + joined / 2)
        last = int(min(self.most - 1, joined + 40 * joined**0.5 + 200))  # beyond it a Poisson tail below 1e-100
        count = np.arange(1, last + 1)
        reached = gammainc(count, joined)  # P(at least `count` join within the linger)
        return 1 + float(reached.sum()), float(count @ reached) / self.arrival_rate

    @property
    def mean_records(self) -> float:
        """Mean records in a batch."""
        return self._totals[0]

    @property
    def mean_wait(self) -> float:
        """Mean seconds that a record waits in its batch."""
        return self._totals[1] / self.mean_records

    @property
    def batch_rate(self) -> float:
        """Batches per second."""
        return self.arrival_rate / self.mean_records


def linger_batch(rate: float, linger: float) -> tuple[float, float]:
    """(mean records, mean wait in seconds) of a `LingerBatch` without a size limit. Raises `ValueError` as it does."""
    batch = LingerBatch(rate, linger)
    return batch.mean_records, batch.mean_wait


@dataclass(frozen=True)
class BatchArrivals:
    """M^[X]/M/1: batches at `batch_rate` per second with E[X] = `mean_batch` and E[X²] = `second_moment` records, served one
    by one at `service_rate`. Raises `ValueError` when ρ ≥ 1. Gross & Harris, §3.1: L = ρ(1 + E[X²]/E[X])/(2(1 − ρ))."""

    batch_rate: float
    mean_batch: float
    second_moment: float
    service_rate: float

    def __post_init__(self) -> None:
        require_positive(batch_rate=self.batch_rate, mean_batch=self.mean_batch, service_rate=self.service_rate)
        require_stable(self.utilisation)
        if self.second_moment < self.mean_batch**2 * (1 - 1e-12):
            raise ValueError(f"E[X²] is {self.second_moment:.6g}, below E[X]² = {self.mean_batch**2:.6g}")

    @classmethod
    def constant(cls, batch_rate: float, size: int, service_rate: float) -> BatchArrivals:
        """Every batch holds `size` records."""
        return cls(batch_rate, size, size**2, service_rate)

    @classmethod
    def geometric(cls, batch_rate: float, mean: float, service_rate: float) -> BatchArrivals:
        """Geometric on 1, 2, … with the given mean; then L = ρ·mean/(1 − ρ)."""
        return cls(batch_rate, mean, 2 * mean**2 - mean, service_rate)

    @property
    def utilisation(self) -> float:
        """ρ, records per second over the service rate."""
        return self.batch_rate * self.mean_batch / self.service_rate

    @property
    def L(self) -> float:
        """Mean number of records in the system."""
        return self.utilisation * (1 + self.second_moment / self.mean_batch) / (2 * (1 - self.utilisation))

    @property
    def W(self) -> float:
        """Mean sojourn of a record in seconds."""
        return self.L / (self.batch_rate * self.mean_batch)

    @property
    def Wq(self) -> float:
        """Mean wait of a record in seconds."""
        return self.W - 1 / self.service_rate
