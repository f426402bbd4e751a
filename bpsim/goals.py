"""Goals in short words: `p99 < 500 ms`, `loss < 1 %`, `memory < 64 MB`. They are claims (`bpsim.claims`), easier to type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bpsim.claims import Claim, parse
from bpsim.metrics import METRICS
from bpsim.units import KINDS

SHORT = {name: f"latency_success_s_{name}" for name in ("p50", "p95", "p99", "p999")} | {
    "loss": "(1 - success_share)",
    "memory": "api_peak_bytes",
    "goodput": "goodput_per_s",
    "recovery": "recovery_time_s",
}
"""Short names and what they stand for; every metric of `bpsim list` may be named as well."""
_UNITS = "|".join(sorted((re.escape(unit) for units in KINDS.values() for unit in units), key=len, reverse=True))
_NUMBER = r"(?<!['\"\w.])(\d+\.?\d*(?:[eE][-+]?\d+)?)\s*"
QUANTITY = re.compile(rf"{_NUMBER}({_UNITS})(?![\w'\"(])")
PERCENT = re.compile(rf"{_NUMBER}%")
WORD = re.compile(rf"(?<![\w.'\"])({'|'.join(SHORT)})(?![\w.'\"(])")


@dataclass(frozen=True)
class Goal:
    """What must come out, as it was asked for."""

    text: str
    claim: Claim

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it is about."""
        return tuple(dict.fromkeys(metric for _, metric in self.claim.names))

    def met(self, row: Mapping[str, float], variant: str) -> bool:
        """Whether a run's summary meets it."""
        return self.claim.check({variant: row}).passed

    def miss(self, row: Mapping[str, float], variant: str) -> float:
        """How far a run is from meeting it: 0 when it does, at most 1."""
        return self.claim.miss({variant: row})


def goal(text: str, variant: str) -> Goal:
    """Read a goal for the runs of `variant`. Raises `ValueError` saying what cannot be read, or which name is not known."""
    long = PERCENT.sub(lambda match: f"{float(match[1]) / 100!r}", text)
    long = QUANTITY.sub(lambda match: f"'{match[0]}'", long)
    claim = parse(WORD.sub(lambda match: SHORT[match[1]], long))
    claim.check_names((variant,), METRICS)
    return Goal(text, claim)
