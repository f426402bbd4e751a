"""Claims: `expect:` lines such as `naive.after_goodput_per_s < 0.1 * naive.after_offered_per_s`.

Python's grammar, parsed and walked over a short list of allowed nodes; nothing is ever evaluated as code.
A comparison with NaN fails; `isnan(naive.recovery_time_s)`, alone or after `not`, asks for one.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isnan, nan
from typing import Any

from bpsim.units import KINDS
from bpsim.units import parse as parse_quantity

ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b if b else nan,
}
COMPARISONS: dict[type[ast.AST], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}
Summaries = Mapping[str, Mapping[str, float]]


class UnknownName(ValueError):
    """A claim about a variant or metric that does not exist."""


@dataclass(frozen=True)
class Judged:
    """Whether a claim holds, and the numbers it was about."""

    claim: str
    passed: bool
    values: dict[str, float]
    note: str = ""
    """Which values are NaN, where that is why the claim fails."""

    @property
    def numbers(self) -> str:
        """The values, in words."""
        return ", ".join(f"{name} = {value:.4g}" for name, value in self.values.items())


@dataclass(frozen=True)
class Claim:
    """A parsed claim."""

    text: str
    tree: ast.expr
    share: float = 1.0
    """The share of the seeds in which it must hold; `bpsim test` counts."""

    @property
    def names(self) -> list[tuple[str | None, str]]:
        """The (variant or None, metric) pairs it is about, in order."""
        found: list[tuple[str | None, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.append((node.value.id, node.attr))
        attributes = {node.value for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}
        functions = {node.func for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node not in attributes and node not in functions:
                found.append((None, node.id))
        return found

    def check_names(self, variants: Collection[str], metrics: Collection[str]) -> None:
        """Raises `UnknownName` for a variant or metric that does not exist, with the nearest that does."""
        for variant, metric in self.names:
            if variant is None and len(variants) != 1:
                raise UnknownName(f"which variant's '{metric}'? Write {next(iter(variants), 'base')}.{metric}")
            if variant is not None and variant not in variants:
                raise UnknownName(f"there is no variant '{variant}'{_near(variant, variants)}")
            if metric not in metrics:
                raise UnknownName(f"there is no metric '{metric}'{_near(metric, metrics)}")

    def miss(self, summaries: Summaries) -> float:
        """How far it is from holding: 0 when it holds; otherwise how far apart its two sides are, as a share of the larger,
        at most 1; 1 when a side is NaN or the claim is no comparison."""
        if self.check(summaries).passed:
            return 0.0
        if not isinstance(self.tree, ast.Compare):
            return 1.0
        first = next(iter(summaries))
        sides = [
            _value(side, lambda variant, metric: float(summaries[variant or first][metric]))
            for side in (self.tree.left, *self.tree.comparators)
        ]
        gaps = [
            min(1.0, abs(a - b) / max(abs(a), abs(b), 1e-300))
            for a, op, b in zip(sides, self.tree.ops, sides[1:], strict=False) if not COMPARISONS[type(op)](a, b)
        ]  # fmt: skip
        return max(1.0 if isnan(gap) else max(gap, 1e-9) for gap in gaps)

    def check(self, summaries: Summaries) -> Judged:
        """Hold the claim against each variant's summary. A comparison with NaN (it never happened) fails."""
        values: dict[str, float] = {}

        def look_up(variant: str | None, metric: str) -> float:
            name = variant if variant is not None else next(iter(summaries))
            found = float(summaries[name][metric])
            values[f"{variant}.{metric}" if variant else metric] = found
            return found

        passed, undefined = _holds(self.tree, look_up)
        missing = [name for name, value in values.items() if isnan(value)]
        if passed or not undefined:
            return Judged(self.text, passed, values)
        return Judged(self.text, passed, values, f"{' and '.join(missing)} is NaN" if missing else "a division by 0")


def parse(text: str, share: float = 1.0) -> Claim:
    """Read a claim that is to hold in a `share` of the seeds. Raises `ValueError` saying what cannot be read."""
    if len(text) > 500:
        raise ValueError("longer than 500 characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _holds(tree, lambda variant, metric: 1.0)
    except SyntaxError as error:
        raise ValueError(f"{error.msg}: '{text}'") from None
    except (RecursionError, MemoryError):
        raise ValueError("nested too deeply") from None
    except OverflowError:
        raise ValueError("a number is too large") from None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"its share must be a number above 0, at most 1, not '{share}'")
    return Claim(text, tree, float(share))


def _holds(node: ast.expr, look_up: Callable[[str | None, str], float]) -> tuple[bool, bool]:
    """Whether the claim holds, and whether a comparison met a NaN."""
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call(func=ast.Name(id="isnan")) as test):
            return not _holds(test, look_up)[0], False
        case ast.Call(func=ast.Name(id="isnan"), args=[one], keywords=[]):
            return isnan(_value(one, look_up)), False
        case ast.Compare(left=left, ops=ops, comparators=others):
            if any(type(op) not in COMPARISONS for op in ops):
                raise ValueError("compare with <, <=, >, >=, == or !=")
            terms = [_value(term, look_up) for term in (left, *others)]
            pairs = zip(terms, ops, terms[1:], strict=False)
            undefined = any(map(isnan, terms))
            return not undefined and all(COMPARISONS[type(op)](a, b) for a, op, b in pairs), undefined
    raise ValueError(f"'{_source(node)}' compares nothing; write for example 'naive.amplification > 3'")


def _value(node: ast.expr, look_up: Callable[[str | None, str], float]) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("true and false are not numbers")
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Constant(value=str() as quantity):
            return _quantity(quantity)
        case ast.Name(id=metric):
            return look_up(None, metric)
        case ast.Attribute(value=ast.Name(id=variant), attr=metric):
            return look_up(variant, metric)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, look_up)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](_value(left, look_up), _value(right, look_up))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS and args:
            terms = [_value(arg, look_up) for arg in args]
            if name == "abs" and len(terms) > 1:
                raise ValueError("abs takes one number")
            if any(map(isnan, terms)):
                return nan
            return float(FUNCTIONS[name](*terms)) if name == "abs" or len(terms) > 1 else terms[0]
    raise ValueError(f"'{_source(node)}' is not allowed; there are numbers, variant.metric, + - * /, min, max, abs, isnan")


def _source(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _quantity(text: str) -> float:
    for kind in KINDS:
        try:
            return float(parse_quantity(text, kind, bare=False))
        except ValueError:
            continue
    raise ValueError(f"'{text}' is not a quantity such as '30 s' or '10 MB'")


def _near(word: str, known: Collection[str]) -> str:
    near: list[Any] = get_close_matches(word, list(known), 1, 0.5)
    return f"; did you mean '{near[0]}'?" if near else f" (there are {', '.join(known)})" if len(known) < 10 else ""
