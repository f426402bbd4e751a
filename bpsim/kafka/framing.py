"""How many records go into a batch, and how many into a producer's buffer, by each client's own reckoning."""

from __future__ import annotations

UNLIMITED = 1 << 62
BATCH_HEADER = 61
"""Bytes of a record batch of format 2 before its records (DefaultRecordBatch.RECORD_BATCH_OVERHEAD)."""
MOST_AROUND_A_RECORD = 21
"""Bytes that the Java client reckons with around the next record (DefaultRecord.MAX_RECORD_OVERHEAD)."""
REQUEST_HEADER = 130
"""Bytes of librdkafka's request before its records, the header of the batch included: about."""
MOST_IN_LIBRDKAFKA = 36
"""Bytes that librdkafka reckons with around the next record (RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD)."""


def around_a_record(size: int) -> int:
    """Bytes of format 2 around a record: attributes, two deltas, no key, no headers, and two lengths that grow with it."""
    return 6 + 2 * (1 if size < 64 else 2 if size < 8192 else 3)


def batch_records(client: str, batch_bytes: int | None, batch_limit: int | None, size: int) -> int:
    """Records of `size` bytes in a full batch: the first always fits, another while the client reckons that it does."""
    limit = UNLIMITED if batch_limit is None else batch_limit
    if batch_bytes is not None:
        java = client == "java"
        header, most = (BATCH_HEADER, MOST_AROUND_A_RECORD) if java else (REQUEST_HEADER, MOST_IN_LIBRDKAFKA)
        room = batch_bytes - header - size - most
        limit = min(limit, 1 if room < 0 else 1 + room // (size + around_a_record(size)))
    return max(1, limit)


def buffer_records(
    client: str, buffer_bytes: int | None, buffer_limit: int | None, batch_bytes: int | None, per_batch: int, size: int
) -> int:
    """Records of `size` bytes that a buffer holds in full batches of `per_batch` (java: memory is taken by the batch) or
    one by one (librdkafka counts the bytes of messages)."""
    limit = UNLIMITED if buffer_limit is None else buffer_limit
    if client != "java":
        return min(limit, UNLIMITED if buffer_bytes is None else buffer_bytes // size)
    slot = max(batch_bytes or 0, BATCH_HEADER + MOST_AROUND_A_RECORD + size)
    slots = min(UNLIMITED if buffer_bytes is None else buffer_bytes // slot, limit // per_batch)
    return slots * per_batch if slots < UNLIMITED // per_batch else UNLIMITED
