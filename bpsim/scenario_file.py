"""A scenario file: the question, a base scenario, variants of it that meet the same arrivals and demands, and claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bpsim import shipped
from bpsim.claims import Claim, UnknownName, parse
from bpsim.complaints import complaints, misfits
from bpsim.document import Document, InvalidScenario, Problem, Where, parse_document, places, put, read_document
from bpsim.kafka.config_files import option_names, with_configs
from bpsim.metrics import METRICS
from bpsim.result import TIERS
from bpsim.scenario import Scenario, no_such_tier
from bpsim.spec import Misfits, merged
from bpsim.tiers.flink.conf_beside import CONF_SCHEMA, flink_remarks, with_flink_conf

VARIANT_NAME = r"[a-z][a-z0-9_]*"
OUTSIDE = ("variants", "expect")
"""What a file holds beside the scenario itself."""
_CLAIM_OF_A_SHARE = {
    "type": "object",
    "description": "a claim that holds in a part of the seeds only",
    "properties": {
        "claim": {"type": "string"},
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "description": "of the seeds of `bpsim test`"},
    },
    "required": ["claim", "share"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Written:
    """A scenario as it is written, before defaults are filled in: what settings are laid over (see `bpsim.settings`)."""

    tree: dict[str, Any]
    file: str = ""
    folder: Path | None = None
    """Where the configuration files lie that it names; None when it may name none."""
    confined: bool = False
    """Whether they must lie in there."""


@dataclass(frozen=True)
class ScenarioFile:
    """What `load` found: `base`, its `variants` by name (`{"base": base}` when the file has none), and its claims."""

    base: Scenario
    variants: dict[str, Scenario]
    expect: tuple[Claim, ...]
    remarks: tuple[Problem, ...] = ()
    """What is no fault and yet not as it seems: options that have no effect."""
    places: dict[str, dict[str, str]] = field(default_factory=dict)
    """By variant, where the parts of its scenario stand: path -> `file:line` (see `document.places`)."""
    written: dict[str, Written] = field(default_factory=dict)
    """By variant, its scenario as it is written."""

    @property
    def question(self) -> str:
        """What the file asks."""
        return self.base.question

    def but(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> ScenarioFile:
        """A copy in which the base and every variant are changed and validated again: `file.but(duration="2 min")`. What
        is changed stands in no file, so the copy knows no places. Raises `pydantic.ValidationError`."""
        variants = {name: scenario.but(changes, **more) for name, scenario in self.variants.items()}
        return ScenarioFile(self.base.but(changes, **more), variants, self.expect)


def load(path: Path | str, sets: Sequence[str] = ()) -> ScenarioFile:
    """Read a scenario file and lay `sets` (`path=value`) over it and every variant.

    Raises `InvalidScenario` with every problem of the file: each has file, line, column, what is wrong and a way out.
    """
    return _read(read_document(path), sets)


def loads(text: str, sets: Sequence[str] = (), file: str = "scenario.yaml", only: str | None = None) -> ScenarioFile:
    """What `load` does, from the text of a file, which problems call `file`; of other files it may name those that are shipped.
    With `only` that variant alone is built, so `sets` need not suit the others."""
    document = parse_document(text, file)
    document.folder, document.confined = shipped.folder(), True
    return _read(document, sets, only)


def _read(document: Document, sets: Sequence[str], only: str | None = None) -> ScenarioFile:
    problems = list(document.problems)
    for assignment in sets:
        try:
            document.set(assignment, option_names(assignment.partition("=")[2]))
        except InvalidScenario as error:
            problems += error.problems
    variants = _changes(document, problems)
    base_tree = {key: value for key, value in document.tree.items() if key not in OUTSIDE}
    base = validate(base_tree, document, (), problems) if "base" in variants else None
    built = {}
    written = {}
    for name, change in variants.items():
        if only in variants and name != only:
            continue
        tree = _set_again(merged(deepcopy(base_tree), change), document)
        written[name] = Written(deepcopy(tree), document.file, document.folder, document.confined)
        built[name] = base if name == "base" else validate(tree, document, ("variants", name), problems)
    claims = _claims(document, tuple(variants), problems)
    if problems:
        raise InvalidScenario(list(dict.fromkeys(problems)))
    scenarios = {name: scenario for name, scenario in built.items() if scenario is not None}
    stand = {name: places(document, ("variants", name), OUTSIDE) for name in scenarios}
    seen = sorted(
        {*document.remarks, *(note for name in scenarios for note in flink_remarks(scenarios[name].flink, document, name))}
    )
    return ScenarioFile(base or next(iter(scenarios.values())), scenarios, claims, tuple(seen), stand, written)


def _set_again(tree: dict[str, Any], document: Document) -> dict[str, Any]:
    """What `--set` says about the base holds in the variants as well, except in a list that a variant has made shorter."""
    for where in document.sets:
        if where[0] in OUTSIDE:
            continue
        source: Any = document.tree
        target: Any = tree
        for key in where[:-1]:
            source = source[key]
            if isinstance(target, dict) and not isinstance(target.get(key), dict | list):
                target[key] = {}
            if isinstance(target, list) and key not in range(len(target)):
                break
            target = target[key]
        else:
            if isinstance(target, dict) or where[-1] in range(len(target)):
                put(target, where[-1], source[where[-1]])
    return tree


def _changes(document: Document, problems: list[Problem]) -> dict[str, Any]:
    """The declared variants, or the one that changes nothing."""
    import re

    declared = document.tree.get("variants")
    if declared is None:
        return {"base": {}}
    if not isinstance(declared, dict) or not declared:
        problems.append(document.problem(("variants",), "'variants' maps names to changes", "naive: {client: {…}}"))
        return {}
    for name, change in declared.items():
        where = ("variants", name)
        if not re.fullmatch(VARIANT_NAME, name):
            hint = "lower-case letters, digits and _; the first is a letter"
            problems.append(document.problem(where, f"'{name}' cannot name a variant", hint, at_key=True))
        if not isinstance(change, dict | None):
            problems.append(document.problem(where, f"'{name}' must map options to values, or be empty"))
        elif change and (odd := set(change) & set(OUTSIDE)):
            problems.append(document.problem((*where, odd.pop()), "a variant changes the scenario, nothing else"))
    return {name: change if isinstance(change, dict) else {} for name, change in declared.items()}


def validate(
    tree: dict[str, Any], document: Document, prefix: Where, problems: list[Problem], source: str | None = "yaml"
) -> Scenario | None:
    """The scenario that `tree` makes, which stands at `prefix` of `document`; or None, and why not is in `problems`. Numbers
    without a unit are refused unless `source` is None (then they are SI)."""
    tree = with_flink_conf(tree, document, prefix, problems)
    tree = with_configs(tree, document, problems)
    try:
        return Scenario.model_validate(tree, context={"source": source})
    except ValidationError as error:
        problems += complaints(error, document, Scenario, prefix)
        problems += _faults_nowhere(tree, document, prefix)
        return None


def _faults_nowhere(tree: dict[str, Any], document: Document, prefix: Where) -> Iterator[Problem]:
    """Faults on missing tiers, which are found even where other mistakes keep the parts from being fitted together."""
    tiers = [tier for tier in TIERS if tree.get(tier) is not None]
    faults = tree.get("faults")
    for index, fault in enumerate(faults if isinstance(faults, list) else ()):
        target = fault.get("target") if isinstance(fault, dict) else None
        if target in TIERS and target not in tiers:
            found = Misfits([(("faults", index, "target"), no_such_tier(target, tiers))])
            yield from misfits(found, document, prefix)


def _claims(document: Document, variants: Sequence[str], problems: list[Problem]) -> tuple[Claim, ...]:
    lines = document.tree.get("expect") or []
    if not isinstance(lines, list):
        problems.append(document.problem(("expect",), "'expect' is a list of claims", "- naive.amplification > 3"))
        return ()
    claims = []
    for index, line in enumerate(lines):
        try:
            claim = _claim(line)
            claim.check_names(variants, METRICS)
            claims.append(claim)
        except (ValueError, UnknownName) as error:
            problems.append(document.problem(("expect", index), f"this claim cannot be read: {error}"))
    return tuple(claims)


def _claim(line: Any) -> Claim:
    """One line of `expect`: a claim, or `{claim: …, share: 0.9}` for one that holds in a part of the seeds only."""
    if not isinstance(line, dict):
        return parse(line if isinstance(line, str) else str(line))
    if set(line) != {"claim", "share"} or not isinstance(line["claim"], str):
        raise ValueError("write {claim: naive.amplification > 3, share: 0.9}, or the claim alone")
    return parse(line["claim"], line["share"])


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file, for editors: a variant may hold any part of a scenario."""
    schema = Scenario.model_json_schema()
    schema["$defs"]["FlinkSpec"]["properties"]["conf"] = CONF_SCHEMA
    part = {"type": "object", "properties": schema["properties"], "additionalProperties": False}
    schema["properties"] = schema["properties"] | {
        "variants": {
            "type": "object",
            "description": "changes to the scenario, run on the same arrivals and demands",
            "propertyNames": {"pattern": f"^{VARIANT_NAME}$"},
            "additionalProperties": {"anyOf": [part, {"type": "null"}]},
        },
        "expect": {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, _CLAIM_OF_A_SHARE]},
            "description": "claims, such as 'naive.amplification > 3'",
        },
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "bpsim scenario"
    return schema
