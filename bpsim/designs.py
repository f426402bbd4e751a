"""Which settings to run: a full grid, a list of points, or points sampled from ranges."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from bpsim.settings import Axis, axis
from bpsim.streams import Floats, Streams

Point = dict[str, str]
"""Settings that go together: path -> value, as with `--set`."""
Kind = Literal["lhs", "random"]
SPAN = re.compile(r"(?P<low>[-+.\deE]+?)\s*(?P<unit>[^\s.:\d]*)\.\.(?P<high>[-+.\deE]+?)\s*(?P<unit2>[^\s.:\d]*)(?P<log>:log)?")


@dataclass(frozen=True)
class Span:
    """A path and the range its values are drawn from: evenly, or with `log` evenly in the logarithm. Whole numbers when both
    ends are written as such and have no unit."""

    path: str
    low: float
    high: float
    unit: str
    whole: bool
    log: bool

    def at(self, shares: Floats) -> list[str]:
        """The values at `shares` (0 … 1) of the range."""
        high = self.high + 1 if self.whole else self.high
        raw = self.low * (high / self.low) ** shares if self.log else self.low + shares * (high - self.low)
        if self.whole:
            return [f"{int(value)}" for value in np.minimum(np.floor(raw), self.high)]
        return [f"{float(value):.6g}{self.unit}" for value in raw]

    def share_of(self, text: str) -> float:
        """Where a value of the range stands in it: 0 … 1."""
        value = self.number(text)
        if self.log:
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return (value - self.low) / (self.high - self.low)

    def number(self, text: str) -> float:
        """A value of the range, in its unit."""
        return float(text.removesuffix(self.unit))

    @property
    def ends(self) -> tuple[str, str]:
        """The lowest value and the highest, as they would be set."""
        low, high = self.at(np.array([0.0, 1.0]))
        return low, high

    @property
    def written(self) -> str:
        """The range for people."""
        return f"{self.low:g}{self.unit} to {self.high:g}{self.unit}"


def span(text: str) -> Span | Axis:
    """Read `PATH=a..b` or `PATH=a..b:log`; anything else is read as an `Axis`. Raises `ValueError`."""
    path, _, values = text.partition("=")
    match = SPAN.fullmatch(values.strip())
    if match is None:
        return axis(text)
    if match["unit"] and match["unit2"] and match["unit"] != match["unit2"]:
        raise ValueError(f"'{values}' begins in {match['unit']} and ends in {match['unit2']}; use one unit")
    try:
        low, high = float(match["low"]), float(match["high"])
    except ValueError:
        raise ValueError(f"'{values}' is not a range; write 10..1000, 500/s..1500/s or 1ms..1000ms:log") from None
    if high <= low or (match["log"] and low <= 0):
        raise ValueError(f"'{values}' must end above where it begins" + (", which must be above 0" if low <= 0 else ""))
    unit = match["unit"] or match["unit2"]
    whole = not unit and match["low"].lstrip("+-").isdigit() and match["high"].lstrip("+-").isdigit()
    return Span(path, low, high, unit, whole, bool(match["log"]))


def full(axes: Sequence[Axis]) -> list[Point]:
    """Every combination of the values; the last axis changes fastest."""
    _refuse_twice([one.path for one in axes])
    return [dict(zip([one.path for one in axes], values, strict=True)) for values in product(*(one.values for one in axes))]


def sampled(parts: Sequence[Span | Axis], count: int, kind: Kind = "lhs", seed: int = 1) -> list[Point]:
    """`count` points: a Latin hypercube (each of `count` equal slices of every range is met once; McKay 1979), or points drawn
    independently, of which the first stay the same when more are asked for. A list of values is a choice among them."""
    _refuse_twice([part.path for part in parts])
    rng = Streams(seed).rng(f"sweep.{kind}")
    if kind == "lhs":
        from scipy.stats.qmc import LatinHypercube

        cube = np.asarray(LatinHypercube(len(parts), seed=rng).random(count))
    else:
        cube = rng.random((count, len(parts)))
    columns = [
        part.at(shares) if isinstance(part, Span) else [part.values[int(share * len(part.values))] for share in shares]
        for part, shares in zip(parts, cube.T, strict=True)
    ]
    return [dict(zip([part.path for part in parts], values, strict=True)) for values in zip(*columns, strict=True)]


def listed(path: Path) -> list[Point]:
    """The points of a CSV file: paths in its first line, a point in each other. Raises `ValueError` with file and line."""
    try:
        lines = [line for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if len(lines) < 2:
        raise ValueError(f"{path} needs a line of paths and a line for each point")
    head = [word.strip() for word in lines[0]]
    _refuse_twice(head)
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(head) or not all(word.strip() for word in line):
            raise ValueError(f"{path}:{number}: {len(head)} values are needed, one for each path of the first line")
    return [dict(zip(head, (word.strip() for word in line), strict=True)) for line in lines[1:]]


def points_of(parts: Sequence[Span | Axis], sample: int | None, kind: Kind) -> list[Point]:
    """A sample when one is asked for, otherwise the full grid. Raises `ValueError` for a range without a count in a grid."""
    if sample is not None:
        return sampled(parts, sample, kind)
    if spans := [part.path for part in parts if isinstance(part, Span)]:
        raise ValueError(f"how many values of {spans[0]}? Write a..b:5 for a grid, or sample points from the ranges")
    return full([part for part in parts if isinstance(part, Axis)])


def _refuse_twice(paths: Sequence[str]) -> None:
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise ValueError(f"{path} stands there twice")
