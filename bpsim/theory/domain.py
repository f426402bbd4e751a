"""What must hold before a formula applies, and the one root finder. Errors say the numbers."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite


def require_stable(utilisation: float) -> None:
    """Raises `ValueError` unless 0 ≤ `utilisation` < 1."""
    if not 0 <= utilisation < 1:
        raise ValueError(f"utilisation is {utilisation:.4g}; a queue without a bound is stable only below 1")


def require_positive(**values: float) -> None:
    """Raises `ValueError` for a value that is not a finite number above 0."""
    for name, value in values.items():
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}; it must be a finite number above 0")


def require_share(**values: float) -> None:
    """Raises `ValueError` for a value outside 0 … 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}; it must lie between 0 and 1")


def require_count(least: int, **values: int) -> None:
    """Raises `ValueError` for a value that is not a whole number of at least `least`."""
    for name, value in values.items():
        if value != int(value) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")


def rising_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising `function` crosses 0 between `low` and `high`, by bisection down to neighbouring floats."""
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        low, high = (middle, high) if function(middle) < 0 else (low, middle)


def rising_root_above(function: Callable[[float], float], guess: float) -> float:
    """The same from 0 to wherever doubling `guess` first makes `function` positive."""
    while function(guess) < 0:
        guess *= 2
    return rising_root(function, 0.0, guess)
