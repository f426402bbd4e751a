"""What one fetch brings, and how long it waits at the broker until that is worth an answer."""

from __future__ import annotations

from typing import NamedTuple

from bpsim.kernel.bound import UNBOUNDED
from bpsim.streams import to_grid
from bpsim.tiers.consumer.spec import ConsumerSpec


class FetchLimits(NamedTuple):
    """In records: what one poll returns at most; what an answer holds at most, of one partition at most, and at least unless
    `wait` seconds are over; how many records may wait in the buffers when another fetch is sent (librdkafka)."""

    most: int
    most_of_a_fetch: int
    most_of_a_partition: int
    least: int
    wait: float
    queued: int

    @classmethod
    def of(cls, spec: ConsumerSpec, record_bytes: int, brokers: int) -> FetchLimits:
        """A batch larger than a limit comes all the same. Every broker answers for itself, so several bring more at once."""
        most = UNBOUNDED if spec.fetch_max is None else max(1, spec.fetch_max // record_bytes) * brokers
        least = -(-(spec.fetch_min or 1) // record_bytes)
        partition = max(1, spec.partition_bytes // record_bytes)
        queued = max(1, spec.queued_bytes // record_bytes)
        return cls(min(spec.max_poll_records, most), most, partition, least, to_grid(spec.fetch_wait), queued)

    @property
    def may_wait(self) -> bool:
        """Whether a fetch that finds a record may have to wait all the same."""
        return self.least > 1 and self.wait > 0

    def wait_ends(self, sent: float, now: float) -> float:
        """When the broker answers a fetch that finds too little; with nothing at all to bring, the next one is sent at once,
        so waits follow each other since `sent`."""
        whole, rest = divmod(now - sent, self.wait)
        return now if rest == 0 and whole > 0 else sent + (whole + 1) * self.wait
