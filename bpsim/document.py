"""A YAML file as a tree in which every key and value knows its place, and everything that is wrong with it, at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 50_000
FRAME_WIDTH = 100
"""Characters of a line shown around a problem."""
PLAIN_TAGS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value"}

Key = str | int
Where = tuple[Key, ...]
Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: where, what, and the way out."""

    line: int
    column: int
    what: str
    hint: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.what}" + (f"; {self.hint}" if self.hint else "")


class InvalidScenario(ValueError):
    """A scenario that cannot be run. `problems` has one entry a fault, in order of place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class Document:
    """The tree of a YAML file, and the places of its keys and values by path (`("faults", 0, "at")`)."""

    file: str
    tree: dict[str, Any]
    keys: dict[Where, Place] = field(default_factory=dict)
    values: dict[Where, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the file itself, and leaves a tree all the same: a key that stands there twice, a tag."""
    sets: dict[Where, str] = field(default_factory=dict)
    """Paths that came from `--set`, and its text."""
    imported: dict[Where, tuple[str, Place]] = field(default_factory=dict)
    """Paths that came from another file: which, and where there."""
    remarks: list[Problem] = field(default_factory=list)
    """What is no fault and yet not as it seems."""
    folder: Path | None = None
    """Where files that it names are looked for; None when it may name none."""
    confined: bool = False
    """Whether they must lie in there."""

    def beside(self, where: Where, name: str) -> Path:
        """The file that `name`, which stands at `where`, means. Raises `InvalidScenario` when it may not be read."""
        what, hint = "", "paths are relative to the folder of the scenario file"
        if self.folder is None:
            what, hint = "a scenario that is no file has no other files beside it", ""
        elif self.confined and not (self.folder / name).resolve().is_relative_to(self.folder.resolve()):
            what, hint = f"{name} is not among the shipped files", "for a text no others are read"
        elif not (self.folder / name).exists():
            what = f"there is no file {name}"
        if what or self.folder is None:
            raise InvalidScenario([self.problem(where, f"'{where[-1]}': {what}", hint)])
        return self.folder / name

    def problem(self, where: Where, what: str, hint: str = "", at_key: bool = False) -> Problem:
        """A problem at `where`, or at the nearest part of it that stands in the file."""
        path = where[2:] if where[:1] == ("variants",) and where not in self.sets else where
        for changed, assignment in self.sets.items():
            if changed == path[: len(changed)] or (path and changed[: len(path)] == path):
                return Problem(0, 0, what, hint, f"--set {assignment}")
        imported = self.imported.get(where) or self.imported.get(path)
        if imported is not None:
            file, (line, column) = imported
            return Problem(line, column, what, hint, file)
        if where not in self.values and path in self.values:
            where = path  # a variant has it from the base
        places = self.keys if at_key and where in self.keys else self.values
        while where and where not in places:
            where, places = where[:-1], self.values
        line, column = places.get(where, (1, 1))
        return Problem(line, column, what, hint, self.file)

    def set(self, assignment: str, dotted: Collection[str] = ()) -> None:
        """Apply `path=value`, as of `--set`; keys in `dotted` have dots of their own. Raises `InvalidScenario` when the path
        leads nowhere."""
        path, equals, text = assignment.partition("=")
        where = _path(path.strip(), dotted)
        origin = f"--set {assignment}"
        if not equals or not all(str(part) for part in where):
            raise InvalidScenario([Problem(0, 0, "not of the form path=value", "--set client.retry.kind=none", origin)])
        try:
            value = _Reader("--set", []).read(text).tree_or_value
        except yaml.YAMLError:
            value = text
        node: Any = self.tree
        for depth, part in enumerate(where[:-1]):
            if isinstance(node, dict) and isinstance(part, str):
                if node.get(part) is None:
                    node[part] = {}
                node = node[part]
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                node = None
            if not isinstance(node, dict | list):
                shown = ".".join(map(str, where[: depth + 1]))
                raise InvalidScenario([Problem(0, 0, f"there is nothing inside '{shown}' to set", "", origin)])
        last = where[-1]
        if isinstance(node, list) and not (isinstance(last, int) and last < len(node)):
            raise InvalidScenario([Problem(0, 0, f"the list has {len(node)} entries, numbered from 0", "", origin)])
        put(node, last, value)
        self.sets[where] = assignment


def _path(text: str, dotted: Collection[str]) -> Where:
    """The keys of a path with dots between them; what stands behind `options`, or is in `dotted`, is one key with dots of its
    own."""
    parts = text.split(".")
    begin = parts.index("options") + 1 if "options" in parts[:-1] else len(parts)
    begin = next((at for at in range(1, len(parts) - 1) if ".".join(parts[at:]) in dotted), begin)
    if begin < len(parts):
        parts[begin:] = [".".join(parts[begin:])]
    return tuple(int(part) if part.isdigit() else part for part in parts)


def put(node: Any, key: Key, value: Any) -> None:
    """Set an entry; another `kind` makes the rest of its mapping meaningless, so it goes."""
    if key == "kind" and node.get("kind") != value:
        node.clear()
    node[key] = value


@dataclass
class _Read:
    tree_or_value: Any


class _Reader:
    """Builds the tree from YAML's node graph by itself: no tags, no surprising booleans, no expanded alias bombs."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.keys: dict[Where, Place] = {}
        self.values: dict[Where, Place] = {}
        self.nodes = 0

    def read(self, text: str) -> _Read:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return _Read(self.build(node, (), 0) if node is not None else None)

    def complain(self, node: yaml.Node, what: str, hint: str = "") -> None:
        mark = node.start_mark
        self.problems.append(Problem(mark.line + 1, mark.column + 1, what, hint, self.file))

    def build(self, node: yaml.Node, where: Where, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _TooMuch(node, f"more than {MAX_NODES:,} values once aliases are expanded")
        if depth > MAX_DEPTH:
            raise _TooMuch(node, f"nested more than {MAX_DEPTH} deep")
        self.values[where] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        self.refuse_tags(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, index), depth + 1) for index, item in enumerate(node.value)]
        return self.mapping(node, where, depth)

    def mapping(self, node: yaml.Node, where: Where, depth: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.complain(key_node, "a key must be a plain word")
                continue
            key = key_node.value
            path = (*where, key)
            if key in tree:
                line = self.keys[path][0]
                self.complain(key_node, f"'{_short(key)}' stands here a second time", f"the first is in line {line}")
            self.keys[path] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            tree[key] = self.build(value_node, path, depth + 1)
        return tree

    def refuse_tags(self, node: yaml.Node) -> None:
        """Only what YAML itself gives to plain values."""
        if node.tag.removeprefix("tag:yaml.org,2002:") not in PLAIN_TAGS:
            self.complain(node, f"the tag '{_short(node.tag)}' is not allowed", "write plain values")

    def scalar(self, node: yaml.ScalarNode) -> Any:
        self.refuse_tags(node)
        text = node.value
        if node.style is not None:
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if re.fullmatch(r"[-+]?\d{1,18}", text):
            return int(text)
        if re.fullmatch(r"[-+]?(\d{1,300}\.?\d{0,300}|\.\d{1,300})([eE][-+]?\d{1,3})?", text):
            return float(text)
        return text


class _TooMuch(Exception):
    def __init__(self, node: yaml.Node, what: str) -> None:
        self.node = node
        self.what = what


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_document(path: Path | str) -> Document:
    """Read the YAML file at `path`. Raises `InvalidScenario` when there is no tree to go on with, whatever the file holds."""
    document = parse_document(read_text(Path(path), str(path)), str(path))
    document.folder = Path(path).parent
    return document


A_SCENARIO = "a scenario is a mapping such as 'question: …'"


def parse_document(text: str, file: str, form: str = A_SCENARIO) -> Document:
    """Read YAML of this `form`; `file` is what problems call it. Raises `InvalidScenario` when there is no tree to go on
    with; a tree that has problems all the same holds them."""
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        raise InvalidScenario([_too_large(size, file)])
    problems: list[Problem] = []
    reader = _Reader(file, problems)
    try:
        tree = reader.read(text).tree_or_value
    except yaml.YAMLError as error:
        raise InvalidScenario([*problems, _syntax_problem(error, file)]) from None
    except _TooMuch as error:
        reader.complain(error.node, error.what, "a scenario is a few hundred lines")
        raise InvalidScenario(problems) from None
    except RecursionError:
        raise InvalidScenario([Problem(1, 1, f"nested more than {MAX_DEPTH} deep", "", file)]) from None
    if not isinstance(tree, dict):
        raise InvalidScenario([*problems, Problem(1, 1, form, "", file)])
    return Document(file, tree, reader.keys, reader.values, problems)


def read_text(path: Path, file: str) -> str:
    """What is in the file at `path`. Raises `InvalidScenario`, calling it `file`."""

    def refuse(what: str, hint: str = "") -> InvalidScenario:
        return InvalidScenario([Problem(0, 0, what, hint, file)])

    if path.is_dir():
        raise refuse("this is a folder, not a file")
    try:
        size = path.stat().st_size
        text = path.read_bytes()[: MAX_BYTES + 1].decode("utf-8-sig") if size <= MAX_BYTES else ""
    except FileNotFoundError:
        raise refuse("there is no such file", "`bpsim list` shows the scenarios that are shipped") from None
    except UnicodeDecodeError as error:
        raise refuse(f"not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {error}") from None
    if size > MAX_BYTES:
        raise InvalidScenario([_too_large(size, file)])
    return text


def _too_large(size: int, file: str) -> Problem:
    return Problem(0, 0, f"{size:,} bytes is more than a scenario may have ({MAX_BYTES:,})", "", file)


def frame(problem: Problem, text: str) -> str:
    """The problem under the line of `text` it stands in, with a caret at its column; without a place in `text` only itself."""
    lines = text.splitlines()
    if not 1 <= problem.line <= len(lines) or problem.file.startswith("--set "):
        return str(problem)
    shown, column = lines[problem.line - 1], min(problem.column, len(lines[problem.line - 1]) + 1)
    first = max(0, column - FRAME_WIDTH // 2) if len(shown) > FRAME_WIDTH else 0
    word = re.match(r"[\w./-]+", shown[column - 1 :])
    carets = "^" * min(len(word[0]) if word else 1, FRAME_WIDTH // 2)
    number = str(problem.line)
    margin = " " * len(number)
    seen, pointer = shown[first : first + FRAME_WIDTH], " " * (column - 1 - first) + carets
    return f"{problem}\n{margin} |\n{number} | {seen}\n{margin} | {pointer}"


def _syntax_problem(error: yaml.YAMLError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read as YAML"
    context = getattr(error, "context", None)
    return Problem(line, column, f"YAML: {_short(str(what))}" + (f" ({context})" if context else ""), "", file)


def places(document: Document, change: Where = (), without: Sequence[str] = ()) -> dict[str, str]:
    """Where each part of a scenario stands: path (`faults.0.factor`) -> `file:line`, or `--set …`; "" is the file. What
    stands at `change` (a variant) is laid over the rest; keys in `without` are no part of the scenario."""
    stand = {**document.values, **document.keys}
    parents = {where[:-1] for where in stand}
    found = {where: place for where, place in stand.items() if where and where[0] not in without}
    for where, place in stand.items() if change else ():
        inside = where[len(change) :]
        if not inside or where[: len(change)] != change:
            continue
        if (*where, 0) in stand or (*where, "kind") in stand:  # a list, or a mapping of a kind, replaces what was there
            found = {old: line for old, line in found.items() if old[: len(inside)] != inside}
        if where not in parents or inside not in found:
            found[inside] = place
    lines = {_dotted(where): f"{document.file}:{line}" for where, (line, _) in found.items()}
    for where, text in document.sets.items():
        mine = where[len(change) :] if change and where[: len(change)] == change else where
        lines |= {_dotted(mine): f"--set {text}"} if mine[0] not in without else {}
    return {"": document.file, **lines}


def _dotted(where: Where) -> str:
    return ".".join(map(str, where))


def walk(tree: Any, where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """Every (path, value) of a tree, parents first."""
    yield where, tree
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from walk(value, (*where, key))
