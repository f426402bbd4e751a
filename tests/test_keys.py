"""Which key a record carries."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bpsim.keys import Keys
from bpsim.streams import Streams


def drawn(keys: Keys, n: int = 100_000) -> np.ndarray:
    return np.bincount(keys.sample(Streams(1).rng("client.key"), n).astype(int), minlength=keys.distinct) / n


@pytest.mark.parametrize("keys", [Keys(distinct=5), Keys(distinct=50, skew=1.2), Keys(distinct=10, hot_share=0.6)])
def test_keys_come_as_often_as_their_shares_say(keys: Keys) -> None:
    sigma = np.sqrt(keys.shares * (1 - keys.shares) / 100_000)
    assert keys.shares.sum() == pytest.approx(1)
    assert (np.abs(drawn(keys) - keys.shares) < 5 * sigma).all()


def test_zipf_halves_the_second_key_at_skew_one() -> None:
    shares = Keys(distinct=3, skew=1).shares
    assert shares[0] / shares[1] == pytest.approx(2)


def test_two_laws_at_once_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave one out"):
        Keys(distinct=3, skew=1, hot_share=0.5)
    with pytest.raises(ValidationError, match="its share is 1"):
        Keys(distinct=1, hot_share=0.5)
