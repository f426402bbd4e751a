"""`.properties` files, by the rules of `java.util.Properties.load`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bpsim.document import InvalidScenario, Problem

MAX_BYTES = 1 << 20
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
BLANK = " \t\f"


@dataclass(frozen=True)
class Entry:
    """One key with its value, and where the key stands (from 1)."""

    key: str
    value: str
    line: int
    column: int


def read_properties(path: Path) -> list[Entry]:
    """The entries of the file at `path`, of several with one key the last. Raises `InvalidScenario` with every problem."""
    return entries(_text(path), str(path))


def entries(text: str, file: str) -> list[Entry]:
    """The entries of the text of `file`."""
    problems: list[Problem] = []
    found: dict[str, Entry] = {}
    for line, column, logical in _logical_lines(text):
        try:
            entry = _entry(logical, line, column)
        except ValueError as error:
            problems.append(Problem(line, column, str(error), "", file))
        else:
            found[entry.key] = entry
    if problems:
        raise InvalidScenario(problems)
    return list(found.values())


def _text(path: Path) -> str:
    def refuse(what: str, hint: str = "") -> InvalidScenario:
        return InvalidScenario([Problem(0, 0, what, hint, str(path))])

    try:
        if path.stat().st_size > MAX_BYTES:
            raise refuse(f"more than {MAX_BYTES:,} bytes of options")
        return path.read_bytes().decode("latin-1")
    except FileNotFoundError:
        raise refuse("there is no such file", "paths are relative to the scenario's folder") from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {error}") from None


def _logical_lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, column and text; a line that ends with an odd number of backslashes goes on, comments and blanks are left out."""
    begun: tuple[int, int, str] | None = None
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        stripped = raw.lstrip(BLANK)
        if begun is None and (not stripped or stripped[0] in "#!"):
            continue
        line, column, before = begun or (number, len(raw) - len(stripped) + 1, "")
        slashes = len(stripped) - len(stripped.rstrip("\\"))
        begun = (line, column, before + stripped[: len(stripped) - slashes % 2])
        if slashes % 2 == 0:
            yield begun
            begun = None
    if begun is not None:
        yield begun


def _entry(text: str, line: int, column: int) -> Entry:
    match = re.match(r"(?:\\.|[^\\=: \t\f])*", text, re.DOTALL)
    assert match is not None
    end = match.end()
    rest = text[end:].lstrip(BLANK)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(BLANK)
    return Entry(_unescaped(text[:end]), _unescaped(rest), line, column)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] != "u":
            return ESCAPES.get(code, code)
        if len(code) != 5:
            raise ValueError("Malformed \\uxxxx encoding.")
        return chr(int(code[1:], 16))

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", plain, text, flags=re.DOTALL)
