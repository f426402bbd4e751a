"""Who passed which tier when: facts written once, as flat columns."""

from __future__ import annotations

from array import array

import numpy as np

from bpsim.result import TIERS, Table

COLUMNS = 6


class Hops:
    """Rows (first, count, entered, started, served, left) of every tier; `row[tier]` takes one row as a tuple."""

    def __init__(self) -> None:
        self._flat = {tier: array("d") for tier in TIERS}
        self.row = {tier: flat.extend for tier, flat in self._flat.items()}

    def table(self, record_bytes: int, unfinished: dict[str, list[tuple[float, ...]]]) -> Table:
        """The `hops` table, with `unfinished` rows of what is still inside."""
        parts, codes = [], []
        for code, tier in enumerate(TIERS):
            rows = np.frombuffer(self._flat[tier], dtype=np.float64).reshape(-1, COLUMNS)
            rest = np.asarray(unfinished.get(tier, []), dtype=np.float64).reshape(-1, COLUMNS)
            parts += [rows, rest]
            codes.append(np.full(len(rows) + len(rest), code, dtype=np.uint8))
        rows = np.concatenate(parts)
        count = rows[:, 1].astype(np.int64)
        return {
            "tier": np.concatenate(codes),
            "first": rows[:, 0].astype(np.int64),
            "count": count,
            "size_bytes": count * record_bytes,
            "entered_s": rows[:, 2].copy(),
            "started_s": rows[:, 3].copy(),
            "served_s": rows[:, 4].copy(),
            "left_s": rows[:, 5].copy(),
        }
