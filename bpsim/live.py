"""A run that goes on while it is disturbed: the engine advanced in steps, faults applied and lifted by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter

from bpsim.allowance import Allowance
from bpsim.arrivals import Closed
from bpsim.counterfactual import without_trigger
from bpsim.engine import Simulation
from bpsim.faults import Fault
from bpsim.plots.film import film
from bpsim.result import Result
from bpsim.scenario import Scenario

ALLOWANCE = Allowance()
LONGEST_S = 600.0
"""Simulated seconds after which a live run ends."""
STEP_S, SLICE_S = 0.25, 0.05
MOST_S = 0.45
"""Wall seconds that one tick may compute."""
BEHIND_S = 2.0
"""Wall seconds that a run makes up for when nobody looked after it; what is beyond is not caught up with."""
FOLLOWED_PER_S = 8.0
"""Requests a second that are shown on their way."""
CHAOS: dict[str, dict[str, Any]] = {
    "Slow DB": {"kind": "slowdown", "target": "writer", "factor": 20.0, "lasts": 20.0},
    "Kill broker": {"kind": "crash", "target": "broker", "lasts": 10.0},
    "GC pause": {"kind": "stall", "target": "api", "lasts": 3.0},
    "Spike": {"kind": "spike", "target": "client", "factor": 3.0, "lasts": 15.0},
    "Slow API": {"kind": "slowdown", "target": "api", "factor": 3.0, "lasts": 20.0},
    "Kill API": {"kind": "crash", "target": "api", "lasts": 5.0},
}
"""The buttons."""
DIALS = {
    "load": ("client", "Load"),
    "api": ("api", "API slower by"),
    "flink": ("flink", "Flink slower by"),
    "writer": ("writer", "DB slower by"),
}
"""What may be dragged while it runs."""
_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


def calm(scenario: Scenario) -> Scenario:
    """`scenario` with nothing wrong yet, and time to break it."""
    return without_trigger(scenario).but(duration=LONGEST_S)


@dataclass
class Live:
    """A run of `scenario` (without its trouble). `dials` are the faults that stand for a dial that is not at 1."""

    scenario: Scenario
    simulation: Simulation
    shown_s: float = 0.0
    running: bool = True
    dials: dict[str, int] = field(default_factory=dict)
    slow: bool = False
    """Whether computing does not keep up with the speed asked for."""
    ended: str | None = None
    every: int = 1
    """One of so many requests is shown on its way."""
    looked_at: float | None = None
    """Wall clock of the last `keep_up`."""

    @classmethod
    def begin(
        cls,
        scenario: Scenario,
        seed: int,
        variant: str = "base",
        faults: tuple[Fault, ...] = (),
        until: float = 0.0,
        allowance: Allowance = ALLOWANCE,
    ) -> Live:
        """A run of `scenario` without its trouble, but with `faults`, at `until`. Raises `Refused`."""
        undisturbed = calm(scenario)
        allowance.admit(undisturbed)
        live = cls(scenario, Simulation(undisturbed.but(faults=faults), seed, variant=variant))
        start = perf_counter()
        while live.simulation.now < until and live.ended is None:
            live.simulation.advance(min(until, live.simulation.now + STEP_S))
            live.ended = allowance.spent(live.simulation, perf_counter() - start)
        live.shown_s = live.simulation.now
        live.every = max(1, round(len(live.simulation.client.arrivals) / LONGEST_S / FOLLOWED_PER_S))
        return live

    def again(self, scenario: Scenario, seed: int, variant: str = "base") -> Live:
        """The same history under other settings: the same faults, and with the same seed the same arrivals, up to now."""
        live = Live.begin(scenario, seed, variant, self.simulation.scenario.faults, self.simulation.now)
        live.dials, live.running = dict(self.dials), self.running
        return live

    @property
    def now(self) -> float:
        """Simulated seconds done."""
        return self.simulation.now

    def keep_up(self, wall_s: float, speed: float) -> None:
        """Advance by what has passed on the wall's clock since the last time, at `speed` times its pace."""
        passed = 0.0 if self.looked_at is None else min(wall_s - self.looked_at, BEHIND_S)
        self.looked_at = wall_s
        if self.running:
            self.tick(passed * speed)

    def tick(self, seconds: float, allowance: Allowance = ALLOWANCE) -> None:
        """Advance by simulated `seconds`, or as far as one tick may compute."""
        start, goal = perf_counter(), self.now + seconds
        while self.running and self.now < goal and perf_counter() - start < MOST_S:
            self.simulation.advance(min(goal, self.now + STEP_S))
        self.slow = self.now < min(goal, self.simulation.duration)
        self.ended = allowance.spent(self.simulation, 0.0)
        if self.now >= self.simulation.duration:
            self.ended = "the live run is over"
        if self.ended:
            self.running = False

    def can(self, target: str) -> bool:
        """Whether that target is there to be disturbed."""
        closed = isinstance(self.scenario.client.arrivals, Closed)
        return target in self.scenario.tiers and not (target == "client" and closed)

    def disturb(self, **what: Any) -> int:
        """Apply a fault now; it ends with the run at the latest. Returns its number."""
        return self.simulation.apply(_FAULT.validate_python({"at": self.now, **what}))

    def dial(self, name: str, factor: float) -> None:
        """Turn a dial: the fault that stood for it is lifted, and another one stands for the new value."""
        if name in self.dials:
            self.simulation.advance(self.now + STEP_S / 100)
            self.simulation.lift(self.dials.pop(name))
        if factor != 1.0 and self.now < self.simulation.duration:
            kind = {"kind": "spike"} if name == "load" else {"kind": "slowdown", "target": DIALS[name][0]}
            self.dials[name] = self.disturb(**kind, factor=factor, lasts=self.simulation.duration - self.now)

    def result(self) -> Result:
        """Everything so far; the ledger has been checked."""
        return self.simulation.result()

    def next_film(self, result: Result) -> str:
        """What is new since the last film, as JSON."""
        since, self.shown_s = self.shown_s, self.now
        return json.dumps(film(result, since, STEP_S, self.every), separators=(",", ":"))

    def so_far(self) -> Scenario:
        """The scenario it has become, up to now: running it gives the same result."""
        scenario = self.simulation.scenario
        begun = tuple(fault for fault in scenario.faults if fault.at < self.now)
        return scenario.but(duration=self.now, faults=begun)
