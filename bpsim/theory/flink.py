"""Flink's arithmetic of network buffers. Bytes, seconds, bytes per second."""

from __future__ import annotations

from bpsim.theory.domain import require_positive


def flink_buffers_needed(throughput: float, round_trip: float, segment_bytes: float) -> float:
    """Buffers that keep a channel of `throughput` bytes per second busy over a round trip, throughput × delay / segment.
    Raises `ValueError` for values that are not positive. Flink docs, network memory tuning guide: 320 MB/s, 1 ms, 32 KB: 10."""
    require_positive(throughput=throughput, round_trip=round_trip, segment_bytes=segment_bytes)
    return throughput * round_trip / segment_bytes


def flink_in_flight_bound(channels: int, per_channel: int, floating: int, segment_bytes: int) -> int:
    """Most bytes in flight before one input gate, (channels × per channel + floating) × segment. Flink docs, network memory
    tuning guide."""
    return (channels * per_channel + floating) * segment_bytes


def flink_debloated_buffer(throughput: float, target: float, buffers_in_use: int) -> float:
    """Bytes per buffer at which `buffers_in_use` hold `target` seconds of data, before the debloater smooths and bounds it.
    Raises `ValueError` for a throughput or target that is not positive. Flink, BufferDebloater."""
    require_positive(throughput=throughput, target=target)
    return throughput * target / max(1, buffers_in_use)
