"""The page of scenario fields: every option with its path, unit, default, real name and meaning, walked from the schema
that editors use."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from bpsim.distributions import Distribution
from bpsim.knobs import REAL_NAMES
from bpsim.scenario_file import json_schema
from bpsim.units import EXAMPLES, KINDS, parse, written

Schema = dict[str, Any]
SAYS = {"type", "anyOf", "oneOf", "$ref", "items", "const", "enum"}
"""What a node of the schema says about its values; one that says nothing of it is a distribution."""
SHARED = {"Bound": "bound", "Constant": "distribution"}
"""Mappings that stand in many places have a section by their own name, known by the first of their members."""
HEAD = """\
# Scenario fields

Every option of a scenario, by its path: what `--set`, `bpsim phase` and `bpsim sweep` call it. Walked from the schema that
`bpsim schema` prints, so it is what this version accepts. *Needed* has no default. A field that is not here is refused, with
the nearest that is.

An option whose type is linked is a mapping of its own; one with several *kinds* is written `{kind: …, …}`.
"""


@cache
def schema() -> Schema:
    """Of scenario files; distributions, which the editors' schema leaves open, are filled in."""
    (union, *_) = get_args(Distribution)
    laws = TypeAdapter(union).json_schema(ref_template="#/$defs/{model}")
    known = dict(json_schema())
    return {**known, "$defs": {**known["$defs"], **laws.pop("$defs"), "Distribution": laws}}


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *_quantities(), *(line for section in sections() for line in section)]) + "\n"


def paths() -> set[str]:
    """The path of every option; those of a member of a union are the union's path and the option's name."""
    return {path for path, *_ in _all_rows()} | {path for path, _ in _places()}


def sections() -> Iterator[list[str]]:
    """One a mapping: its heading, what it is, and its options."""
    for path, node in _places():
        lines = ["", f"## {path} {{#{path}}}"]
        for _, spec in _members(node):
            kind = _kind(spec)
            lines += ["", f"### `kind: {kind}`", ""] if kind else [""]
            lines += [_about(spec), ""]
            lines += _table(path, spec)
        yield lines


def _about(spec: Schema) -> str:
    return " ".join(spec.get("description", "").split()).partition(" Raises ")[0]


def _table(path: str, spec: Schema) -> Iterator[str]:
    rows = [(name, node) for name, node in spec.get("properties", {}).items() if name != "kind"]
    if rows:
        yield "| option | value | default | real name | meaning |"
        yield "|---|---|---|---|---|"
    for name, node in rows:
        where = f"{path}.{name}" if path != "scenario" else name
        ours = [where, *(f"{where}.{unit}" for unit in ("records", "bytes"))]
        real = ", ".join(f"`{REAL_NAMES[place]}`" for place in ours if place in REAL_NAMES)
        default = _default(node) if name not in spec.get("required", ()) else "*needed*"
        yield f"| `{name}` | {_value(node, where)} | {default} | {real} | {_meaning(node)} |"


def _meaning(node: Schema) -> str:
    quantity, text = _quantity(node), node.get("description", "")
    return "" if quantity and text == f"a {quantity}, such as {EXAMPLES[quantity]}" else _cell(text)


def _places() -> list[tuple[str, Schema]]:
    """Every mapping with the path where it first stands, in the order of the pipeline."""
    found: dict[str, tuple[str, Schema]] = {}
    queue: list[tuple[str, Schema]] = [("scenario", _whole())]
    while queue:
        path, node = queue.pop(0)
        key = _key(node)
        if key in found:
            continue
        title = _members(node)[0][0]
        found[key] = (SHARED.get(title, path), node)
        inside = []
        for _, spec in _members(node):
            for name, child in spec.get("properties", {}).items():
                if _members(child):
                    inside.append((f"{path}.{name}" if path != "scenario" else name, child))
        queue = inside + queue if path != "scenario" else inside
    return list(found.values())


def _whole() -> Schema:
    whole = {key: value for key, value in schema().items() if key != "$defs"}
    return {"one": "scenario", **whole}


def _all_rows() -> Iterator[tuple[str, Schema]]:
    def walk(path: str, node: Schema, above: tuple[str, ...]) -> Iterator[tuple[str, Schema]]:
        for title, spec in _members(node):
            for name, child in spec.get("properties", {}).items():
                where = f"{path}.{name}" if path else name
                yield where, child
                if title not in above:
                    yield from walk(where, child, (*above, title))

    return walk("", _whole(), ())


def _members(node: Schema) -> list[tuple[str, Schema]]:
    """The mappings that may stand there, by title."""
    if "one" in node:
        return [("Scenario", node)]
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        return _members(schema()["$defs"][name]) or [(name, schema()["$defs"][name])]
    if "items" in node:
        return _members(node["items"])
    if not SAYS & node.keys():
        return _members({"$ref": "#/$defs/Distribution"})
    return [one for part in (*node.get("oneOf", ()), *node.get("anyOf", ())) for one in _members(part)]


def _key(node: Schema) -> str:
    return ",".join(sorted(name for name, _ in _members(node)))


def _kind(spec: Schema) -> str:
    kind = spec.get("properties", {}).get("kind", {})
    return " | ".join(kind.get("enum", [kind["const"]] if "const" in kind else []))


def _value(node: Schema, where: str) -> str:
    members = _members(node)
    listed = "list of " if "items" in node or any("items" in part for part in node.get("anyOf", ())) else ""
    if members:
        home = next(path for path, other in _places() if _key(other) == _key(node))
        return f"{listed}[{home}](#{home})"
    return listed + _cell(_plain(node))


def _plain(node: Schema) -> str:
    quantity = _quantity(node)
    if quantity:
        return f"{quantity}, such as `{EXAMPLES[quantity]}`"
    if "enum" in node:
        return " or ".join(f"`{one}`" for one in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    parts = [_plain(part) for part in (*node.get("anyOf", ()), *node.get("oneOf", ())) if part.get("type") != "null"]
    if parts:
        return " or ".join(dict.fromkeys(parts))
    if "items" in node:
        return _plain(node["items"])
    limits = [f"{sign} {node[name]:,}" for name, sign in LIMITS if name in node]
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    return " ".join([words.get(node.get("type", ""), "mapping"), *limits])


LIMITS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def _quantity(node: Schema) -> str | None:
    for part in (node, *node.get("anyOf", ())):
        shown = (part.get("examples") or [None])[0]
        found = next((kind for kind, example in EXAMPLES.items() if example == shown), None)
        if found:
            return found
    return None


def _default(node: Schema) -> str:
    if "default" not in node:
        return ""
    value, quantity = node["default"], _quantity(node)
    if value is None:
        return "none"
    if quantity:
        return f"`{written(parse(value, quantity), quantity)}`"
    if isinstance(value, dict):
        given = {key: _sizes(one) for key, one in value.items() if one is not None}
        return f"`{{{', '.join(f'{key}: {one}' for key, one in given.items())}}}`" if given else "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return _cell(f"`{value}`" if value != [] else "none")


def _sizes(value: Any) -> Any:
    """A number of bytes as an author would write it."""
    is_size = isinstance(value, str) and value.endswith(" B")
    return written(parse(value, "size"), "size") if is_size else value


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _quantities() -> Iterator[str]:
    yield "| quantity | example | units |"
    yield "|---|---|---|"
    for kind, units in KINDS.items():
        yield f"| {kind} | `{EXAMPLES[kind]}` | {', '.join(f'`{unit}`' for unit in units)} |"
