"""The broker's end of a connection: requests that wait to be handled, in the order they came."""

from __future__ import annotations

from collections import deque

from bpsim.tiers.batch import Request


class Link:
    """Kafka mutes a connection from reading a request until its response is sent (SocketServer), and for as long as a quota
    says."""

    __slots__ = ("_burst", "_level", "_rate", "_updated", "busy", "muted_until", "queue")

    BURST_S = 10.0
    """What a quota allows at once, in seconds of it: it is averaged over 10 full windows of a second."""

    def __init__(self, quota: float | None) -> None:
        self.queue: deque[Request] = deque()
        self.busy: Request | None = None
        self.muted_until = 0.0
        self._rate = quota
        self._burst = (quota or 0.0) * self.BURST_S
        self._level = self._updated = 0.0

    def charge(self, size: int, now: float) -> float:
        """Seconds to mute the connection for after `size` more bytes: excess over the window's allowance, by the rate."""
        if self._rate is None:
            return 0.0
        self._level = max(0.0, self._level - self._rate * (now - self._updated)) + size
        self._updated = now
        return max(0.0, self._level - self._burst) / self._rate
