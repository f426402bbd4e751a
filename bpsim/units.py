"""Quantities with units at the border, SI inside: `5 ms` becomes 0.005, and 0.005 is shown as `5 ms`."""

from __future__ import annotations

import re
from difflib import get_close_matches
from math import isclose, isfinite
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

TIME = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SIZE: dict[str, float] = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
RATE = {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600}
SPEED = {f"{unit}/s": factor for unit, factor in SIZE.items()}
KINDS: dict[str, dict[str, float]] = {"duration": TIME, "size": SIZE, "rate": RATE, "throughput": SPEED}
EXAMPLES = {"duration": "5 ms", "size": "32 MiB", "rate": "900/s", "throughput": "50 MB/s"}
QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµ/%]*)\s*")


class Plain(float):
    """A number that is known to be in SI units, wherever it comes from."""


def parse(value: Any, kind: str, *, bare: bool = True) -> float:
    """`value` in SI units. Raises `ValueError` saying what is wrong and what would be right.

    `kind` is `duration`, `size`, `rate` or `throughput`. A bare number counts as SI only with `bare` (0 always does).
    """
    needed = f"a {kind} is needed, such as '{EXAMPLES[kind]}'"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(needed)
    if isinstance(value, str):
        number = _with_unit(value, kind, needed)
    elif bare or value == 0 or isinstance(value, Plain):
        number = value if isinstance(value, int) and abs(value) < 2**62 else float(value)
    else:
        raise ValueError(f"{_short(value)} has no unit; {needed}")
    if not isfinite(number):
        raise ValueError(f"{_short(value)} is not finite; {needed}")
    return number


def has_unit(text: str) -> bool:
    """Whether `text` is a number with a unit, known or not: `2 MB`."""
    match = QUANTITY.fullmatch(text) if len(text) < 100 else None
    return match is not None and bool(match[2])


def _with_unit(text: str, kind: str, needed: str) -> float:
    match = QUANTITY.fullmatch(text) if len(text) < 100 else None
    if match is None:
        raise ValueError(f"'{_short(text)}' is not a quantity; {needed}")
    number, unit = float(match[1]), match[2]
    if unit in KINDS[kind]:
        return number * KINDS[kind][unit] if kind != "size" else round(number * SIZE[unit])
    if not unit:
        if number == 0:
            return 0.0
        raise ValueError(f"'{text}' has no unit; {needed}")
    for other, units in KINDS.items():
        if unit in units:
            raise ValueError(f"'{text}' is a {other}; {needed}")
    near = get_close_matches(unit.lower(), [known.lower() for known in KINDS[kind]], 1, 0.4)
    known = {name.lower(): name for name in KINDS[kind]}
    hint = f"; did you mean '{match[1]} {known[near[0]]}'?" if near else ""
    raise ValueError(f"'{unit}' is not a unit of {kind} ({', '.join(KINDS[kind])}){hint}")


def _short(value: Any) -> str:
    text = str(value) if not isinstance(value, int) or abs(value) < 10**18 else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _quantity(kind: str, unit: str, whole: bool = False, python: type = float) -> tuple[Any, ...]:
    def read(value: Any, info: ValidationInfo) -> Any:
        yaml = (info.context or {}).get("source") == "yaml"
        number = parse(value, kind, bare=not yaml)
        return round(number) if whole else float(number)

    units = "|".join(re.escape(name) for name in KINDS[kind])
    schema = {
        "anyOf": [{"type": "string", "pattern": rf"^\s*[-+]?[0-9.eE+-]+\s*({units})\s*$"}, {"const": 0}],
        "examples": [EXAMPLES[kind]],
        "description": f"a {kind}, such as {EXAMPLES[kind]}",
    }
    write = PlainSerializer(lambda value: f"{value!r}{'' if unit.startswith('/') else ' '}{unit}", str, when_used="json")
    return BeforeValidator(read), write, WithJsonSchema(schema)


Seconds = Annotated[float, *_quantity("duration", "s"), Field(ge=0)]
"""A duration in seconds, 0 allowed."""
PositiveSeconds = Annotated[float, *_quantity("duration", "s"), Field(gt=0)]
"""A duration in seconds, above 0."""
Bytes = Annotated[int, *_quantity("size", "B", whole=True), Field(gt=0)]
"""A size in bytes, above 0."""
PerSecond = Annotated[float, *_quantity("rate", "/s"), Field(gt=0)]
"""A rate per second, above 0."""
BytesPerSecond = Annotated[float, *_quantity("throughput", "B/s"), Field(gt=0)]
"""A throughput in bytes per second, above 0."""


def written(value: float, kind: str) -> str:
    """`value` (SI) as an author would write it, in few letters and to the last digit but the 12th: 0.005 -> '5 ms',
    33554432 -> '32 MiB'."""
    space = "" if kind == "rate" else " "
    if value == 0:
        return {"duration": "0 s", "size": "0 B", "rate": "0/s", "throughput": "0 B/s"}[kind]
    units = {unit: factor for unit, factor in KINDS[kind].items() if unit != "µs" and abs(value) >= factor}
    texts = [f"{value / factor:.6g}{space}{unit}" for unit, factor in units.items()]
    exact = [text for text in texts if "e+" not in text and isclose(parse(text, kind), value, rel_tol=1e-12)]
    si = {"duration": "s", "size": "B", "rate": "/s", "throughput": "B/s"}[kind]
    return min(exact, key=len, default=f"{value!r}{space}{si}")


Steps = tuple[tuple[float, str, float], ...]
"""(From which value on, the unit, its size), the largest first."""
TIMES: Steps = ((7200.0, "h", 3600.0), (120.0, "min", 60.0), (1.0, "s", 1.0), (1e-3, "ms", 1e-3), (1e-6, "us", 1e-6))
SIZES: Steps = tuple((10.0**n, unit, 10.0**n) for n, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB"), (0, "B")))


def unit_for(value: float, steps: Steps) -> tuple[str, float]:
    """The unit in which `value` is best read, and its size."""
    return next(((unit, size) for least, unit, size in steps if abs(value) >= least), steps[-1][1:])


def _show(value: float, steps: Steps) -> str:
    unit, size = unit_for(value, steps)
    number = value / size
    return f"{number:,.0f} {unit}" if abs(number) >= 100 else f"{number:.3g} {unit}"


def format_seconds(value: float) -> str:
    """A duration for people: 0.005 -> '5 ms', 90 -> '90 s', 1200 -> '20 min'."""
    if value == 0:
        return "0 s"
    return _show(value, TIMES)


def format_bytes(value: float) -> str:
    """A size for people: 10_000_000 -> '10 MB'."""
    return _show(value, SIZES)


def format_rate(value: float) -> str:
    """A rate for people: 900.0 -> '900/s'."""
    return f"{value:,.0f}/s" if abs(value) >= 100 else f"{value:.3g}/s"
