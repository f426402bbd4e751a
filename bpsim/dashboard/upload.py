"""Configuration files of real systems, opened by a visitor: their options as changes to the scenario, each with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bpsim.dashboard.desk import Order
from bpsim.document import InvalidScenario, Place, Problem, parse_document
from bpsim.kafka.option import Option, Refused
from bpsim.kafka.properties import entries
from bpsim.knobs import FLINK, NONE, QUANTITIES, options
from bpsim.tiers.flink.conf_file import LEGACY, STANDARD, parse_conf
from bpsim.tiers.flink.values import version_of
from bpsim.tiers.producer.spec import ProducerSpec
from bpsim.units import written


@dataclass(frozen=True)
class Found:
    """What a file says: the changes it makes, where each stands in it, and what in it has no effect."""

    file: str
    changes: dict[str, str]
    places: dict[str, Place]
    remarks: list[Problem] = field(default_factory=list)

    def placed(self, problem: Problem) -> Problem:
        """`problem` where the file has what it is about."""
        for path, value in self.changes.items():
            if problem.file == f"--set {path}={value}":
                return replace(problem, line=self.places[path][0], column=self.places[path][1], file=self.file)
        return problem


def flink_conf(text: str, file: str, order: Order) -> Found:
    """The options in a flink-conf.yaml or config.yaml. Raises `InvalidScenario`."""
    flink = order.scenario.flink
    if flink is None or not flink.operators:
        hint = "choose one with flink.operators, such as debloating"
        raise InvalidScenario(
            [Problem(0, 0, "Flink's options have an effect on jobs only, and this scenario has none", hint, file)]
        )
    found = parse_conf(text, file, version_of(flink.version))
    changes = {f"{FLINK}{key}": json.dumps(value) for key, value in found.options.items()}
    return Found(file, changes, {f"{FLINK}{key}": place for key, place in found.values.items()}, found.passed_over)


def producer_properties(text: str, file: str, order: Order) -> Found:
    """The options in a .properties file of a producer. Raises `InvalidScenario`."""
    spec = order.scenario.producer
    if spec is None:
        raise InvalidScenario([Problem(0, 0, "this scenario has no producer to configure", "", file)])
    table = ProducerSpec.table(spec.client)
    kinds = {option.path: option.kind for option in options(order.scenario)}
    tier = parse_document(order.text, "").tree.get("producer") or {}
    problems: list[Problem] = []
    found = Found(file, {}, {})
    for entry in entries(text, file):
        at, option = (entry.line, entry.column), table.find(entry.key)
        if option is None:
            what = f"'{entry.key}' is not an option of {table.owner}{table.near(entry.key)}"
            problems.append(Problem(*at, what, "", file))
            continue
        path = f"producer.{_name(option, tier, entry.key)}"
        try:
            found.changes[path] = _written(option, entry.value, kinds.get(path))
        except Refused as error:
            problems.append(Problem(*at, table.refuses(entry.key, entry.value, str(error)), "", file))
        found.places[path] = at
        if option.ignored:
            found.remarks.append(Problem(*at, f"'{entry.key}' is ignored: {option.ignored}", "", file))
    if problems:
        raise InvalidScenario(problems)
    return found


def opened(name: str, text: str, order: Order) -> Found | None:
    """What a file of this name says; None when it is a scenario. Raises `InvalidScenario`."""
    if name.endswith(".properties"):
        return producer_properties(text, name, order)
    return flink_conf(text, name, order) if name in (LEGACY, STANDARD) else None


def _name(option: Option, tier: Mapping[str, Any], key: str) -> str:
    """What the scenario calls it: as it is written there, or its field; one that sets no field keeps its own name."""
    return next((name for name in option.names if name in tier), option.path or key)


def _written(option: Option, text: str, kind: str | None) -> str:
    """A value of the file as it stands in a scenario. Raises `Refused`."""
    if not option.path or kind is None:
        return json.dumps(text)
    value = option.value.si(option.value.read(text))
    if value is None:
        return NONE if kind == "choice" else "null"
    return written(value, kind) if kind in QUANTITIES else json.dumps(value)
