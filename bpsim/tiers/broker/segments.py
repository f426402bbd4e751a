"""Kafka's retention: a log is cut into segments, and now and then whole segments are deleted (UnifiedLog, LogManager)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass
class Segment:
    """A stretch of a partition's log, up to but not including offset `end`."""

    end: int
    size: int
    first_time: float
    last_time: float


class Segments:
    """Those of one partition, the active one last."""

    def __init__(self, segment: int, segment_time: float | None, keep_bytes: int | None, keep_time: float | None) -> None:
        self._most = segment
        self._lifetime = segment_time
        self._keep_bytes = keep_bytes
        self._keep_time = keep_time
        self._segments: deque[Segment] = deque()
        self.size = 0
        """Bytes of the log."""

    def append(self, end: int, size: int, now: float) -> None:
        """A batch of `size` bytes that ends at offset `end`; a segment that has no room or time left is closed."""
        last = self._segments[-1] if self._segments else None
        aged = last is not None and self._lifetime is not None and now - last.first_time > self._lifetime
        if last is None or aged or last.size + size > self._most:
            self._segments.append(Segment(end, size, now, now))
        else:
            last.end, last.size, last.last_time = end, last.size + size, now
        self.size += size

    def delete(self, now: float) -> int | None:
        """What the check deletes: the offset at which the log begins afterwards, None when nothing goes. By size: the oldest
        segment, while what remains is at least `keep_bytes`. By time: a segment whose last record is too old, the active one
        too."""
        start = None
        while self._segments and self._goes(self._segments[0], now):
            gone = self._segments.popleft()
            self.size -= gone.size
            start = gone.end
        return start

    def _goes(self, oldest: Segment, now: float) -> bool:
        if self._keep_time is not None and now - oldest.last_time > self._keep_time:
            return True
        too_large = self._keep_bytes is not None and self.size - self._keep_bytes >= oldest.size
        return too_large and len(self._segments) > 1
