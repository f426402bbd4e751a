"""A client that holds itself back when the server says no."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bpsim.policies.rolling import Rolling
from bpsim.spec import Spec
from bpsim.units import PositiveSeconds


class SreThrottle(Spec):
    """Adaptive throttling of the SRE book (ch. 21): refuse locally with probability (requests − k·accepts)/(requests + 1)
    over the last `window`; what is refused locally counts as a request."""

    kind: Literal["sre"] = "sre"
    k: float = Field(default=2.0, ge=1, le=1000, description="requests per accept that are let through")
    window: PositiveSeconds = 120.0

    def build(self) -> ThrottlePolicy:
        """A throttle that has seen nothing."""
        return _SreThrottle(self)


class AwsAdaptive(Spec):
    """AWS SDKs, adaptive mode: a token bucket whose rate follows TCP CUBIC once the server has throttled; attempts wait for
    their token, first tries too (botocore retries/adaptive.py and throttling.py)."""

    kind: Literal["aws_adaptive"] = "aws_adaptive"
    beta: float = Field(default=0.7, gt=0, lt=1, description="rate after a throttled reply / rate before")
    scale: float = Field(default=0.4, gt=0, le=1000, description="CUBIC's scale constant")

    def build(self) -> ThrottlePolicy:
        """A limiter that is not enabled yet."""
        return _AwsAdaptive(self)


class ThrottlePolicy:
    """Asked before an attempt is sent, told how it fared."""

    def delay(self, now: float) -> float:
        """Seconds to wait before asking again; 0: the attempt may go."""
        return 0.0

    def allow(self, now: float, u: float) -> bool:
        """Whether the attempt is sent at all; `u` is uniform in [0, 1)."""
        return True

    def on_end(self, now: float, accepted: bool, throttled: bool) -> None:
        """The server took the attempt on, or said 429 or 503, or (neither) nothing."""


class _SreThrottle(ThrottlePolicy):
    REQUESTS, ACCEPTS, SLOTS = 0, 1, 120

    def __init__(self, spec: SreThrottle) -> None:
        self._k = spec.k
        self._window = Rolling(spec.window, self.SLOTS, 2)

    def allow(self, now: float, u: float) -> bool:
        requests, accepts = self._window.advance(now)
        self._window.add(now, self.REQUESTS)
        return u >= (requests - self._k * accepts) / (requests + 1)

    def on_end(self, now: float, accepted: bool, throttled: bool) -> None:
        if accepted:
            self._window.add(now, self.ACCEPTS)


class Cubic:
    """The rate as a function of time since the last throttled reply (RFC 8312, with botocore's constants)."""

    def __init__(self, beta: float = 0.7, scale: float = 0.4) -> None:
        self._beta, self._scale = beta, scale
        self._most, self._since, self._inflection = 0.0, 0.0, 0.0

    def inflection(self, most: float) -> float:
        """Seconds until the rate is back at `most`: cbrt(most · (1 − β) / scale)."""
        return float((most * (1 - self._beta) / self._scale) ** (1 / 3))

    def throttled(self, rate: float, now: float) -> float:
        """The new rate after a throttled reply at `rate`."""
        self._most, self._since, self._inflection = rate, now, self.inflection(rate)
        return rate * self._beta

    def rate(self, now: float) -> float:
        """The rate at `now` when nothing has been throttled since."""
        return self._scale * (now - self._since - self._inflection) ** 3 + self._most


class _AwsAdaptive(ThrottlePolicy):
    SLOT_S, SMOOTHING, LEAST = 0.5, 0.8, 0.5

    def __init__(self, spec: AwsAdaptive) -> None:
        self._cubic = Cubic(spec.beta, spec.scale)
        self._rate: float | None = None
        self._tokens = self._filled = 0.0
        self._measured = self._counted = self._slot = 0.0

    def delay(self, now: float) -> float:
        if self._rate is None:
            return 0.0
        self._fill(now)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate

    def on_end(self, now: float, accepted: bool, throttled: bool) -> None:
        self._measure(now)
        if throttled:
            rate = self._measured if self._rate is None else min(self._measured, self._rate)
            wanted = self._cubic.throttled(rate, now)
        elif self._rate is None:
            return
        else:
            wanted = self._cubic.rate(now)
        self._fill(now)
        self._rate = max(min(wanted, 2 * self._measured), self.LEAST)

    def _fill(self, now: float) -> None:
        if self._rate is not None:
            self._tokens = min(max(self._rate, 1.0), self._tokens + (now - self._filled) * self._rate)
        self._filled = now

    def _measure(self, now: float) -> None:
        """Replies a second, smoothed over slots of half a second."""
        self._counted += 1
        slot = int(now / self.SLOT_S) * self.SLOT_S
        if slot > self._slot:
            rate = self._counted / (slot - self._slot)
            self._measured = rate * self.SMOOTHING + self._measured * (1 - self.SMOOTHING)
            self._counted, self._slot = 0.0, slot


Throttle = Annotated[SreThrottle | AwsAdaptive, Field(discriminator="kind")]
"""Every client-side throttle."""
