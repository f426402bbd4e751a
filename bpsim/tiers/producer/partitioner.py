"""Which partition a record goes to: by its key, or, without one, to whichever suits the client."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Sequence

from bpsim.keys import Keys
from bpsim.streams import Draws, Streams
from bpsim.tiers.producer.spec import ProducerSpec


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def of_java(key: bytes, partitions: int) -> int:
    """BuiltInPartitioner.partitionForKey."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def of_librdkafka(key: bytes, partitions: int) -> int:
    """rd_kafka_msg_partitioner_consistent."""
    return zlib.crc32(key) % partitions


def key_bytes(key: int) -> bytes:
    """Key number `key` as producers send it: in decimal digits."""
    return str(key).encode()


def by_key(spec: ProducerSpec, keys: Keys | None) -> Callable[[bytes, int], int] | None:
    """How keys choose a partition; None when they do not."""
    if keys is None or spec.ignore_keys or spec.partitioner == "random":
        return None
    return of_java if spec.client == "java" or spec.partitioner.startswith("murmur2") else of_librdkafka


class Keyed:
    """Every record of a request carries one key, drawn by request."""

    def __init__(self, keys: Keys, hashed: Callable[[bytes, int], int], partitions: int, streams: Streams) -> None:
        self._of_key = array("i", (hashed(key_bytes(key), partitions) for key in range(keys.distinct)))
        self._keys = Draws(streams.rng("client.keys"), keys.sample)

    def partition(self, request: int) -> int:
        """Where the records of `request` go."""
        return self._of_key[int(self._keys[request])]


class Sticky:
    """One partition for all records without a key, until it is another's turn: after a full batch (java, KIP-794), or after
    `linger` (librdkafka)."""

    def __init__(self, spec: ProducerSpec, partitions: int, streams: Streams, queued: Sequence[int]) -> None:
        self._partitions = partitions
        self._queued = queued
        """Batches that wait, by partition."""
        self._weighs = spec.client == "java" and spec.adaptive
        self._draws = Draws(streams.rng("producer.sticky"), lambda rng, n: rng.random(n))
        self._drawn = 0
        self.partition = self._next() if partitions > 1 else 0

    def switch(self) -> None:
        """On to another partition, or by chance the same."""
        if self._partitions > 1:
            self.partition = self._next()

    def _next(self) -> int:
        u = self._draws[self._drawn]
        self._drawn += 1
        if not self._weighs or not any(self._queued):
            return int(u * self._partitions)
        most = max(self._queued) + 1
        left = u * sum(most - waiting for waiting in self._queued)
        for partition, waiting in enumerate(self._queued):
            left -= most - waiting
            if left < 0:
                return partition
        return self._partitions - 1
