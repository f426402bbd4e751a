"""A spec whose fields can also be given under Kafka's real names: the two are one truth, the fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from bpsim.kafka.option import Option, Refused, Table, Version, version_of
from bpsim.spec import Misfits, Spec

Misfit = tuple[tuple[str | int, ...], str]
MISSING = object()


class KafkaSpec(Spec):
    """Options under real names are turned into fields before anything else, and what nobody has given gets the default of
    its client and version. So a resolved scenario holds fields only, and says everything."""

    tables: ClassVar[dict[str, Table]] = {}
    """By client; the first is the usual one."""
    version: str | None = Field(default=None, description="of the client; options default to what it ships")
    config: str | None = Field(default=None, description="a .properties file beside the scenario, read when it is loaded")
    ignored: dict[str, Any] = Field(default={}, description="options given that do not matter here")

    @classmethod
    def table(cls, client: object) -> Table:
        """The options of `client`, or of the usual one."""
        return cls.tables.get(str(client), next(iter(cls.tables.values())))

    @classmethod
    def settle(cls, tree: dict[str, Any], explicit: set[str], version: Version) -> list[Misfit]:
        """What a client does about options that depend on each other: it may change `tree`, or refuse."""
        return []

    @model_validator(mode="before")
    @classmethod
    def _in_fields(cls, tree: Any) -> Any:
        if not isinstance(tree, Mapping):
            return tree
        reading = _Reading(cls.table(tree.get("client", "")), dict(tree), set(cls.model_fields))
        reading.read_options()
        version = reading.read_version()
        if not reading.wrong:
            explicit = reading.paths_given()
            reading.fill_in(version)
            reading.wrong += cls.settle(reading.tree, explicit, version)
        if reading.wrong:
            raise Misfits(reading.wrong)
        return reading.tree

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        for table in cls.tables.values():
            for option in table.options:
                for name in option.names:
                    schema["properties"].setdefault(name, _option_schema(option))
        return schema


def _option_schema(option: Option) -> dict[str, Any]:
    why = option.ignored and f"ignored: {option.ignored}"
    means = why or option.not_modelled or f"Kafka's name for {option.path}"
    return option.value.schema() | {"description": means}


class _Reading:
    """One mapping on its way from options to fields; `wrong` collects what is refused."""

    def __init__(self, table: Table, tree: dict[str, Any], fields: set[str]) -> None:
        self.table = table
        self.tree = tree
        self.fields = fields
        self.wrong: list[Misfit] = []
        self._set_by: dict[str, str] = {}

    def read_version(self) -> Version:
        """The version given, or the latest."""
        given = self.tree.get("version")
        if isinstance(given, int | float) and not isinstance(given, bool):
            given = self.tree["version"] = str(given)
        try:
            return version_of(given if isinstance(given, str) else self.table.latest)
        except ValueError as error:
            self.wrong.append((("version",), str(error)))
            return version_of(self.table.latest)

    def read_options(self) -> None:
        """Turn every option under a real name into its field."""
        ignored = dict(self.tree.get("ignored") or {})
        for name in list(self.tree):
            option = self.table.find(name)
            if option is None and (name in self.fields or "." not in name):
                continue
            value = self.tree.pop(name)
            if option is None:
                self.wrong.append(((name,), f"'{name}' is not an option of {self.table.owner}{self.table.near(name)}"))
            elif option.path:
                self._read(name, option, value)
            elif option.ignored or self._is_default(name, option, value):
                ignored[name] = value
        if ignored:
            self.tree["ignored"] = ignored

    def _is_default(self, name: str, option: Option, value: Any) -> bool:
        """Whether an option that is not modelled is left as it is; complains otherwise."""
        try:
            same = option.default is not None and option.value.read(value) == option.value.read(option.default)
        except Refused as error:
            self.wrong.append(((name,), self.table.refuses(name, value, str(error))))
            return False
        if not same:
            self.wrong.append(((name,), f"'{name}' is not modelled: {option.not_modelled}"))
        return same

    def _read(self, name: str, option: Option, value: Any) -> None:
        if (other := self._set_by.get(option.path)) is not None:
            self.wrong.append(((name,), f"'{name}' and '{other}' are one option; leave one out"))
            return
        if option.path != name and _at(self.tree, option.path) not in (MISSING, None):
            self.wrong.append(((name,), f"'{name}' and '{option.path}' are one thing under two names; leave one out"))
            return
        try:
            read = option.value.read(value)
        except Refused as error:
            self.wrong.append(((name,), self.table.refuses(name, value, str(error))))
            return
        self._set_by[option.path] = name
        _put(self.tree, option.path, option.value.si(read))

    def paths_given(self) -> set[str]:
        """Paths of options that somebody has set, under either name."""
        return {option.path for option in self.table.acting if _at(self.tree, option.path) is not MISSING}

    def fill_in(self, version: Version) -> None:
        """Set what nobody has. A bound that is given as a field is complete; one given by options gets its other half."""
        by_hand = set(self.tree) - {path.split(".")[0] for path in self._set_by}
        left_out: frozenset[str] = frozenset() if self.table.together & set(self._set_by) else self.table.together
        for option in self.table.acting:
            if option.default is None or option.path in left_out:
                continue
            if option.path.split(".")[0] not in by_hand and _at(self.tree, option.path) is MISSING:
                _put(self.tree, option.path, option.default_in(version))


def _at(tree: Mapping[str, Any], path: str) -> Any:
    first, _, rest = path.partition(".")
    if first not in tree:
        return MISSING
    if not rest:
        return tree[first]
    return tree[first].get(rest, MISSING) if isinstance(tree[first], Mapping) else None


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    first, _, rest = path.partition(".")
    if not rest:
        tree[first] = value
    else:
        tree[first] = {**(tree.get(first) or {}), rest: value}
