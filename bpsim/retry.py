"""What a client does after a failed attempt: a retry policy says how long to wait, or that it gives up."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bpsim.spec import Spec
from bpsim.units import PositiveSeconds, Seconds


class NoRetry(Spec):
    """Every failure is final."""

    kind: Literal["none"] = "none"
    max_attempts: ClassVar[int] = 1
    jittered: ClassVar[bool] = False

    def wait(self, number: int) -> float:
        """Never called: there is no second attempt."""
        raise AssertionError(f"no retry, yet attempt {number} asks for a wait")


class _Retry(Spec):
    max_attempts: int = Field(default=3, ge=1, le=1000, description="tries in all, the first one included")
    jittered: ClassVar[bool] = False


class Immediate(_Retry):
    """Again at once (urllib3's `Retry()` has backoff 0)."""

    kind: Literal["immediate"] = "immediate"

    def wait(self, number: int) -> float:
        """Seconds after the failure of attempt `number` (0 = the first)."""
        return 0.0


class Fixed(_Retry):
    """Again after a fixed delay."""

    kind: Literal["fixed"] = "fixed"
    delay: Seconds

    def wait(self, number: int) -> float:
        """Seconds after the failure of attempt `number` (0 = the first)."""
        return self.delay


class ExponentialBackoff(_Retry):
    """Again after U(0, 1) · min(cap, base · multiplierⁿ): full jitter (AWS, "Exponential Backoff And Jitter")."""

    kind: Literal["exponential"] = "exponential"
    base: PositiveSeconds
    cap: PositiveSeconds = 20.0
    multiplier: float = Field(default=2.0, ge=1, le=100)
    jittered: ClassVar[bool] = True

    def wait(self, number: int) -> float:
        """The longest wait after the failure of attempt `number` (0 = the first); the client draws U(0, 1) of it."""
        if self.multiplier == 1:
            return min(self.cap, self.base)
        return min(self.cap, self.base * self.multiplier ** min(number, 64))


Retry = Annotated[NoRetry | Immediate | Fixed | ExponentialBackoff, Field(discriminator="kind")]
"""Every retry policy."""
