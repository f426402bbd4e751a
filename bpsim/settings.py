"""Settings of scenarios: paths into them, and the values that a question goes through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from bpsim.document import Document, InvalidScenario, Problem
from bpsim.kafka.config_files import option_names
from bpsim.scenario import Scenario
from bpsim.scenario_file import Written, validate

RANGE = re.compile(
    r"(?P<low>[-+.\deE]+)\s*(?P<unit>\S*?)\.\.(?P<high>[-+.\deE]+)\s*(?P<unit2>\S*?):(?P<count>\d+)(?P<log>log)?"
)


@dataclass(frozen=True)
class Axis:
    """A path into the scenario and its values, as they would be written with `--set`."""

    path: str
    values: tuple[str, ...]

    @property
    def numbers(self) -> list[float]:
        """The values without their unit; 0, 1, 2 … where they are no numbers."""
        found = [re.match(r"[-+.\deE]+", value) for value in self.values]
        return [float(match[0]) for match in found if match] if all(found) else [float(i) for i in range(len(found))]


def axis(text: str) -> Axis:
    """Read `PATH=a,b,c` or `PATH=a..b:n` (n values, evenly spaced; `:nlog` in equal ratios). Raises `ValueError` saying what
    cannot be read."""
    path, equals, values = text.partition("=")
    if not equals or not path or not values:
        raise ValueError(f"'{text}' is not PATH=VALUES, such as client.arrivals.rate=500/s,900/s or api.workers=4..16:4")
    if ".." not in values:
        return Axis(path, tuple(value.strip() for value in _at_commas(values) if value.strip()))
    match = RANGE.fullmatch(values.strip())
    if match is None:
        raise ValueError(f"'{values}' is not a range; write 500/s..1500/s:6, or :6log for equal ratios")
    unit, count = match["unit"] or match["unit2"], int(match["count"])
    if match["unit"] and match["unit2"] and match["unit"] != match["unit2"]:
        raise ValueError(f"'{values}' begins in {match['unit']} and ends in {match['unit2']}; use one unit")
    low, high = float(match["low"]), float(match["high"])
    if count < 2 or high <= low or (match["log"] and low <= 0):
        raise ValueError(
            f"'{values}' needs two values or more, the last above the first" + (", both above 0" if low <= 0 else "")
        )
    points = np.geomspace(low, high, count) if match["log"] else np.linspace(low, high, count)
    whole = not match["log"] and all(float(point).is_integer() for point in points)
    return Axis(path, tuple(f"{int(point) if whole else float(f'{point:.4g}'):g}{unit}" for point in points))


def _at_commas(text: str) -> list[str]:
    """`text` split at its commas, except those inside brackets: `{kind: fixed, delay: 1 s},{kind: none}` is two."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def as_text(value: Any) -> str:
    """A Python value as it would be written with `--set`."""
    return value if isinstance(value, str) else json.dumps(value)


def as_written(scenarios: Mapping[str, Scenario]) -> dict[str, Written]:
    """Scenarios that are in no file: everything in them counts as written."""
    return {name: Written(scenario.model_dump(mode="json")) for name, scenario in scenarios.items()}


def changed(
    variants: Mapping[str, Written], assignments: Sequence[str], of: str, source: str | None = "yaml"
) -> dict[str, Scenario]:
    """Every variant with `assignments` (`path=value`) laid over it, or over one alone (`variants.naive.api.workers=4`), with
    the effect that `--set` would have.

    `of` names the scenario in complaints; numbers without a unit are refused unless `source` is None (they are SI then).
    Raises `InvalidScenario` with every problem found, each with the nearest path that exists.
    """
    problems = [*_no_such_variant(variants, assignments, of)]
    found: dict[str, Scenario] = {}
    for name, written in variants.items():
        own = [text.removeprefix(f"variants.{name}.") for text in assignments]
        mine = [text for text in own if not text.startswith("variants.")]
        document = Document(written.file, deepcopy(written.tree), values={(): (0, 0)})
        document.folder, document.confined = written.folder, written.confined
        wrong: list[Problem] = []
        for text in mine:
            try:
                document.set(text, option_names(text.partition("=")[2]))
            except InvalidScenario as error:
                wrong += error.problems
        scenario = None if wrong else validate(document.tree, document, (), wrong, source)
        if scenario is not None:
            found[name] = scenario
        where = f"{of} with {', '.join(mine)}"
        problems += [replace(one, file=where) if one.file == written.file else one for one in wrong]
    if problems:
        raise InvalidScenario(problems)
    return found


def _no_such_variant(variants: Mapping[str, Any], assignments: Sequence[str], of: str) -> Iterator[Problem]:
    for name in {text.split(".")[1] for text in assignments if text.startswith("variants.")} - set(variants):
        near = get_close_matches(name, list(variants), 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(variants)}"
        yield Problem(0, 0, f"there is no variant '{name}'", hint, of)
