"""Values to choose from for an option: preferred numbers around its own."""

from __future__ import annotations

from math import floor, log10

from bpsim.knobs import NONE, Option
from bpsim.units import EXAMPLES, parse, written

RENARD = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""R10 of ISO 3: ten even steps a decade."""


def ladder(option: Option, decades: int = 1) -> tuple[str, ...]:
    """Values to choose from: `decades` up and down from the option's own and its default, in steps of R10; `none` where that
    may be."""
    given = [text for text in (option.value, option.default) if text not in ("", NONE)]
    if not given:
        given = [{"duration": "1 s", "size": "1 MB", "rate": "100/s", "throughput": "10 MB/s"}.get(option.kind, "100")]
    center = _number(given[0], option)
    if center <= 0:
        given, center = [*given], _number({"duration": "10 ms", "size": "1 kB"}.get(option.kind, "1"), option)
    values = {round(step) if option.whole else float(f"{step:.3g}") for step in preferred(center, decades)} - {0}
    by_value = {_round(value): _text(value, option) for value in values}
    by_value |= {_round(_number(text, option)): text for text in given}
    return ((NONE,) if option.optional else ()) + tuple(by_value[value] for value in sorted(by_value))


def preferred(center: float, decades: int) -> list[float]:
    """The R10 numbers from `decades` below `center` to as many above it."""
    low = floor(log10(center)) - decades
    steps = [factor * 10.0**power for power in range(low, low + 2 * decades + 2) for factor in RENARD]
    return [step for step in steps if center / 10.0**decades * 0.999 <= step <= center * 10.0**decades * 1.001]


def around(option: Option) -> list[str]:
    """Some of the option's `ladder` to begin with: its own value, and every other one up to four steps away."""
    steps = ladder(option)
    at = steps.index(option.value)
    return [steps[step] for step in range(at - 4, at + 5, 2) if 0 <= step < len(steps)]


def _round(value: float) -> float:
    return float(f"{value:.9g}")


def _number(text: str, option: Option) -> float:
    return parse(text, option.kind) if option.kind in EXAMPLES else float(text)


def _text(value: float, option: Option) -> str:
    if option.kind == "size":
        return min((written(float(f"{value / base:.3g}") * base, "size") for base in (1, 1000)), key=len)
    return written(value, option.kind) if option.kind in EXAMPLES else f"{value:g}"
