"""Where a number comes from, and whether it is that number.

| clause | what is held |
|---|---|
| `82 shown` | it stands in a block of this page that is executed, or in what that prints |
| `20 in FILE` | it stands in that file |
| `28 = 4 * 7` | arithmetic, to the digits that are written; also `<`, `<=`, `>`, `>=` |
| `11 >= hold.client_onset_s - 60 of slow_database` | metrics of a run, in the language of claims; settings may follow |
| `20 field faults.0.factor of slow_database` | a field of a scenario, in SI units |
| `4 is bpsim.cli.app:Exit.CLAIM_FAILED` | a constant of the code |
| `32 option taskmanager.memory.segment-size / 1024` | what Flink or Kafka's Java clients take when nobody says anything |
| `7 counts bpsim.result:TIERS` | how many there are |
| `6 minutes notebooks/1_what_a_queue_does.py` | to read it, with its outputs away |
| `300 stated why` | nothing: no result of bpsim, and nothing that bpsim could know |

A field, a constant and an option may be divided by a unit: `500 field client.timeout of gc_pause / 0.001` is in milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from bpsim import metrics
from bpsim.claims import parse
from bpsim.engine import run
from bpsim.kafka.tables import TABLES
from bpsim.scenario_file import load
from bpsim.tiers.flink.options import OPTIONS
from handbook.prose import NUMBER, Clause, parts, shown

ROOT = Path(__file__).parents[1]
GENERATED = {"validation.md", "performance.md", "performance-dashboard.md", "answers.md"}
"""Pages that are written by a command from what it measured."""
WORDS_A_MINUTE = 150
NEWEST = (2, 3)
"""Flink's version whose defaults are meant."""


def written() -> list[Path]:
    """The pages that people write."""
    pages = [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in GENERATED]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *pages]


def wrong(page: str) -> Iterator[str]:
    """What is not as it says: numbers without origin, clauses without number, and numbers that are others."""
    for part in parts(page):
        yield from (f"line {part.line}: nothing says where {number} comes from" for number in part.unexplained)
        yield from (f"line {part.line}: there is no {clause.number} here" for clause in part.idle)
        for clause in [one for one in part.clauses if one not in part.idle]:
            found = _held(clause, page)
            if found is not None:
                yield f"line {part.line}: {clause.number} {clause.how} {clause.what}: {found}"


def _held(clause: Clause, page: str) -> str | None:
    """None when the number comes from where the clause says, or what it is instead."""
    try:
        return HOW.get(clause.how, _compared)(clause, page)
    except (AttributeError, ImportError, LookupError, OSError, StopIteration, ValueError) as error:
        return f"there is no such origin ({error})"


def _compared(clause: Clause, page: str) -> str | None:
    """By a relation to an expression over numbers or over the metrics of a run."""
    what, _, source = clause.what.partition(" of ")
    low, high = clause.value - clause.half_a_digit, clause.value + clause.half_a_digit
    text = f"{low} <= {what} <= {high}" if clause.how == "=" else f"{clause.value} {clause.how} {what}"
    claim = parse(text)
    judged = claim.check(_summaries(source, tuple(sorted({name or "base" for name, _ in claim.names}))) if source else {})
    return None if judged.passed else f"it is {judged.values or 'another'}"


@cache
def _summaries(source: str, variants: tuple[str, ...]) -> dict[str, dict[str, float]]:
    file, *sets = source.split(" ")
    known = load(ROOT / "scenarios" / f"{file}.yaml", sets).variants
    return {name: metrics.summary(run(known[name], 1)) for name in variants}


def _shown(clause: Clause, page: str) -> str | None:
    return None if clause.value in shown(page) else "no block of the page shows it"


def _in_file(clause: Clause, page: str) -> str | None:
    numbers = NUMBER.findall((ROOT / clause.what).read_text(encoding="utf-8"))
    return None if clause.value in {float(number.replace(",", "")) for number in numbers} else "it does not stand there"


def _is(clause: Clause, page: str) -> str | None:
    return _same(clause, _in_units(clause, _looked_up))


def _option(clause: Clause, page: str) -> str | None:
    return _same(clause, _in_units(clause, _default))


def _counts(clause: Clause, page: str) -> str | None:
    found = _looked_up(clause.what)
    return _same(clause, len(found() if callable(found) and not isinstance(found, type) else found))


def _field(clause: Clause, page: str) -> str | None:
    def read(what: str) -> float:
        path, _, file = what.partition(" of ")
        return float(_walked(load(ROOT / "scenarios" / f"{file}.yaml").base, path))

    return _same(clause, _in_units(clause, read))


def _minutes(clause: Clause, page: str) -> str | None:
    cells = json.loads((ROOT / clause.what).with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    words = re.findall(r"\w+", "\n".join("".join(cell["source"]) for cell in cells))
    return _same(clause, len(words) / WORDS_A_MINUTE)


def _stated(clause: Clause, page: str) -> str | None:
    return None if clause.what else "it has no reason"


def _same(clause: Clause, found: float) -> str | None:
    return None if abs(found - clause.value) <= clause.half_a_digit else f"it is {found:g}"


def _in_units(clause: Clause, read: Callable[[str], Any]) -> float:
    what, _, unit = clause.what.partition(" / ")
    return float(read(what)) / float(unit or 1)


def _default(key: str) -> Any:
    if key in OPTIONS:
        text = OPTIONS[key].default(NEWEST)
        return OPTIONS[key].parse(str(text), NEWEST)
    table = next(tables for tables in TABLES.values() if key in next(iter(tables.values())).by_name)
    option = next(iter(table.values())).by_name[key]
    return option.value.read(option.default)


def _looked_up(where: str) -> Any:
    """`module:name.of.part`."""
    module, _, path = where.partition(":")
    return _walked(import_module(module), path)


def _walked(thing: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(thing, dict):
            thing = thing[name]
        elif name.isdigit():
            thing = thing[int(name)]
        else:
            thing = getattr(thing, name)
    return thing


HOW: dict[str, Callable[[Clause, str], str | None]] = {
    "shown": _shown, "in": _in_file, "is": _is, "option": _option, "counts": _counts, "field": _field, "minutes": _minutes,
    "stated": _stated,
}  # fmt: skip
