"""Pydantic's findings in a user's words, at the user's line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bpsim.document import Document, Key, Problem, Where
from bpsim.spec import Misfits

PLAIN = {
    "int_parsing": "a whole number is needed",
    "int_parsing_size": "a whole number is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_parsing": "a number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_parsing": "true or false is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed",
    "tuple_type": "a list is needed",
    "list_type": "a list is needed",
    "dict_type": "a mapping of names to values is needed",
    "model_type": "a mapping of names to values is needed",
    "model_attributes_type": "a mapping of names to values is needed",
}
LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def complaints(error: ValidationError, document: Document, model: type[BaseModel], prefix: Where = ()) -> list[Problem]:
    """Every error of a validation of `model`, which stands at `prefix` in `document` (or was merged from there)."""
    problems: list[Problem] = []
    for one in error.errors(include_url=False):
        cause = one.get("ctx", {}).get("error")
        if isinstance(cause, Misfits):
            problems += misfits(cause, document, prefix, one["loc"])
        else:
            where = _place(document, prefix, one["loc"])
            problems.append(_problem(dict(one), where, document, model))
    return problems


def misfits(cause: Misfits, document: Document, prefix: Where = (), loc: Where = ()) -> Iterator[Problem]:
    """Each part that does not fit, in its place; `loc` is the part of the model that said so."""
    for inside, what in cause.found:
        path = (*loc, *inside)
        yield document.problem(_place(document, prefix, path), f"{'.'.join(map(str, path))}: {what}")


def _place(document: Document, prefix: Where, loc: Sequence[Key]) -> Where:
    """Where `loc` stands: in the part at `prefix` if it goes deep enough there, otherwise in the file itself, or in another."""
    if (*prefix, *loc) in document.imported:
        return (*prefix, *loc)
    inside, outside = _path_in(document.tree, prefix, loc), _path_in(document.tree, (), loc)
    return inside if len(inside) - len(prefix) >= len(outside) else outside


def _path_in(tree: Any, prefix: Where, loc: Sequence[Key]) -> Where:
    """`loc` without the parts (names of unions' members) that do not stand in the file; a missing last key is kept."""
    node: Any = tree
    for key in prefix:
        node = _inside(node, key)
    path = list(prefix)
    for key in loc:
        there = _inside(node, key)
        if there is not _NOWHERE:
            node = there
            path.append(key)
    return tuple(path)


_NOWHERE = object()


def _inside(node: Any, key: Key) -> Any:
    """What stands at `key` of a mapping or list, or `_NOWHERE`."""
    if isinstance(node, dict):
        return node.get(key, _NOWHERE)
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        return node[key]
    return _NOWHERE


def _problem(one: dict[str, Any], where: Where, document: Document, model: type[BaseModel]) -> Problem:
    kind, context, value = one["type"], one.get("ctx", {}), one.get("input")
    name = ".".join(map(str, where[-2:] if where and isinstance(where[-1], int) else where[-1:]))
    here = f"'{name}': " if name else ""
    if kind == "extra_forbidden":
        word = str(one["loc"][-1])
        coming = _coming(model, one["loc"][:-1]).get(word)
        if coming is not None:
            return document.problem(where, f"'{word}' is not built yet: {coming}", "", True)
        known = _fields(model, one["loc"][:-1])
        owner = str(where[-2]) if len(where) > 1 else "a scenario"
        return document.problem(where, f"'{_short(name)}' is not a field of {owner}", _did_you_mean(name, known), True)
    if kind == "missing":
        return document.problem(where, f"{here}'{one['loc'][-1]}' is missing", "", True)
    if kind in ("union_tag_invalid", "literal_error", "enum"):
        allowed = _words(context.get("expected_tags") or context.get("expected") or "")
        given = context.get("tag", value)
        at = (*where, "kind") if kind == "union_tag_invalid" else where
        hint = _did_you_mean(str(given), allowed) or f"one of {', '.join(allowed)}"
        return document.problem(at, f"{here}'{_short(given)}' is not known here", hint)
    if kind == "union_tag_not_found":
        return document.problem(where, f"{here}'kind' is missing", "", True)
    if kind in LIMITS:
        word, key = LIMITS[kind]
        return document.problem(where, f"{here}{_short(value)} must be {word} {context[key]}")
    if kind == "value_error":
        return document.problem(where, f"{here}{context['error']}")
    if kind in PLAIN:
        return document.problem(where, f"{here}{PLAIN[kind]}, not {_kind_of(value)}")
    return document.problem(where, f"{here}{_short(str(one['msg']))}")


def _words(text: str) -> list[str]:
    return [word.strip(" '") for word in text.replace(" or ", ", ").split(",") if word.strip(" '")]


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, 1, 0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known are {', '.join(known)}" if known and len(known) < 15 else ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind_of(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else f"'{_short(value)}'"


def _fields(model: Any, loc: Sequence[Key]) -> list[str]:
    """The fields of the model that `loc` leads to."""
    return sorted({name for found in _models_at(model, loc) for name in found.model_fields})


def _coming(model: Any, loc: Sequence[Key]) -> dict[str, str]:
    """The options planned for the model that `loc` leads to."""
    return {name: why for found in _models_at(model, loc) for name, why in getattr(found, "not_yet", {}).items()}


def _models_at(model: Any, loc: Sequence[Key]) -> list[type[BaseModel]]:
    """The models that `loc` leads to, through options, lists and tagged unions."""
    for key in loc:
        models = _models(model)
        if isinstance(key, int):
            continue
        tagged = [m for m in models if key in _tags(m)]
        if tagged:
            model = tagged[0]
            continue
        owner = next((m for m in models if key in m.model_fields), None)
        if owner is None:
            return []
        model = owner.model_fields[key].annotation
    return _models(model)


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
