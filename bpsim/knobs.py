"""What one may change in a scenario: every option with its path, value, unit, default, meaning and real name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo

from bpsim.kafka.tables import TABLES
from bpsim.scenario import Scenario
from bpsim.tiers.flink import options as flink_options
from bpsim.tiers.flink.flink import FlinkSpec
from bpsim.tiers.flink.values import boolean, seconds, version_of, whole
from bpsim.units import EXAMPLES, parse, written

Kind = Literal["number", "duration", "size", "rate", "throughput", "choice", "switch", "text"]
QUANTITIES: tuple[Kind, ...] = ("duration", "size", "rate", "throughput")
NONE = "none"
"""How a value that is not there is shown."""
REAL_NAMES = {
    f"{tier}.{option.path}": option.name
    for tier, tables in TABLES.items()
    for table in reversed(tables.values())
    for option in table.acting
} | {
    "flink.parallelism": "parallelism.default",
    "flink.network_buffers.bytes": "taskmanager.memory.network.max",
    "writer.batch_rows": "sink.buffer-flush.max-rows",
    "writer.batch_interval": "sink.buffer-flush.interval",
}
"""Options that a real system has under another name (Kafka's clients and topics, Flink, Flink's JDBC sink)."""

FLINK = "flink.options."
"""What stands before one of Flink's own keys."""
DEBLOATING, TARGET = (f"{FLINK}{flink_options.DEBLOAT}.{name}" for name in ("enabled", "target"))
FLINK_WHY = {
    DEBLOATING: "whether buffers shrink until what is in them is consumed within a target time",
    TARGET: "how long what is in the buffers should take to be consumed: the less, the sooner a checkpoint or a stop is felt",
}
FLINK_KINDS: dict[Any, Kind] = {boolean: "switch", seconds: "duration", whole: "number"}


@dataclass(frozen=True)
class Option:
    """One value of a scenario. `value` and `default` are as an author would write them."""

    path: str
    kind: Kind
    value: str
    default: str
    why: str
    choices: tuple[str, ...] = ()
    """What may be written: the choices of a `choice`; of a union the members, as whole mappings."""
    labels: tuple[str, ...] = ()
    """What they are called."""
    optional: bool = False
    whole: bool = False
    """Whether the number has no fraction."""

    @property
    def real_name(self) -> str | None:
        """The key a real system has for it."""
        return self.path.removeprefix(FLINK) if self.path.startswith(FLINK) else REAL_NAMES.get(self.path)

    @property
    def help(self) -> str:
        """The sentence why, the unit, the default and the real key."""
        unit = {"duration": "a time", "size": "bytes", "rate": "per second", "throughput": "bytes per second"}.get(self.kind)
        parts = [
            self.why.rstrip("."),
            f"unit: {unit}" if unit else "",
            f"default: {self.default}" if self.default else "",
            f"real key: `{self.real_name}`" if self.real_name else "",
            f"path: `{self.path}`",
        ]
        return "; ".join(part for part in parts if part)


def options(scenario: Scenario) -> list[Option]:
    """Every option of `scenario`, in the order of the pipeline."""
    return list(_walk(scenario, ""))


def _walk(spec: BaseModel, prefix: str) -> Iterator[Option]:
    for name, field in type(spec).model_fields.items():
        value, path = getattr(spec, name), f"{prefix}{name}"
        if name == "kind" or path == "question":
            continue
        if isinstance(spec, FlinkSpec) and name == "options":
            yield from _flink_options(spec)
            continue
        members = _members(field)
        if isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _walk(item, f"{path}.{index}.")
        elif members:
            if prefix and (len(members) > 1 or _optional(field)):  # a whole tier is not a knob
                yield _union(path, field, members, value)
            if isinstance(value, BaseModel):
                yield from _walk(value, f"{path}.")
        else:
            yield _leaf(path, field, value)


def _flink_options(spec: FlinkSpec) -> Iterator[Option]:
    """Flink's own options in the version of a job."""
    version = version_of(spec.version)
    for option in flink_options.OPTIONS.values() if spec.operators else ():
        names = option.names_in(version)
        if not names:
            continue
        name = next((name for name in names if name in spec.options), names[0])
        path, default = f"{FLINK}{name}", option.default(version) or NONE
        kind, value = FLINK_KINDS.get(option.parsers[min(option.parsers)], "text"), spec.options.get(name, default)
        if kind in ("duration", "number") and not _readable(value, default, kind):
            kind = "text"
        yield Option(path, kind, value, default, FLINK_WHY.get(path, "an option of Flink's own"), whole=kind == "number")


def _readable(value: str, default: str, kind: Kind) -> bool:
    """Whether both are written as they would be elsewhere in a scenario."""
    try:
        return all((parse(text, kind) if kind in EXAMPLES else float(text)) > 0 for text in (value, default))
    except ValueError:
        return False


def _leaf(path: str, field: FieldInfo, value: Any) -> Option:
    quantity, optional = _quantity(field.annotation, *field.metadata), _optional(field)
    kind: Kind = quantity or _plain_kind(field, value)
    choices = tuple(map(str, _literals(field.annotation)))
    default = "" if field.is_required() else _write(field.get_default(), quantity)
    whole = quantity == "size" or int in (field.annotation, *get_args(field.annotation))
    return Option(path, kind, _write(value, quantity), default, field.description or "", choices, choices, optional, whole)


def _plain_kind(field: FieldInfo, value: Any) -> Kind:
    if _literals(field.annotation):
        return "choice"
    if field.annotation is bool or isinstance(value, bool):
        return "switch"
    numbers = {int, float} & {field.annotation, *get_args(field.annotation)}
    return "number" if numbers or isinstance(value, int | float) else "text"


def _write(value: Any, quantity: Kind | None) -> str:
    if value is None:
        return NONE
    if quantity is not None:
        return written(value, quantity)
    if isinstance(value, BaseModel):
        return _flow(value.model_dump(mode="json", exclude_none=True))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flow(tree: Any) -> str:
    text = yaml.safe_dump(tree, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return str(text).strip().removesuffix("...").strip()


def _union(path: str, field: FieldInfo, members: list[type[BaseModel]], value: Any) -> Option:
    found: dict[str, str] = {NONE: "null"} if _optional(field) else {}
    for member in members:
        for kind in _kinds(member):
            found[kind] = example(member, kind)
    if isinstance(value, BaseModel):
        kind = str(getattr(value, "kind", _kinds(type(value))[0]))
        current = found[kind] = _write(value, None)
    else:
        current = found[NONE] = "null"
    default = "" if field.is_required() else _write(field.get_default(), None)
    choices, labels = tuple(found.values()), tuple(found)
    return Option(path, "choice", current, default, field.description or "", choices, labels, _optional(field))


def _kinds(member: type[BaseModel]) -> tuple[str, ...]:
    field = member.model_fields.get("kind")
    return get_args(field.annotation) if field is not None else ("given",)


@cache
def example(member: type[BaseModel], kind: str) -> str:
    """The shortest mapping that says `kind` and what has no default, with values to start from."""
    return _flow(_example(member, kind))


def _example(member: type[BaseModel], kind: str) -> dict[str, Any]:
    tree: dict[str, Any] = {"kind": kind} if "kind" in member.model_fields else {}
    needed = [name for name, field in member.model_fields.items() if name != "kind" and field.is_required()]
    return tree | {name: _sample(member.model_fields[name], place) for place, name in enumerate(needed)}


def _sample(field: FieldInfo, place: int) -> Any:
    """Something to start from; the later of two quantities is the larger."""
    quantity, members, literals = _quantity(field.annotation, *field.metadata), _members(field), _literals(field.annotation)
    listed = get_origin(field.annotation) is tuple
    if listed and quantity is None:
        item = _models(get_args(field.annotation)[0])[0]
        return [_example(item, _kinds(item)[0]) | ({"at": 0} if "at" in item.model_fields else {})]
    if quantity is not None:
        value = written(parse(EXAMPLES[quantity], quantity) * (place + 1), quantity)
        return [value] if listed else value
    if members:
        return _example(members[0], _kinds(members[0])[0])
    if literals:
        return literals[0]
    limits = [getattr(limit, name) for limit in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)]
    below_one = any(limit == 1 for limit in limits[1:])
    return 0.5 if below_one else 10


def _members(field: FieldInfo) -> list[type[BaseModel]]:
    return _models(field.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (tuple, list, dict):
        return []
    return [model for part in get_args(annotation) for model in _models(part)]


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for part in get_args(annotation) for value in _literals(part))


def _optional(field: FieldInfo) -> bool:
    return NoneType in get_args(field.annotation)


def _quantity(*annotations: Any) -> Kind | None:
    """Which kind of quantity is written there."""
    for one in annotations:
        if isinstance(one, WithJsonSchema):
            shown = (one.json_schema or {}).get("examples", [None])[0]
            return next((kind for kind in QUANTITIES if EXAMPLES[kind] == shown), None)
        if found := _quantity(*get_args(one), *getattr(one, "__metadata__", ())):
            return found
    return None
