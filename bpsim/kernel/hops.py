"""Who passed which tier when: facts written once, as flat columns."""

from __future__ import annotations

from array import array

import numpy as np

from bpsim.result import TIERS, Column, Table

COLUMNS = 6


class Hops:
    """Rows (first, count, entered, started, served, left) of every tier; `row[tier]` takes one row as a tuple, `rows[tier]`
    several as the bytes of an array."""

    def __init__(self) -> None:
        self._flat = {tier: array("d") for tier in TIERS}
        self.row = {tier: flat.extend for tier, flat in self._flat.items()}
        self.rows = {tier: flat.frombytes for tier, flat in self._flat.items()}

    def table(self, record_bytes: int, unfinished: dict[str, list[tuple[float, ...]]]) -> Table:
        """The `hops` table, with `unfinished` rows of what is still inside."""
        parts = []
        for tier in TIERS:
            parts.append(np.frombuffer(self._flat[tier], dtype=np.float64).reshape(-1, COLUMNS))
            parts.append(np.asarray(unfinished.get(tier, []), dtype=np.float64).reshape(-1, COLUMNS))

        def column(index: int, dtype: type = np.float64) -> Column:
            return np.concatenate([part[:, index].astype(dtype, copy=False) for part in parts])

        sizes = [len(done) + len(rest) for done, rest in zip(parts[::2], parts[1::2], strict=True)]
        count = column(1, np.int32)
        return {
            "tier": np.repeat(np.arange(len(TIERS), dtype=np.uint8), sizes),
            "first": column(0, np.int32),
            "count": count,
            "size_bytes": count.astype(np.int64) * record_bytes,
            "entered_s": column(2),
            "started_s": column(3),
            "served_s": column(4),
            "left_s": column(5),
        }
