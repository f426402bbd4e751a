"""What a client does after a failed attempt: a retry policy says whether to try again, and after how long.

A policy is pure: `wait(number, previous, u)` is the pause after the failure of attempt `number` (0 = the first), given
the request's `previous` pause and a uniform `u`. Defaults and presets are those of the libraries they are named after
(facts/overload.md, B1 and B3).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bpsim.policies.budget import AwsQuota, EnvoyBudget, FinagleBudget, GrpcThrottle, RetryBudget
from bpsim.result import Outcome
from bpsim.spec import Spec
from bpsim.units import PositiveSeconds

Failure = Literal[
    "rejected", "timed_out", "refused", "produce_failed", "reset", "unavailable", "error", "breaker_open", "throttled"
]
FROM_AFAR: tuple[Failure, ...] = ("rejected", "timed_out", "refused", "produce_failed", "reset", "unavailable", "error")
"""Every failure the client did not decide upon itself."""
HELD_BACK = ("breaker_open", "throttled")
FOREVER = 2**31 - 1
"""Attempts of a policy that never gives up."""
MOST_DOUBLINGS = 64


class NoRetry(Spec):
    """Every failure is final."""

    kind: Literal["none"] = "none"
    max_attempts: ClassVar[int] = 1
    jittered: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    honour_retry_after: ClassVar[bool] = False
    budget: ClassVar[RetryBudget | None] = None
    on: ClassVar[tuple[Failure, ...]] = ()

    def wait(self, number: int, previous: float, u: float) -> float:
        """Never called: there is no second attempt."""
        raise AssertionError(f"no retry, yet attempt {number} asks for a wait")


class _Retry(Spec):
    max_attempts: int = Field(default=3, ge=1, le=FOREVER, description="tries in all, the first one included")
    on: tuple[Failure, ...] = Field(default=FROM_AFAR, min_length=1, description="failures after which it tries again")
    honour_retry_after: bool = Field(default=False, description="wait at least as long as a Retry-After header says")
    budget: RetryBudget | None = Field(default=None, description="tokens that retries must be paid from, per client instance")
    jittered: ClassVar[bool] = False
    """Whether `wait` looks at its `u`."""
    remembers: ClassVar[bool] = False
    """Whether `wait` looks at the previous pause."""


class Immediate(_Retry):
    """Again at once."""

    kind: Literal["immediate"] = "immediate"

    @model_validator(mode="after")
    def _what_is_held_back_is_not_tried_at_once(self) -> Immediate:
        if set(self.on) & set(HELD_BACK):
            raise ValueError(f"an attempt that is held back would be tried again at the same instant; leave out {HELD_BACK}")
        return self

    def wait(self, number: int, previous: float, u: float) -> float:
        """Seconds to wait: 0."""
        return 0.0


class Fixed(_Retry):
    """Again after a fixed delay."""

    kind: Literal["fixed"] = "fixed"
    delay: PositiveSeconds

    def wait(self, number: int, previous: float, u: float) -> float:
        """Seconds to wait: always `delay`."""
        return self.delay


class ExponentialBackoff(_Retry):
    """Again after a pause that grows: v = min(cap, base · multiplierⁿ), spread by `jitter`: `full` U(0, v), `equal`
    v/2 + U(0, v/2), `none` v, `decorrelated` min(cap, U(base, 3 · previous)) (AWS, "Exponential Backoff And Jitter")."""

    kind: Literal["exponential"] = "exponential"
    base: PositiveSeconds = Field(description="v after the first failure")
    cap: PositiveSeconds = 20.0
    multiplier: float = Field(default=2.0, ge=1, le=100)
    jitter: Literal["full", "equal", "none", "decorrelated"] = "full"

    @property
    def jittered(self) -> bool:  # type: ignore[override]
        """Whether chance plays a part."""
        return self.jitter != "none"

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Whether the pause depends on the one before."""
        return self.jitter == "decorrelated"

    def wait(self, number: int, previous: float, u: float) -> float:
        """Seconds to wait."""
        if self.jitter == "decorrelated":
            before = previous or self.base
            return min(self.cap, self.base + u * (3 * before - self.base))
        longest = min(self.cap, self.base * self.multiplier ** min(number, MOST_DOUBLINGS))
        if self.jitter == "full":
            return u * longest
        return longest / 2 * (1 + u) if self.jitter == "equal" else longest


class Urllib3(Immediate):
    """urllib3's `Retry()`: 10 retries with backoff 0 after connection errors; a 429 or 503 only with a Retry-After."""

    kind: Literal["urllib3"] = "urllib3"  # type: ignore[assignment]
    max_attempts: int = Field(default=11, ge=1, le=FOREVER, description="tries in all: total + 1")
    on: tuple[Failure, ...] = ("timed_out", "refused", "reset")
    honour_retry_after: bool = True


class Tenacity(Immediate):
    """tenacity's bare `@retry`: for ever, without a pause."""

    kind: Literal["tenacity"] = "tenacity"  # type: ignore[assignment]
    max_attempts: int = Field(default=FOREVER, ge=1, le=FOREVER, description="tries in all; for ever unless said otherwise")


class AwsStandard(ExponentialBackoff):
    """AWS SDKs, standard mode: 3 tries, U(0, 1) · min(2ⁿ, 20) s, paid from a quota of 500 (botocore retries/standard.py)."""

    kind: Literal["aws_standard"] = "aws_standard"  # type: ignore[assignment]
    base: PositiveSeconds = 1.0
    budget: RetryBudget | None = AwsQuota()


class Resilience4j(Fixed):
    """resilience4j's Retry: 3 tries, 500 ms apart; what its circuit breaker refuses is tried again, too."""

    kind: Literal["resilience4j"] = "resilience4j"  # type: ignore[assignment]
    delay: PositiveSeconds = 0.5
    on: tuple[Failure, ...] = (*FROM_AFAR, "breaker_open")


class Grpc(ExponentialBackoff):
    """gRPC's retry policy with the example values of proposal A6: at most 5 tries, U(0, min(0.1 · 2ⁿ, 1)) s, and its
    throttle, after 503 and broken connections."""

    kind: Literal["grpc"] = "grpc"  # type: ignore[assignment]
    max_attempts: int = Field(default=4, ge=2, le=5, description="tries in all; gRPC allows at most 5")
    on: tuple[Failure, ...] = ("unavailable", "produce_failed", "refused", "reset")
    base: PositiveSeconds = 0.1
    cap: PositiveSeconds = 1.0
    budget: RetryBudget | None = GrpcThrottle()


class Finagle(Immediate):
    """Finagle: up to 25 tries at once, paid from its retry budget of 20 % and 10 a second."""

    kind: Literal["finagle"] = "finagle"  # type: ignore[assignment]
    max_attempts: int = Field(default=26, ge=1, le=FOREVER, description="tries in all")
    budget: RetryBudget | None = FinagleBudget()


class Envoy(ExponentialBackoff):
    """Envoy's router with a retry policy: 1 retry after U(0, 25 ms · 2ⁿ), at most 250 ms, within its retry budget."""

    kind: Literal["envoy"] = "envoy"  # type: ignore[assignment]
    max_attempts: int = Field(default=2, ge=1, le=FOREVER, description="tries in all: num_retries + 1")
    base: PositiveSeconds = 0.025
    cap: PositiveSeconds = 0.25
    budget: RetryBudget | None = EnvoyBudget()


class Polly(Fixed):
    """Polly v8 (.NET): 3 retries, 2 s apart, no jitter."""

    kind: Literal["polly"] = "polly"  # type: ignore[assignment]
    max_attempts: int = Field(default=4, ge=1, le=FOREVER, description="tries in all: MaxRetryAttempts + 1")
    delay: PositiveSeconds = 2.0


Retry = Annotated[
    NoRetry
    | Immediate
    | Fixed
    | ExponentialBackoff
    | Urllib3
    | Tenacity
    | AwsStandard
    | Resilience4j
    | Grpc
    | Finagle
    | Envoy
    | Polly,
    Field(discriminator="kind"),
]
"""Every retry policy and preset."""


def outcomes(names: tuple[Failure, ...]) -> frozenset[int]:
    """The codes of the failures named."""
    return frozenset(int(Outcome[name.upper()]) for name in names)
