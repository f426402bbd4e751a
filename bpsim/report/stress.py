"""The STRESS-DES checklist (Monks et al., J. Simulation 13(1), 2019), as far as a run can fill it in itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpsim.arrivals import Closed
from bpsim.names import TIER_NAMES, the
from bpsim.result import Result
from bpsim.scenario import Scenario
from bpsim.units import format_rate, format_seconds
from bpsim.utilisation import capacities

OWNER = "for the author to fill in"


@dataclass(frozen=True)
class Item:
    """One item: its number, what is asked, the answer, and whether the run gave it."""

    number: str
    asked: str
    answer: str
    filled: bool = True


def checklist(document: Mapping[str, Any], results: Mapping[str, Result]) -> list[Item]:
    """The 20 items in order; empty without a run."""
    if not results:
        return []
    first = next(iter(results.values()))
    scenario = Scenario.model_validate(first.scenario)
    found = {
        **_objectives(document, results),
        **_logic(scenario, results),
        **_data(scenario, first),
        **_running(document, first),
    }
    return [Item(number, asked, found.get(number, OWNER), number in found) for number, asked in ASKED.items()]


ASKED = {
    "1.1": "Purpose of the model",
    "1.2": "Model outputs",
    "1.3": "Experimentation aims",
    "2.1": "Base model overview diagram",
    "2.2": "Base model logic",
    "2.3": "Scenario logic",
    "2.4": "Algorithms",
    "2.5.1": "Components: entities",
    "2.5.2": "Components: activities",
    "2.5.3": "Components: resources",
    "2.5.4": "Components: queues",
    "2.5.5": "Components: entry and exit points",
    "3.1": "Data sources",
    "3.2": "Pre-processing",
    "3.3": "Input parameters",
    "3.4": "Assumptions",
    "4.1": "Initialisation",
    "4.2": "Run length",
    "4.3": "Estimation approach",
    "5.1": "Software or programming language",
    "5.2": "Random sampling",
    "5.3": "Model execution",
    "5.4": "System specification",
    "6.1": "Computer model sharing",
}
"""Number and name of each item of STRESS-DES 1.0."""


def _objectives(document: Mapping[str, Any], results: Mapping[str, Result]) -> dict[str, str]:
    claims = "; ".join(claim["claim"] for claim in document["claims"]) or "none are claimed"
    return {
        "1.1": str(document["question"]),
        "1.2": "Counts, shares, rates and exact quantiles, each with its unit (bpsim list). Success latency, failure latency "
        "and time to the final outcome are told apart, from the intended first send; unfinished work is told as censored.",
        "1.3": f"Variants compared on the same arrivals and demands: {', '.join(results)}. Claims: {claims}.",
    }


def _logic(scenario: Scenario, results: Mapping[str, Result]) -> dict[str, str]:
    queues = ", ".join(f"{path} {_bound(bound)}" for path, bound in scenario.bounds.items())
    able = ", ".join(f"{the(tier)} {format_rate(rate)}" for tier, rate in capacities(scenario).items())
    faults = "; ".join(
        f"{fault.kind} of {the(fault.target)} from {fault.at:g} s for {fault.lasts:g} s" for fault in scenario.faults
    )
    return {
        "2.1": " → ".join(TIER_NAMES[tier] for tier in scenario.tiers),
        "2.2": "A request is served by an API worker, which hands its record to the producer; batches go to the broker, are "
        "read by the consumer and pass on to the database. A put that finds no room waits: that is backpressure.",
        "2.3": f"Faults in the first variant: {faults or 'none'}. Variants differ in the parameters listed above.",
        "2.4": f"Retries: {scenario.client.retry.kind}; order of the API's queue: {scenario.api.order}.",
        "2.5.1": f"Requests (one operation), attempts (one HTTP try), records of {scenario.client.record_size:,} B, batches.",
        "2.5.2": f"Service in each tier; capacity at full speed: {able}.",
        "2.5.3": f"API workers {scenario.api.workers:,}; servers of the other tiers as listed under the parameters.",
        "2.5.4": f"Bounded buffers, first come first served unless said otherwise: {queues}.",
        "2.5.5": f"Entry: the client ({_arrivals(scenario)}). Exit: each request, attempt and record ends in one named line of "
        "the ledger, whose lines sum exactly.",
    }


def _bound(bound: Any) -> str:
    if bound.records is not None:
        return f"{bound.records:,} records"
    return f"{bound.bytes:,} B" if bound.bytes is not None else "without a bound"


def _arrivals(scenario: Scenario) -> str:
    arrivals = scenario.client.arrivals
    return f"closed, {arrivals.users:,} users" if isinstance(arrivals, Closed) else f"{arrivals.kind} arrivals, open"


def _data(scenario: Scenario, first: Result) -> dict[str, str]:
    return {
        "3.3": "Every parameter that is not at its default is listed above with its line; scenario.yaml has all of them.",
        "3.4": "Those of each tier's documentation; the record's size and the law of each service time are as given.",
    }


def _running(document: Mapping[str, Any], first: Result) -> dict[str, str]:
    versions = first.provenance.get("versions", {})
    return {
        "4.1": "Empty and idle at 0 s; no warm-up is cut off. Before, during and after the faults are told apart.",
        "4.2": f"{format_seconds(first.duration_s)} of simulated time"
        + (f"; interrupted after {format_seconds(first.ended_s)}." if first.ended_s < first.duration_s else "."),
        "4.3": "One replication with the seed below; bpsim test and bpsim compare give intervals over many seeds.",
        "5.1": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "5.2": f"PCG64 streams, one a purpose, spawned from (seed {document['seed']}, replication, name): common random "
        "numbers across variants.",
        "5.3": f"Next-event simulation, engine {first.provenance.get('engine', 'simpy')}; at one instant faults come first.",
        "6.1": "The scenario file, the version above and the seed make these tables again, with the same fingerprint.",
    }
