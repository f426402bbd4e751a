"""How much a buffer may hold."""

from __future__ import annotations

from pydantic import Field

from bpsim.spec import Spec
from bpsim.units import Bytes

UNBOUNDED = 1 << 62


class Bound(Spec):
    """A limit in records, in bytes, or in both; whichever is reached first counts. Without either there is none."""

    records: int | None = Field(default=None, ge=0, le=10**12)
    bytes: Bytes | None = None

    def in_records(self, record_bytes: int) -> int:
        """The limit as a number of records of `record_bytes` each."""
        by_records = UNBOUNDED if self.records is None else self.records
        by_bytes = UNBOUNDED if self.bytes is None else self.bytes // record_bytes
        return min(by_records, by_bytes)
