"""`bpsim list`: what there is to build from, as data and as text."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from bpsim import shipped
from bpsim.cli.app import say
from bpsim.folder import SCHEMA_VERSION
from bpsim.scenario_file import load

TITLES = {
    "client.arrivals": "Arrivals",
    "distribution": "Distributions",
    "client.retry": "Retries (client.retry)",
    "client.retry.budget": "Retry budgets (client.retry.budget)",
    "client.breaker": "Circuit breakers (client.breaker)",
    "client.throttle": "Throttles (client.throttle)",
    "api.admission": "Admission (api.admission)",
    "api.admission.limit": "Concurrency limits (api.admission.limit)",
    "api.shedding": "Shedding (api.shedding)",
    "faults": "Faults",
}
"""The unions that a scenario chooses from by `kind`, by the path where they stand."""


def list_command(as_json: bool) -> None:
    """Print the catalogue."""
    found = catalogue()
    if as_json:
        say(json.dumps(found, indent=1))
    else:
        for line in _lines(found):
            say(line)


def catalogue() -> dict[str, Any]:
    """Scenarios with their question, tiers with their options, every member of every union, Kafka's options, and metrics: the
    first sentence of what each says of itself."""
    from bpsim.metrics import METRICS

    return {
        "schema_version": SCHEMA_VERSION,
        "scenarios": {file.stem: _question(file) for file in sorted(shipped.folder().glob("*.yaml"))},
        "tiers": dict(_tiers()),
        "kinds": {path: list(_kinds(union)) for path, union in zip(TITLES, _unions(), strict=True)},
        "kafka_options": _kafka_options(),
        "metrics": dict(METRICS),
    }


def _unions() -> tuple[Any, ...]:
    """In the order of `TITLES`."""
    from bpsim.arrivals import Arrivals
    from bpsim.distributions import Distribution
    from bpsim.faults import Fault
    from bpsim.policies.admission import Admission
    from bpsim.policies.breaker import Breaker
    from bpsim.policies.budget import RetryBudget
    from bpsim.policies.limits import Limit
    from bpsim.policies.retry import Retry
    from bpsim.policies.shedding import Shedding
    from bpsim.policies.throttle import Throttle

    return Arrivals, Distribution, Retry, RetryBudget, Breaker, Throttle, Admission, Limit, Shedding, Fault


def _tiers() -> Iterator[tuple[str, dict[str, Any]]]:
    from bpsim.result import TIERS
    from bpsim.scenario import Scenario

    for tier in TIERS:
        spec = next(members(Scenario.model_fields[tier].annotation))
        yield tier, {"meaning": _first_sentence(spec), "options": list(spec.model_fields)}


def _kinds(union: Any) -> Iterator[dict[str, Any]]:
    for member in members(union):
        yield {"kinds": list(get_args(member.model_fields["kind"].annotation)), "meaning": _first_sentence(member)}


def _kafka_options() -> dict[str, dict[str, Any]]:
    """By tier and client: those that act with the option they stand for, and the names of those that do not matter."""
    from bpsim.kafka.tables import TABLES

    return {
        tier: {
            client: {
                "version": table.latest,
                "options": {option.name: f"{tier}.{option.path}" for option in table.acting},
                "ignored": [option.name for option in table.options if option.ignored],
            }
            for client, table in tables.items()
        }
        for tier, tables in TABLES.items()
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "Scenarios (bpsim run NAME)"
    for name, question in found["scenarios"].items():
        yield f"  {name:<22} {question}"
    yield "\nTiers, from the user to the database"
    for tier, about in found["tiers"].items():
        yield f"  {tier:<22} {about['meaning']}"
        yield f"  {'':<22} options: {', '.join(about['options'])}"
    for path, several in found["kinds"].items():
        yield f"\n{TITLES[path]} (kind: …)"
        for one in several:
            yield f"  {' | '.join(one['kinds']):<22} {one['meaning']}"
    yield "\nKafka's options, under their own names (in the scenario, or in a file: config: producer.properties)"
    for tier, clients in found["kafka_options"].items():
        for client, table in clients.items():
            yield f"  {tier} ({client} {table['version']})"
            for option, path in table["options"].items():
                yield f"    {option:<42} {path}"
            yield f"    accepted and ignored: {', '.join(table['ignored'])}"
    yield "\nMetrics (expect: variant.metric > …)"
    for name, meaning in patterns(found["metrics"]).items():
        yield f"  {name:<34} {meaning}"
    yield f"  TIER: {', '.join(found['tiers'])}. PHASE: before, during, after. QUANTILE: p50, p95, p99, p999."


def patterns(names: dict[str, str]) -> dict[str, str]:
    """Metrics by name; those that exist for every tier, phase or quantile are one line."""
    from bpsim.result import TIERS

    families = (
        (re.compile(rf"^({'|'.join(TIERS)})_(?=(?:busy|blocked|idle)_share|peak_records|onset_s)"), "TIER_", ""),
        (re.compile(r"^(before|during|after)_(?!crash)"), "PHASE_", "PHASE"),
        (re.compile(r"(?<=^latency_(?:success|failure)_s_)(p50|p95|p99|p999)$"), "QUANTILE", "QUANTILE"),
        (re.compile(r"(?<=^latency_final_s_)(p50|p95|p99|p999)$"), "QUANTILE", "QUANTILE"),
    )
    found: dict[str, str] = {}
    for name, meaning in names.items():
        for pattern, placeholder, word in families:
            if match := pattern.search(name):
                name = pattern.sub(placeholder, name)
                meaning = meaning.replace(match[1], word, 1).removeprefix(": ")
                break
        found.setdefault(name, meaning)
    return found


def _question(file: Path) -> str:
    from bpsim.document import InvalidScenario

    try:
        return load(file).question
    except InvalidScenario:
        return "(invalid: see bpsim validate)"


def members(annotation: Any) -> Iterator[Any]:
    """The classes of a union, whatever annotations are around it."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    for part in get_args(annotation):
        yield from members(part)


def _first_sentence(member: type) -> str:
    text = " ".join((inspect.getdoc(member) or "").split())
    return text.split(". ")[0].rstrip(".")
