"""Which key a record carries: what partitioners and keyed exchanges route by."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from pydantic import Field, model_validator

from bpsim.spec import Spec
from bpsim.streams import Floats


class Keys(Spec):
    """Keys 0 … `distinct` − 1, key 0 the most frequent: Zipf's law with exponent `skew` (0: all alike), or one hot key with
    a share of its own while the others are alike."""

    distinct: int = Field(ge=1, le=1_000_000, description="how many keys there are")
    skew: float = Field(default=0.0, ge=0, le=10, description="exponent of Zipf's law: key k has a weight of 1 / (k + 1)^skew")
    hot_share: float | None = Field(default=None, gt=0, le=1, description="share of the records that carry key 0")

    @model_validator(mode="after")
    def _one_law(self) -> Keys:
        if self.hot_share is not None and self.skew:
            raise ValueError("skew and hot_share are two laws for the same keys; leave one out")
        if self.hot_share is not None and self.distinct == 1 and self.hot_share < 1:
            raise ValueError(f"there is one key, so its share is 1, not {self.hot_share:g}")
        return self

    @cached_property
    def shares(self) -> Floats:
        """Probability of each key; shape (distinct,)."""
        if self.hot_share is not None:
            others = (1 - self.hot_share) / max(1, self.distinct - 1)
            return np.concatenate([[self.hot_share], np.full(self.distinct - 1, others)])
        weights = np.arange(1, self.distinct + 1, dtype=np.float64) ** -self.skew
        return np.asarray(weights / weights.sum())

    @cached_property
    def _edges(self) -> Floats:
        return np.cumsum(self.shares)[:-1]

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """`n` keys, as floats with whole values (`Draws` keeps floats)."""
        return np.searchsorted(self._edges, rng.random(n), side="right").astype(np.float64)
