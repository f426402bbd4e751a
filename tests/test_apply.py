"""Faults that are added to a run while it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from bpsim.engine import Simulation, run
from bpsim.faults import Fault
from bpsim.metrics import check
from bpsim.result import Result
from bpsim.scenario import Scenario
from bpsim.scenario_file import load

SMALL = (
    "client.arrivals.rate=100/s", "api.workers=8", "api.service.mean=62.5 ms", "duration=60 s", "faults.0.at=5 s",
    "faults.0.lasts=5 s",
)  # fmt: skip


def fault(**options: object) -> Fault:
    return TypeAdapter[Fault](Fault).validate_python(options)


def small(*sets: str) -> Scenario:
    path = Path(__file__).parents[1] / "scenarios" / "death_spiral.yaml"
    return load(path, (*SMALL, *sets)).variants["naive"]


def live(scenario: Scenario, steps: dict[float, object], seed: int = 3) -> Result:
    """Advance in odd steps, and do at the given moments what is said there: apply a fault, or lift one by its number."""
    simulation = Simulation(scenario, seed)
    moment = 0.0
    for until in sorted({*steps, 60.0}):
        while moment < until:
            moment = min(until, moment + 0.37)
            simulation.advance(moment)
        done = steps.get(until)
        if isinstance(done, int):
            simulation.lift(done)
        elif isinstance(done, dict):
            simulation.apply(fault(at=simulation.now, **done))
    return simulation.result()


CHAOS = [
    {12.0: {"kind": "slowdown", "target": "writer", "factor": 300.0, "lasts": 20.0}},
    {12.0: {"kind": "stall", "target": "flink", "lasts": 6.0}, 14.5: {"kind": "outage", "target": "broker", "lasts": 7.0}},
    {12.0: {"kind": "spike", "factor": 2.5, "lasts": 40.0}, 22.0: 1},
    {12.0: {"kind": "spike", "factor": 3.0, "lasts": 9.0}, 15.0: {"kind": "spike", "factor": 0.25, "lasts": 30.0}, 31.0: 2},
    {12.0: {"kind": "crash", "target": "api", "lasts": 20.0}, 17.5: 1},
    {12.0: {"kind": "crash", "target": "consumer", "lasts": 2.0}, 33.0: {"kind": "crash", "target": "writer", "lasts": 2.0}},
    {12.0: {"kind": "errors", "share": 0.4, "lasts": 30.0}, 20.0: 1},
    {7.0: 0, 12.0: {"kind": "stall", "target": "api", "lasts": 4.0}},
]


@pytest.mark.parametrize("steps", CHAOS, ids=str)
def test_a_live_run_is_the_run_of_the_scenario_it_became(steps: dict[float, object]) -> None:
    found = live(small(), steps)
    check(found)
    again = run(Scenario.model_validate(found.scenario), 3)
    assert found.fingerprint == again.fingerprint
    assert found.scenario == again.scenario


def test_a_spike_brings_the_same_people_sooner() -> None:
    calm, spiked = live(small(), {}), live(small(), {12.0: {"kind": "spike", "factor": 2.0, "lasts": 48.0}})
    born, early = calm.tables["requests"]["born_s"], spiked.tables["requests"]["born_s"]
    before = int((born < 12.0).sum())
    assert (born[:before] == early[:before]).all()
    assert 1.6 * len(born) < len(early) < 2.0 * len(born)
    halfway = 12.0 + (born[before:] - 12.0) / 2
    assert abs(early[before : len(born)] - halfway).max() < 1e-9


def test_a_lifted_fault_acts_no_longer() -> None:
    slow: dict[float, object] = {12.0: {"kind": "outage", "target": "api", "lasts": 40.0}}
    refused = [live(small(), steps).tables["attempts"] for steps in (slow, slow | {14.0: 1})]
    until = [table["ended_s"][table["outcome"] == 4].max() for table in refused]
    assert until[0] > 51.9
    assert until[1] < 14.1


def test_what_cannot_be_is_refused_and_leaves_the_run_as_it_was() -> None:
    simulation = Simulation(small(), 3)
    simulation.advance(20.0)
    for wrong, error, words in (
        ({"kind": "stall", "target": "api", "at": 3.0, "lasts": 5.0}, ValueError, "20 s already"),
        ({"kind": "loss", "target": "api", "at": 20.0, "lasts": 5.0, "share": 0.5}, ValueError, "network_delay"),
        ({"kind": "stall", "target": "api", "at": 90.0, "lasts": 5.0}, ValidationError, "ends at 60 s"),
    ):
        with pytest.raises(error, match=words):
            simulation.apply(fault(**wrong))
    with pytest.raises(ValueError, match="cannot be lifted"):
        Simulation(small(), 3).lift(0)
    simulation.advance(60.0)
    assert simulation.result().fingerprint == run(small(), 3).fingerprint
