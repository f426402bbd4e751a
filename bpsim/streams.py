"""Named random streams: one independent generator a name, so that a changed policy never shifts another stream.

Sampled times lie on a grid of 2⁻³⁶ s (15 ps). Sums and differences of grid points are exact in double precision up to
36 h, so an event time does not depend on the order of additions, and a last-bit difference between two machines'
`log` or `exp` is rounded away.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRID = 2.0**36
"""Grid points a second."""


def on_grid(seconds: Floats) -> Floats:
    """`seconds` rounded to the grid of times."""
    return np.round(seconds * GRID) / GRID


def to_grid(seconds: float) -> float:
    """One time rounded to the grid."""
    return round(seconds * GRID) / GRID


def column(
    values: array[float] | array[int] | bytearray, count: int, dtype: Any = np.float64, share: bool = False
) -> NDArray[Any]:
    """The first `count` of `values` as a column: a copy, or (`share`) the memory itself, which can then never grow again."""
    view = np.frombuffer(values, dtype=dtype)[:count]
    return view if share else view.copy()


@dataclass(frozen=True)
class Streams:
    """The random streams of one run: common random numbers for every variant with the same seed and replication."""

    seed: int
    replication: int = 0

    def rng(self, name: str) -> np.random.Generator:
        """A generator that depends on (seed, replication, name) and on nothing else."""
        entropy = (self.seed, self.replication, zlib.crc32(name.encode()), len(name))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


class Draws:
    """An endless column of draws from one stream, indexed by position and made in blocks (38 ns a draw against 200)."""

    __slots__ = ("_rng", "_sample", "values")

    def __init__(self, rng: np.random.Generator, sample: Callable[[np.random.Generator, int], Floats]) -> None:
        self._rng = rng
        self._sample = sample
        self.values = array("d")

    def upto(self, count: int) -> array[float]:
        """The column, at least `count` long. A block's size never changes the values."""
        missing = count - len(self.values)
        if missing > 0:
            size = -(-missing // BLOCK) * BLOCK
            self.values.frombytes(on_grid(self._sample(self._rng, size)).tobytes())
        return self.values

    def __getitem__(self, index: int) -> float:
        values = self.values
        return values[index] if index < len(values) else self.upto(index + 1)[index]


BLOCK = 4096


class AttemptDraws:
    """Draws indexed by (request, attempt number): a request meets the same luck under every retry policy.

    Attempt numbers share `LAYERS` columns in turn, so memory stays bounded when a policy retries for ever.
    """

    __slots__ = ("layers",)

    LAYERS = 16

    def __init__(self, streams: Streams, name: str, sample: Callable[[np.random.Generator, int], Floats]) -> None:
        self.layers = [Draws(streams.rng(f"{name}.{number}"), sample) for number in range(self.LAYERS)]

    def at(self, request: int, number: int) -> float:
        """The draw for attempt `number` of `request`."""
        draws = self.layers[number & (self.LAYERS - 1)]
        values = draws.values
        return values[request] if request < len(values) else draws.upto(request + 1)[request]
