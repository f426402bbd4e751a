"""What retries multiply, and what bounds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from math import sqrt

from bpsim.theory.domain import require_count, require_positive, require_share
from bpsim.theory.single_station import MMcK


def attempts_per_request(failure: float, retries: int) -> float:
    """Mean tries of a request whose every try fails by itself with probability `failure`: 1 + x + … + x^N. Raises `ValueError`
    for a share outside 0 … 1. Brooker 2022, *Fixing retries with token buckets and circuit breakers*."""
    require_share(failure=failure)
    require_count(0, retries=retries)
    return float(sum(failure**tried for tried in range(retries + 1)))


def request_failure(failure: float, retries: int) -> float:
    """Share of such requests of which all N + 1 tries fail, x^{N+1}. Raises `ValueError` for a share outside 0 … 1. Brooker
    2022: the post prints x^N, its simulator makes N + 1 tries."""
    require_share(failure=failure)
    require_count(0, retries=retries)
    return float(failure ** (retries + 1))


def layered_amplification(attempts: int, layers: int) -> int:
    """Most tries at the bottom for one request at the top when each of `layers` makes `attempts`, A^d. Raises `ValueError`
    for less than one. SRE book, ch. 22: 4³ = 64; AWS Builders' Library: 3⁵ = 243."""
    require_count(1, attempts=attempts, layers=layers)
    return int(attempts**layers)


def budget_amplification(ratio: float) -> float:
    """Most tries per request under a budget of `ratio` retries per request, 1 + r. Raises `ValueError` for a negative one.
    SRE book, ch. 21: 10 % give 1.1."""
    if not ratio >= 0:
        raise ValueError(f"ratio is {ratio!r}; a budget cannot be negative")
    return 1 + ratio


def bucket_attempts(failure: float, fill: float) -> float:
    """Tries per request with a token bucket that gains `fill` per request and pays 1 per retry, no limit per request:
    1 + min(x/(1 − x), fill). Fluid: the bucket's first content, spent once per client, comes on top. Raises `ValueError` for a
    share outside 0 … 1. Brooker 2022, retry_strategy.py."""
    require_share(failure=failure)
    return 1 + (min(failure / (1 - failure), fill) if failure < 1 else fill)


def throttle_rejection(requests: float, accepts: float, multiplier: float = 2.0) -> float:
    """Probability that a client with adaptive throttling rejects a request by itself, max(0, (R − K·A)/(R + 1)), over its
    window. Raises `ValueError` for a multiplier that is not positive. SRE book, ch. 21."""
    require_positive(multiplier=multiplier)
    return max(0.0, (requests - multiplier * accepts) / (requests + 1))


@dataclass(frozen=True)
class ThrottledOverload:
    """Clients with adaptive throttling of `multiplier` K, far beyond capacity, many requests a window: they send K times what
    is accepted. Raises `ValueError` for K < 1. SRE book, ch. 21."""

    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if not self.multiplier >= 1:
            raise ValueError(f"multiplier is {self.multiplier!r}; below 1 the throttle starves itself")

    @property
    def load_over_capacity(self) -> float:
        """What reaches the backend over what it accepts, K."""
        return self.multiplier

    @property
    def rejects_per_accept(self) -> float:
        """What the backend rejects for each one it accepts, K − 1."""
        return self.multiplier - 1


def stable_capacity(capacity: float, max_attempts: float) -> float:
    """The load per second below which a storm of `max_attempts` tries a request dies down by itself: capacity over attempts.
    Raises `ValueError` for less than one try. Huang et al., OSDI 2022, theorem 2; Bronson et al., HotOS 2021: 300/s and one
    retry give 150/s."""
    if not max_attempts >= 1:
        raise ValueError(f"max_attempts is {max_attempts!r}; a request is tried at least once")
    return capacity / max_attempts


@dataclass(frozen=True)
class FailFastApproximation:
    """An *approximation*: M/M/1/K (`places`) that answers 429 when full, each request tried up to 1 + `retries` times, retries
    taken for Poisson arrivals of their own; exact only as the backoff grows without bound. The lowest fixed point. Raises
    `ValueError` for rates that are not positive. Cohen 1957."""

    arrival_rate: float
    service_rate: float
    places: int
    retries: int

    @cached_property
    def attempt_rate(self) -> float:
        """Tries per second, first ones included."""
        require_positive(arrival_rate=self.arrival_rate)
        rate = self.arrival_rate
        for _ in range(100_000):  # rises to the fixed point from below
            rejected = MMcK(rate, self.service_rate, 1, self.places).rejected_share
            after = self.arrival_rate * attempts_per_request(rejected, self.retries)
            if abs(after - rate) <= 1e-15 * rate:
                break
            rate = after
        return rate

    @property
    def rejected_share(self) -> float:
        """Share of tries rejected."""
        return MMcK(self.attempt_rate, self.service_rate, 1, self.places).rejected_share

    @property
    def request_failure(self) -> float:
        """Share of requests that fail for good."""
        return request_failure(self.rejected_share, self.retries)

    @property
    def goodput(self) -> float:
        """Requests served per second."""
        return self.arrival_rate * (1 - self.request_failure)

    @property
    def amplification(self) -> float:
        """Tries per request."""
        return self.attempt_rate / self.arrival_rate


def codel_gaps(interval: float = 0.1) -> Iterator[float]:
    """Seconds between CoDel's successive drops while the delay stays above its target: interval/√n for n = 1, 2, …; endless.
    Raises `ValueError` for an interval that is not positive. RFC 8289, §3.3."""
    require_positive(interval=interval)
    return (interval / sqrt(drops) for drops in count(1))
