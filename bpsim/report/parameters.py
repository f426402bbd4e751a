"""Every parameter that is not at its default, and where it was written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bpsim.result import Result
from bpsim.scenario import Scenario

LEFT_OUT = ("question",)


@dataclass(frozen=True)
class Parameter:
    """A path of the scenario, its value in each variant (empty: at its default), and where it stands."""

    path: str
    values: tuple[str, ...]
    place: str


def parameters(results: Mapping[str, Result]) -> list[Parameter]:
    """The parameters that differ from their defaults in at least one variant, in the order of the pipeline."""
    found = {name: dict(_leaves(_said(result))) for name, result in results.items()}
    paths = list(dict.fromkeys(path for leaves in found.values() for path in leaves))
    order = list(Scenario.model_fields)
    paths.sort(key=lambda path: order.index(path.split(".")[0]))
    return [
        Parameter(path, tuple(leaves.get(path, "") for leaves in found.values()), _place(results, found, path))
        for path in paths
    ]


def _said(result: Result) -> dict[str, Any]:
    scenario = Scenario.model_validate(result.scenario)
    said = scenario.model_dump(mode="json", exclude_defaults=True, exclude=set(LEFT_OUT))
    _add_kinds(said, scenario.model_dump(mode="json"))
    return said


def _add_kinds(said: Any, whole: Any) -> None:
    """Put back the `kind` of everything that is said: it is the default of its class, and yet a choice."""
    if isinstance(said, dict):
        if "kind" in whole:
            said["kind"] = whole["kind"]
        for key, value in said.items():
            _add_kinds(value, whole[key])
    elif isinstance(said, list):
        for value, other in zip(said, whole, strict=True):
            _add_kinds(value, other)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict | list) and tree:
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in pairs:
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, str(tree)


def _place(results: Mapping[str, Result], found: Mapping[str, Mapping[str, str]], path: str) -> str:
    """Where it stands in the first variant that says it; the line only, since the file is one."""
    place = next(results[name].place(path) for name, leaves in found.items() if path in leaves)
    file = next((result.places.get("", "") for result in results.values()), "")
    return place.removeprefix(f"{file}:") if file else place
