"""The text of a Flink configuration file, in either of its forms, as options that know their places (`GlobalConfiguration`).

`flink-conf.yaml` is no YAML: it is read line by line. `config.yaml` (1.19 on) is, and may be nested, flat, or both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from bpsim.document import InvalidScenario, Place, Problem, Where, parse_document
from bpsim.tiers.flink.conf import BadConf
from bpsim.tiers.flink.values import Version, as_text, in_words, shown

LEGACY, STANDARD = "flink-conf.yaml", "config.yaml"


@dataclass
class ConfFile:
    """What a file sets: Flink's keys and texts, where each stands, and what of it Flink passes over."""

    file: str
    options: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)
    values: dict[str, Place] = field(default_factory=dict)
    passed_over: list[Problem] = field(default_factory=list)
    overridden: dict[str, str] = field(default_factory=dict)
    """What was set from outside: key -> where."""

    def problem(self, key: str, what: str, hint: str = "", at_key: bool = False) -> Problem:
        """A problem with the option `key`; with the file, if it does not set it."""
        if key in self.overridden:
            return Problem(0, 0, what, hint, self.overridden[key])
        line, column = (self.keys if at_key else self.values).get(key, (0, 0))
        return Problem(line, column, what, hint, self.file)

    def faults(self, error: BadConf) -> list[Problem]:
        """What is wrong with the options, at their places."""
        return [self.problem(fault.key, in_words(fault, self.options)) for fault in error.faults]

    def set(self, key: str, text: str, at: Place, value_at: Place) -> None:
        """One option; the last of several with one key holds."""
        if key in self.options:
            line = self.keys[key][0]
            again = f"'{key}' stands again in line {at[0]}, and the last one holds"
            self.pass_over(self.keys[key], again, f"remove line {line}")
        self.options[key], self.keys[key], self.values[key] = text, at, value_at

    def override(self, key: str, text: str, origin: str) -> None:
        """Set an option from outside the file."""
        self.options[key], self.overridden[key] = text, origin

    def pass_over(self, at: Place, what: str, hint: str = "") -> None:
        """Note something that Flink skips."""
        self.passed_over.append(Problem(*at, what, hint, self.file))


def parse_conf(text: str, file: str, version: Version) -> ConfFile:
    """Read a configuration as `version` reads a file of this name. Raises `InvalidScenario` where Flink would not start."""
    found = ConfFile(file)
    name = PurePath(file).name
    if name == LEGACY and version >= (2, 0):
        message = f"Flink {shown(version)} reads {STANDARD} only, and would not start with this file; it is taken as if it did"
        found.pass_over((0, 0), message, f"rename it to {STANDARD}")
    if name == STANDARD and version < (1, 19):
        message = f"Flink {shown(version)} reads {LEGACY} only, and would not see this file; it is taken as if it did"
        found.pass_over((0, 0), message, f"rename it to {LEGACY}")
    if name == LEGACY or (name != STANDARD and version < (1, 19)):
        _read_lines(text, found)
    else:
        _read_yaml(text, found)
    return found


def default_version(file: str) -> Version:
    """The newest version that reads a file of this name."""
    return (1, 20) if PurePath(file).name == LEGACY else (2, 3)


def _read_lines(text: str, found: ConfFile) -> None:
    """Every line is cut at its first `#` and divided at its first colon with a blank; quotes are kept as they are."""
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.split("#", 1)[0]
        key, colon, value = plain.strip().partition(": ")
        at = (number, len(plain) - len(plain.lstrip()) + 1)
        if not plain.strip():
            continue
        if not colon:
            hint = "write 'key: value', with a blank after the colon" if ":" in key else "write 'key: value'"
            found.pass_over(at, f"'{_short(key)}' has no ': ' with something on both sides, and Flink skips the line", hint)
        elif not key.strip() or not value.strip():
            found.pass_over(at, "nothing on one side of the colon, and Flink skips the line", "write 'key: value'")
        else:
            start = plain.index(": ", at[1] - 1) + 2
            value_at = (number, start + len(plain[start:]) - len(plain[start:].lstrip()) + 1)
            found.set(key.strip(), value.strip(), at, value_at)


def _read_yaml(text: str, found: ConfFile) -> None:
    if not any(line.split("#", 1)[0].strip() for line in text.splitlines()):
        return
    try:
        document = parse_document(text, found.file, "a configuration is a mapping such as 'parallelism.default: 4'")
        if document.problems:
            raise InvalidScenario(document.problems)
    except InvalidScenario as error:
        said = [
            Problem(p.line, p.column, f"Error parsing YAML configuration: {p.what}", p.hint, p.file) for p in error.problems
        ]
        raise InvalidScenario(said) from None
    for where, value in _leaves(document.tree):
        key, at = ".".join(map(str, where)), document.keys[where]
        if value is None:
            found.pass_over(at, f"'{key}' has no value, and is skipped")
        else:
            found.set(key, _flow(value), at, document.values[where])


def _leaves(tree: dict[str, Any], where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """Every path that ends in something that is no mapping."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*where, key))
        else:
            yield (*where, key), value


def _flow(value: Any) -> str:
    """A value as text; lists in YAML's flow style, as Flink keeps them."""
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else as_text(value)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
