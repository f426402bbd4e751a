"""Flink's buffer debloating (FLIP-183): how large a buffer may be so that those in use hold `target` of work, by the rules of
each version (`BufferDebloater`, `BufferSizeEMA`, `ThroughputCalculator`). It changes bytes per buffer, never their number."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from bpsim.tiers.flink.values import Version


@dataclass(frozen=True)
class Debloating:
    """`taskmanager.network.memory.buffer-debloat.*` and the segment sizes that bound it, for one version. Bytes and seconds."""

    version: Version
    largest: int = 32 * 1024
    """taskmanager.memory.segment-size"""
    smallest: int = 256
    """taskmanager.memory.min-segment-size"""
    start: int = 1024
    """taskmanager.memory.starting-segment-size, from 2.0; before, buffers start at the largest"""
    target_ms: int = 1000
    period: float = 0.2
    """between the end of one calculation and the timer of the next"""
    samples: int = 20
    threshold_percentages: int = 25
    """changes smaller than this are not announced"""

    @property
    def first_size(self) -> int:
        """The size of buffers before the first announcement."""
        return self.start if self.version >= (2, 0) else self.largest

    @property
    def per_gate(self) -> bool:
        """One debloater an input gate (FLINK-24189); in 1.14 one a subtask, told the sum of its gates."""
        return self.version >= (1, 15)

    def meter(self) -> ThroughputMeter:
        """A new measurement of the throughput that `recalculate` is given."""
        return ThroughputMeter(None if self.per_gate else self.samples)

    def debloater(self) -> BufferDebloater:
        """A new debloater."""
        return BufferDebloater(self)


class BufferSizeEma:
    """The size of a buffer as a moving average (2.0 on, FLINK-36555: fractions are kept, so that small sizes can grow). The
    wish counts for at most twice the last size, which makes growing and shrinking equally fast."""

    def __init__(self, start: int, smallest: int, largest: int, samples: int) -> None:
        self._last: float = start
        self._smallest = smallest
        self._largest = largest
        self._alpha = 2.0 / (samples + 1)

    def next(self, total_bytes: int, buffers: int) -> int:
        """The size now that `buffers` should hold `total_bytes` together."""
        wanted = min(total_bytes / buffers, 2.0 * self._last)
        self._last = self._bounded(self._last + self._alpha * (wanted - self._last))
        return floor(self._last + 0.5)

    def _bounded(self, size: float) -> float:
        return max(self._smallest, min(size, self._largest))


class WholeBufferSizeEma(BufferSizeEma):
    """The same in whole bytes, cut off (1.15 to 1.20)."""

    def next(self, total_bytes: int, buffers: int) -> int:
        """The size now that `buffers` should hold `total_bytes` together."""
        last = int(self._last)
        wanted = min(total_bytes // buffers, 2 * last)
        self._last = self._bounded(int(last + self._alpha * (wanted - last)))
        return int(self._last)


class UnsmoothedBufferSize(BufferSizeEma):
    """The wish itself (1.14, which smooths the throughput instead)."""

    def next(self, total_bytes: int, buffers: int) -> int:
        """The size now that `buffers` should hold `total_bytes` together."""
        return int(self._bounded(total_bytes // buffers))


class BufferDebloater:
    """Decides when a new buffer size is announced to the senders. To be asked every period by the subtask itself, between two
    records: while it is blocked inside one (hard back pressure) nothing is recalculated, and the period starts anew after."""

    def __init__(self, options: Debloating) -> None:
        self._options = options
        self._threshold = options.threshold_percentages / 100.0
        rule = BufferSizeEma if options.version >= (2, 0) else WholeBufferSizeEma
        rule = rule if options.per_gate else UnsmoothedBufferSize
        self._ema = rule(options.first_size, options.smallest, options.largest, options.samples)
        self.announced = options.first_size
        """debloatedBufferSize: bytes, as last announced."""
        self.estimated_ms = 0
        """estimatedTimeToConsumeBuffersMs of the last calculation; nothing flowing counts as 1 byte/s, in Flink as here."""

    def recalculate(self, throughput: int, buffers_in_use: int) -> int | None:
        """The size to announce, or None when it is near the last. Bytes per second; 0 buffers count as 1."""
        buffers = max(1, buffers_in_use)
        size = self._ema.next(throughput * self._options.target_ms // 1000, buffers)
        self.estimated_ms = size * buffers * 1000 // max(1, throughput)
        if not self._is_news(size):
            return None
        self.announced = size
        return size

    def _is_news(self, size: int) -> bool:
        """A change of the threshold or more; at the smallest and largest size any."""
        change = abs(size - self.announced)
        inside = self._options.smallest < size < self._options.largest
        return change > 0 and not (inside and change < int(self.announced * self._threshold))


class ThroughputMeter:
    """Bytes per second of the time in which there was input, the wait for output counted (`ThroughputCalculator`).

    Times are seconds of any origin; as in Flink they are looked at in whole milliseconds.
    """

    def __init__(self, smoothed_over: int | None = None) -> None:
        self._alpha = 2.0 / (smoothed_over + 1) if smoothed_over is not None else None
        self._bytes = 0
        self._spent_ms = 0
        self._since_ms: int | None = None
        self.throughput = 0
        """The last calculated; it stays while nothing arrives."""

    def incoming(self, now: float, received_bytes: int) -> None:
        """A buffer of this many bytes was taken from the gate; measures from now if it had paused."""
        self.resume(now)
        self._bytes += received_bytes

    def pause(self, now: float) -> None:
        """The gate was asked and had nothing."""
        if self._since_ms is not None:
            self._spent_ms += _ms(now) - self._since_ms
            self._since_ms = None

    def resume(self, now: float) -> None:
        """The gate has something."""
        if self._since_ms is None:
            self._since_ms = _ms(now)

    def calculate(self, now: float) -> int:
        """Bytes per second since the last calculation, or the last value when there was no input at all."""
        if self._since_ms is not None:
            self._spent_ms += _ms(now) - self._since_ms
            self._since_ms = _ms(now)
        if self._spent_ms > 0:
            self.throughput = self._smoothed(int(self._bytes / self._spent_ms * 1000))
        self._bytes = self._spent_ms = 0
        return self.throughput

    def _smoothed(self, instant: int) -> int:
        """In 1.14 a moving average that starts at its first sample; later the instant value."""
        if self._alpha is None or self.throughput == 0:
            return instant
        return self.throughput + int(self._alpha * (instant - self.throughput))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
