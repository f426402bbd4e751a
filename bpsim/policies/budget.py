"""What retries are paid from. A budget belongs to one client process and is told of every attempt; `withdraw` says whether
one more retry may be made, and takes what it costs (facts/overload.md, B2 and B3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bpsim.policies.rolling import Rolling
from bpsim.spec import Spec
from bpsim.units import PositiveSeconds


class Budget:
    """A budget that never ends; the others change what they must."""

    def on_send(self, now: float) -> None:
        """A request's first attempt is sent."""

    def on_success(self, now: float, number: int, after_timeout: bool) -> None:
        """Attempt `number` (0 = the first) succeeded; a retry's predecessor had timed out, or failed otherwise."""

    def on_failure(self, now: float) -> None:
        """An attempt failed."""

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        """Pay for one retry, after a timeout or another failure, while `in_flight` attempts are under way."""
        return True

    def on_retry_end(self) -> None:
        """A retry that was paid for is over."""


class AwsQuota(Spec):
    """AWS SDKs, standard mode: a retry takes `retry_cost` of the quota, after a timeout `timeout_cost`; its success gives
    that back, and a success at the first try 1 (botocore retries/quota.py)."""

    kind: Literal["aws"] = "aws"
    capacity: int = Field(default=500, ge=1, le=10**9)
    retry_cost: int = Field(default=5, ge=1, le=10**9)
    timeout_cost: int = Field(default=10, ge=1, le=10**9)

    def build(self) -> Budget:
        """A full quota."""
        return _AwsQuota(self)


class _AwsQuota(Budget):
    def __init__(self, spec: AwsQuota) -> None:
        self.left = spec.capacity
        self._capacity = spec.capacity
        self._costs = (spec.retry_cost, spec.timeout_cost)

    def on_success(self, now: float, number: int, after_timeout: bool) -> None:
        self.left = min(self._capacity, self.left + (self._costs[after_timeout] if number else 1))

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        cost = self._costs[timeout]
        if cost > self.left:
            return False
        self.left -= cost
        return True


class FinagleBudget(Spec):
    """Finagle: every request pays in `percent` of a retry, and `min_per_s` retries a second are there in any case; both
    within the last `ttl` (RetryBudget.scala: 1000 units in, 1000 / percent out, 10 slots)."""

    kind: Literal["finagle"] = "finagle"
    ttl: PositiveSeconds = 10.0
    min_per_s: float = Field(default=10.0, ge=0, le=1e9)
    percent: float = Field(default=0.2, gt=0, le=1000, description="retries per request: 0.2 is 20 %")

    def build(self) -> Budget:
        """A budget that has its reserve and nothing else."""
        return _FinagleBudget(self)


class _FinagleBudget(Budget):
    SCALE, SLOTS = 1000, 10

    def __init__(self, spec: FinagleBudget) -> None:
        self._cost = int(self.SCALE / spec.percent)
        self._reserve = int(spec.min_per_s * spec.ttl) * self._cost
        self._window = Rolling(spec.ttl, self.SLOTS, 1)

    def on_send(self, now: float) -> None:
        self._window.add(now, 0, self.SCALE)

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        if self._reserve + self._window.advance(now)[0] < self._cost:
            return False
        self._window.add(now, 0, -self._cost)
        return True


class GrpcThrottle(Spec):
    """gRPC: a failure takes one token, a success gives `token_ratio`; retries only while more than half are left (proposal
    A6, whose example these values are)."""

    kind: Literal["grpc"] = "grpc"
    max_tokens: int = Field(default=10, ge=1, le=1000)
    token_ratio: float = Field(default=0.1, gt=0, le=1000)

    def build(self) -> Budget:
        """A full throttle."""
        return _GrpcThrottle(self)


class _GrpcThrottle(Budget):
    MILLI = 1000

    def __init__(self, spec: GrpcThrottle) -> None:
        self._most = self.left = spec.max_tokens * self.MILLI
        self._gain = int(spec.token_ratio * self.MILLI)

    def on_success(self, now: float, number: int, after_timeout: bool) -> None:
        self.left = min(self._most, self.left + self._gain)

    def on_failure(self, now: float) -> None:
        self.left = max(0, self.left - self.MILLI)

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        return self.left > self._most / 2


class EnvoyBudget(Spec):
    """Envoy: as many retries at a time as `percent` of the active requests, and `min_concurrency` in any case
    (config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget)."""

    kind: Literal["envoy"] = "envoy"
    percent: float = Field(default=20.0, ge=0, le=100)
    min_concurrency: int = Field(default=3, ge=0, le=10**9)

    def build(self) -> Budget:
        """A budget without retries under way."""
        return _EnvoyBudget(self)


class _EnvoyBudget(Budget):
    def __init__(self, spec: EnvoyBudget) -> None:
        self._spec = spec
        self.retries = 0

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        if self.retries >= max(self._spec.min_concurrency, int(in_flight * self._spec.percent / 100)):
            return False
        self.retries += 1
        return True

    def on_retry_end(self) -> None:
        self.retries -= 1


class Bucket(Spec):
    """A token bucket: every request adds `ratio`, a retry takes one and needs more than one (Brooker, "Fixing retries with
    token buckets and circuit breakers"; 10 % is the SRE book's per-client budget)."""

    kind: Literal["bucket"] = "bucket"
    ratio: float = Field(default=0.1, ge=0, le=1000, description="retries that one request pays for")
    capacity: float = Field(default=5.0, gt=0, le=1e9, description="most tokens saved up; it starts full")

    def build(self) -> Budget:
        """A full bucket."""
        return _Bucket(self)


class _Bucket(Budget):
    def __init__(self, spec: Bucket) -> None:
        self._spec = spec
        self.left = spec.capacity

    def on_send(self, now: float) -> None:
        self.left = min(self._spec.capacity, self.left + self._spec.ratio)

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        if self.left <= 1:
            return False
        self.left -= 1
        return True


class FailureRatio(Spec):
    """Retries only while at most `ratio` of all attempts so far have failed (Brooker's "circuit breaker" for retries)."""

    kind: Literal["failure_ratio"] = "failure_ratio"
    ratio: float = Field(default=0.1, ge=0, le=1)

    def build(self) -> Budget:
        """Nothing has failed yet."""
        return _FailureRatio(self)


class _FailureRatio(Budget):
    def __init__(self, spec: FailureRatio) -> None:
        self._ratio = spec.ratio
        self._ended = self._failed = 0

    def on_success(self, now: float, number: int, after_timeout: bool) -> None:
        self._ended += 1

    def on_failure(self, now: float) -> None:
        self._ended += 1
        self._failed += 1

    def withdraw(self, now: float, timeout: bool, in_flight: int) -> bool:
        return self._failed <= self._ratio * self._ended


RetryBudget = Annotated[
    AwsQuota | FinagleBudget | GrpcThrottle | EnvoyBudget | Bucket | FailureRatio, Field(discriminator="kind")
]
"""Every retry budget."""
