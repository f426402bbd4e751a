"""An option of Kafka under its real name: how its value is read, what it defaults to, and which field of a spec it sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from bpsim.units import Plain

Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """`3.9.1` as (3, 9, 1). Raises `ValueError` for anything else."""
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,3}", text):
        raise ValueError(f"'{text[:40]}' is not a version such as 4.0 or 2.16.1")
    return tuple(int(part) for part in text.split("."))


class Refused(ValueError):
    """A value that Kafka refuses, with Kafka's reason."""


@dataclass(frozen=True)
class Whole:
    """A whole number between two limits; `scale` turns it into SI units, `unlimited` is the number that means no limit."""

    kind: str
    least: int
    most: int
    scale: float = 1
    unlimited: int | None = None

    def read(self, value: Any) -> int:
        """The number. Raises `Refused`."""
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[-+]?\d{1,19}", text):
            raise Refused(f"Not a number of type {'LONG' if self.most > 2**31 - 1 else 'INT'}")
        number = int(text)
        if number < self.least:
            raise Refused(f"Value must be at least {self.least}")
        if number > self.most:
            raise Refused(f"Value must be no more than {self.most}")
        return number

    def si(self, number: Any) -> float | int | None:
        """In the spec's units; None is no limit."""
        if number == self.unlimited:
            return None
        return number if self.kind == "count" else Plain(number * self.scale)

    def schema(self) -> dict[str, Any]:
        """For editors."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    @property
    def name(self) -> str:
        """For documentation."""
        return self.kind


@dataclass(frozen=True)
class Fraction:
    """Milliseconds that need not be whole (librdkafka's linger.ms)."""

    least: float
    most: float

    def read(self, value: Any) -> float:
        """The number. Raises `Refused`."""
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[-+]?(\d{1,12}\.?\d{0,12}|\.\d{1,12})", text):
            raise Refused("not a number")
        number = float(text)
        if not self.least <= number <= self.most:
            raise Refused(f"outside allowed range {self.least:g}..{self.most:g}")
        return number

    def si(self, number: Any) -> float:
        """Seconds."""
        return Plain(number * 1e-3)

    def schema(self) -> dict[str, Any]:
        """For editors."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}

    name = "ms"


@dataclass(frozen=True)
class Choice:
    """One of several words; each stands for a value of the spec's field."""

    words: tuple[tuple[str, Any], ...]

    def read(self, value: Any) -> str:
        """The word. Raises `Refused`."""
        text = str(value).strip().lower() if isinstance(value, bool) else str(value).strip()
        known = dict(self.words)
        found = next((word for word in known if word.lower() == text.lower()), None)
        if found is None:
            raise Refused(f"String must be one of: {', '.join(known)}")
        return found

    def si(self, word: Any) -> Any:
        """The value of the field."""
        return dict(self.words)[word]

    def schema(self) -> dict[str, Any]:
        """For editors."""
        words = [word for word, _ in self.words]
        if words == ["true", "false"]:
            return {"type": "boolean"}
        numbers = [int(word) for word in words if re.fullmatch(r"-?\d+", word)]
        return {"enum": [*words, *numbers]}

    @property
    def name(self) -> str:
        """For documentation."""
        return " or ".join(word for word, _ in self.words)


@dataclass(frozen=True)
class Anything:
    """Text that nobody looks at here."""

    def read(self, value: Any) -> Any:
        """As it is."""
        return value

    def si(self, value: Any) -> Any:
        """As it is."""
        return value

    def schema(self) -> dict[str, Any]:
        """For editors."""
        return {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}

    name = "text"


Value = Whole | Fraction | Choice | Anything
FLAG = Choice((("true", True), ("false", False)))


def words(*names: str) -> Choice:
    """Words that stand for themselves."""
    return Choice(tuple((name, name) for name in names))


def milliseconds(least: int = 0, most: int = 2**31 - 1, unlimited: int | None = None) -> Whole:
    """A time."""
    return Whole("ms", least, most, 1e-3, unlimited)


def count(least: int = 0, most: int = 2**31 - 1, unlimited: int | None = None) -> Whole:
    """A number of things."""
    return Whole("count", least, most, 1, unlimited)


def size(least: int = 0, most: int = 2**63 - 1, unlimited: int | None = None, kilo: bool = False) -> Whole:
    """Bytes, or units of 1024 bytes."""
    return Whole("KiB" if kilo else "bytes", least, most, 1024 if kilo else 1, unlimited)


@dataclass(frozen=True)
class Option:
    """One option of one client. `path` is the field it sets, as in `batch.bytes`; without one it is `ignored` or
    `not_modelled`, with the reason."""

    names: tuple[str, ...]
    value: Value
    default: Any = None
    path: str = ""
    ignored: str = ""
    not_modelled: str = ""
    older: tuple[Version, Any] | None = None
    """A version, and the default before it."""

    @property
    def name(self) -> str:
        """The principal name."""
        return self.names[0]

    def default_in(self, version: Version) -> Any:
        """The default, in the spec's units; None is unset or no limit."""
        default = self.older[1] if self.older is not None and version < self.older[0] else self.default
        return None if default is None else self.value.si(self.value.read(default))


def option(names: str, value: Value, default: Any, path: str, older: tuple[Version, Any] | None = None) -> Option:
    """An option that acts here; `names` holds the principal name and its aliases."""
    return Option(tuple(names.split()), value, default, path, older=older)


def ignored(names: str, why: str) -> tuple[Option, ...]:
    """Options that do not matter here."""
    return tuple(Option((name,), Anything(), ignored=why) for name in names.split())


def not_modelled(name: str, value: Value, default: Any, why: str) -> Option:
    """An option that would matter and is not built: only its default is accepted."""
    return Option((name,), value, default, not_modelled=why)


def java_refuses(name: str, value: Any, why: str) -> str:
    """ConfigException's text."""
    return f"Invalid value {value} for configuration {name}: {why}"


def librdkafka_refuses(name: str, value: Any, why: str) -> str:
    """The text of `rd_kafka_conf_set`."""
    return f'Configuration property "{name}" value "{value}": {why}'


@dataclass(frozen=True)
class Table:
    """The options of one client."""

    owner: str
    latest: str
    """The version that defaults are taken from when none is given."""
    options: tuple[Option, ...]
    prefixes: tuple[str, ...] = ()
    """Whole families that do not matter here."""
    refuses: Callable[[str, Any, str], str] = java_refuses
    together: frozenset[str] = frozenset()
    """Paths whose defaults hold once one of them has been given under Kafka's name."""
    by_name: dict[str, Option] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {name: option for option in self.options for name in option.names})

    def find(self, name: str) -> Option | None:
        """The option called `name`."""
        found = self.by_name.get(name)
        if found is None and name.startswith(self.prefixes):
            return Option((name,), Anything(), ignored="security, metrics and names do not change the time anything takes")
        return found

    def near(self, name: str) -> str:
        """`did you mean …?`, or nothing."""
        near = get_close_matches(name, self.by_name, 1, 0.6)
        return f"; did you mean '{near[0]}'?" if near else ""

    @property
    def acting(self) -> Iterator[Option]:
        """Those that set a field."""
        return (option for option in self.options if option.path)
