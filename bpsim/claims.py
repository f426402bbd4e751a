"""Claims: `expect:` lines such as `naive.after_goodput_per_s < 0.1 * naive.after_offered_per_s`.

Python's grammar, parsed and walked over a short list of allowed nodes; nothing is ever evaluated as code.
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
class Verdict:
    """Whether a claim holds, and the numbers it was about."""

    claim: str
    passed: bool
    values: dict[str, float]


@dataclass(frozen=True)
class Claim:
    """A parsed claim."""

    text: str
    tree: ast.Compare

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

    def check(self, summaries: Summaries) -> Verdict:
        """Hold the claim against each variant's summary. A comparison with NaN (it never happened) fails."""
        values: dict[str, float] = {}

        def value(node: ast.expr) -> float:
            return _value(node, lambda variant, metric: look_up(variant, metric))

        def look_up(variant: str | None, metric: str) -> float:
            name = variant if variant is not None else next(iter(summaries))
            found = float(summaries[name][metric])
            values[f"{variant}.{metric}" if variant else metric] = found
            return found

        terms = [value(node) for node in (self.tree.left, *self.tree.comparators)]
        pairs = zip(terms, self.tree.ops, terms[1:], strict=False)
        holds = [not (isnan(a) or isnan(b)) and COMPARISONS[type(op)](a, b) for a, op, b in pairs]
        return Verdict(self.text, all(holds), values)


def parse(text: str) -> Claim:
    """Read a claim. Raises `ValueError` saying what cannot be read."""
    if len(text) > 500:
        raise ValueError("longer than 500 characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{getattr(error, 'msg', error)}: '{text}'") from None
    if not isinstance(tree, ast.Compare):
        raise ValueError(f"'{text}' compares nothing; write for example 'naive.amplification > 3'")
    if any(type(op) not in COMPARISONS for op in tree.ops):
        raise ValueError("compare with <, <=, >, >=, == or !=")
    claim = Claim(text, tree)
    for node in (tree.left, *tree.comparators):
        _value(node, lambda variant, metric: 1.0)
    return claim


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
            return (
                nan
                if any(map(isnan, terms))
                else float(FUNCTIONS[name](*terms) if len(terms) > 1 or name == "abs" else terms[0])
            )
    raise ValueError(f"'{ast.unparse(node)}' is not allowed; there are numbers, variant.metric, + - * /, min, max, abs")


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
