"""`config: producer.properties` beside a scenario: its options go where they would stand if they had been written there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from bpsim.document import Document, InvalidScenario, Problem
from bpsim.kafka.option import Table
from bpsim.kafka.properties import read_properties
from bpsim.kafka.tables import TABLES
from bpsim.units import has_unit


def option_names(value: str) -> frozenset[str]:
    """Every option with a dot in its name that may be given `value`. One that is the path of its own field (`retention.bytes`)
    is that field when the value has a unit, which Kafka's values have not."""
    return _dotted(has_unit(value))


@cache
def _dotted(measured: bool) -> frozenset[str]:
    named = ((name, option) for table in _all_tables() for name, option in table.by_name.items())
    return frozenset(name for name, option in named if "." in name and not (measured and option.path == name))


def _all_tables() -> Iterator[Table]:
    return (table for tables in TABLES.values() for table in tables.values())


def with_configs(tree: dict[str, Any], document: Document, problems: list[Problem]) -> dict[str, Any]:
    """`tree` with the options of the files that its tiers name; what is written in the scenario itself is stronger."""
    found = {key: _with_config(key, part, document, problems) for key, part in tree.items()}
    for tier in TABLES.keys() & found.keys():
        _remark_on_ignored(tier, found[tier], document)
    return found


def _table(tier: str, part: dict[str, Any]) -> Table:
    tables = TABLES[tier]
    return tables.get(str(part.get("client")), next(iter(tables.values())))


def _remark_on_ignored(tier: str, part: Any, document: Document) -> None:
    for name in part if isinstance(part, dict) else ():
        option = _table(tier, part).find(name)
        if option is not None and option.ignored:
            document.remarks.append(document.problem((tier, name), f"'{name}' is ignored: {option.ignored}", "", True))


def _with_config(tier: str, part: Any, document: Document, problems: list[Problem]) -> Any:
    if tier not in TABLES or not isinstance(part, dict) or not isinstance(part.get("config"), str):
        return part
    rest = {key: value for key, value in part.items() if key != "config"}
    try:
        path = document.beside((tier, "config"), part["config"])
        entries = read_properties(path)
    except InvalidScenario as error:
        problems += error.problems
        return rest
    table = _table(tier, part)
    given = {_identity(table, name) for name in rest}
    file = str(path)
    for entry in entries:
        where = (tier, entry.key)
        document.imported[where] = (file, (entry.line, entry.column))
        if table.find(entry.key) is None:
            what = f"'{entry.key}' is not an option of {table.owner}{table.near(entry.key)}"
            problems.append(Problem(entry.line, entry.column, what, "", file))
        elif _identity(table, entry.key) not in given:
            rest[entry.key] = entry.value
    return rest


def _identity(table: Table, name: str) -> str:
    """What two names of one option have in common."""
    option = table.find(name)
    return option.path.split(".")[0] if option is not None and option.path else name
