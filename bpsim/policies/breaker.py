"""Circuit breakers: after too many failures, or too many slow calls, nothing is sent for a while; then a few calls try."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bpsim.policies.rolling import Rolling
from bpsim.spec import Spec
from bpsim.units import PositiveSeconds

State = Literal["closed", "open", "half_open"]


class Resilience4jBreaker(Spec):
    """resilience4j's CircuitBreaker with its defaults (CircuitBreakerConfig.java)."""

    kind: Literal["resilience4j"] = "resilience4j"
    window: Literal["count", "time"] = Field(default="count", description="the last `window_size` calls, or seconds")
    window_size: int = Field(default=100, ge=1, le=100_000, description="slidingWindowSize: calls or seconds")
    minimum_calls: int = Field(default=100, ge=1, le=100_000, description="minimumNumberOfCalls before it may open")
    failure_rate: float = Field(default=0.5, gt=0, le=1, description="failureRateThreshold as a share; at it, it opens")
    slow_call_duration: PositiveSeconds = Field(default=60.0, description="slowCallDurationThreshold: longer is slow")
    slow_call_rate: float = Field(default=1.0, gt=0, le=1, description="slowCallRateThreshold as a share")
    wait_in_open: PositiveSeconds = Field(default=60.0, description="waitDurationInOpenState")
    half_open_calls: int = Field(default=10, ge=1, le=100_000, description="permittedNumberOfCallsInHalfOpenState")

    @model_validator(mode="after")
    def _it_can_open(self) -> Resilience4jBreaker:
        if self.window == "count" and self.minimum_calls > self.window_size:
            raise ValueError(f"minimum_calls {self.minimum_calls} never fit a window of {self.window_size} calls")
        return self

    def build(self) -> CircuitBreaker:
        """A closed breaker."""
        return CircuitBreaker(self)


class HystrixBreaker(Resilience4jBreaker):
    """Hystrix's breaker: 20 requests within 10 s, half of them failed, 5 s of sleep, one call to try."""

    kind: Literal["hystrix"] = "hystrix"  # type: ignore[assignment]
    window: Literal["count", "time"] = "time"
    window_size: int = Field(default=10, ge=1, le=100_000)
    minimum_calls: int = Field(default=20, ge=1, le=100_000)
    wait_in_open: PositiveSeconds = 5.0
    half_open_calls: int = Field(default=1, ge=1, le=100_000)


class CircuitBreaker:
    """The state machine. Calls of which no result has come yet do not count, except against the permits of half-open."""

    FAILED, SLOW, CALLS = range(3)

    def __init__(self, spec: Resilience4jBreaker) -> None:
        self.state: State = "closed"
        self._spec = spec
        self._until = 0.0
        self._permits = 0
        self._forget()

    def _forget(self) -> None:
        spec = self._spec
        self._last: deque[tuple[bool, bool]] = deque()
        self._sums = Rolling(spec.window_size, spec.window_size, 3) if spec.window == "time" else None
        self._counts = [0.0, 0.0, 0.0]

    def allow(self, now: float) -> bool:
        """Whether a call may be made now."""
        if self.state == "closed":
            return True
        if self.state == "open":
            if now < self._until:
                return False
            self.state = "half_open"
            self._permits = self._spec.half_open_calls
            self._forget()
        if not self._permits:
            return False
        self._permits -= 1
        return True

    def record(self, now: float, failed: bool, duration: float) -> None:
        """A call has ended."""
        slow = duration > self._spec.slow_call_duration
        if self.state == "closed":
            self._judge(now, self._note(now, failed, slow), self._spec.minimum_calls)
        elif self.state == "half_open":
            self._last.append((failed, slow))
            sums = [
                float(sum(call[0] for call in self._last)),
                float(sum(call[1] for call in self._last)),
                float(len(self._last)),
            ]
            self._judge(now, sums, self._spec.half_open_calls)

    def _note(self, now: float, failed: bool, slow: bool) -> list[float]:
        if self._sums is not None:
            for column, amount in ((self.FAILED, failed), (self.SLOW, slow), (self.CALLS, True)):
                if amount:
                    self._sums.add(now, column)
            return self._sums.totals
        counts = self._counts
        self._last.append((failed, slow))
        counts[self.FAILED] += failed
        counts[self.SLOW] += slow
        counts[self.CALLS] += 1
        if len(self._last) > self._spec.window_size:
            failed, slow = self._last.popleft()
            counts[self.FAILED] -= failed
            counts[self.SLOW] -= slow
            counts[self.CALLS] -= 1
        return counts

    def _judge(self, now: float, sums: list[float], least: int) -> None:
        failed, slow, calls = sums
        if calls < least:
            return
        if failed >= self._spec.failure_rate * calls or slow >= self._spec.slow_call_rate * calls:
            self.state = "open"
            self._until = now + self._spec.wait_in_open
        elif self.state == "half_open":
            self.state = "closed"
            self._forget()


Breaker = Annotated[Resilience4jBreaker | HystrixBreaker, Field(discriminator="kind")]
"""Every circuit breaker."""
