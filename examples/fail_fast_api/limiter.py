"""A token bucket: so many requests a second, and a few at once."""

from __future__ import annotations

from math import ceil


class TokenBucket:
    """`rate` tokens a second, at most `burst` of them; it starts full. Time comes from the caller."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled = now

    def take(self, now: float) -> bool:
        """Whether there was a token."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def retry_after(self) -> int:
        """Whole seconds (RFC 9110) until there is a token again, if nobody else takes it."""
        return max(1, ceil((1 - self._tokens) / self._rate))
