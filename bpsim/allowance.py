"""How much a run may cost where somebody else's scenario is run: refused beforehand, or stopped and said so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from bpsim.arrivals import Closed
from bpsim.engine import Simulation
from bpsim.result import Result
from bpsim.scenario import Scenario
from bpsim.units import format_seconds

SLICE_S = 0.05
"""Wall seconds after which a run looks up: progress is told and a stop heeded."""
FIRST_STEP = 1e-4
"""Share of the run that the first slice covers, before anything is known of its speed."""
OnProgress = Callable[[float], None]
"""Told the share of a run that is done; it ends the run by raising."""


def untold(*said: object) -> None:
    """For those who want no progress, of whatever kind."""


class Refused(ValueError):
    """Too large to be run here; the message says what is too large."""


@dataclass(frozen=True)
class Allowance:
    """`rows` bounds memory: attempts and records, of about 200 bytes each in the tables."""

    requests: float = 2e6
    rows: int = 4_000_000
    events: int = 30_000_000
    wall_s: float = 60.0

    def refusal(self, scenario: Scenario) -> str | None:
        """Why not to begin at all."""
        arrivals = scenario.client.arrivals
        if isinstance(arrivals, Closed):
            expected, what = float(arrivals.users), "users"
        else:
            expected, what = arrivals.curve(scenario.faults, scenario.duration).total, "requests"
        if expected > self.requests:
            return f"{expected:,.0f} {what} are more than the {self.requests:,.0f} that may be simulated here; `bpsim run` may"
        return None

    def admit(self, scenario: Scenario) -> None:
        """Raises `Refused` when it is not to begin at all."""
        refusal = self.refusal(scenario)
        if refusal is not None:
            raise Refused(refusal)

    def spent(self, simulation: Simulation, wall_s: float) -> str | None:
        """Why to stop here."""
        for amount, limit, what in (
            (simulation.rows, self.rows, "attempts and records"),
            (simulation.events, self.events, "events"),
            (wall_s, self.wall_s, "seconds of computing"),
        ):
            if amount >= limit:
                return f"stopped at {format_seconds(simulation.now)} after {limit:,.0f} {what}, all that a run may have here"
        return None


def advance_within(
    simulation: Simulation,
    allowance: Allowance,
    on_progress: OnProgress = untold,
    stop: Callable[[], bool] = lambda: False,
) -> str | None:
    """Run to the end of the scenario; returns why it was stopped before, if it was. `on_progress` is told the share done."""
    start, step = perf_counter(), simulation.duration * FIRST_STEP
    while simulation.now < simulation.duration:
        began = perf_counter()
        simulation.advance(simulation.now + step)
        took = perf_counter() - began
        step = max(step * min(max(SLICE_S / max(took, 1e-6), 0.25), 4.0), simulation.duration * 1e-9)
        on_progress(simulation.now / simulation.duration)
        reason = "stopped by you" if stop() else allowance.spent(simulation, perf_counter() - start)
        if reason is not None and simulation.now < simulation.duration:
            return reason
    return None


@dataclass(frozen=True)
class Within:
    """A result, and why it was stopped early, if it was."""

    result: Result
    stopped: str | None


def run_within(scenario: Scenario, seed: int, variant: str, allowance: Allowance, on_progress: OnProgress = untold) -> Within:
    """Run `scenario` as far as it may. Raises `Refused` when it is too large to begin, and whatever `on_progress` raises."""
    allowance.admit(scenario)
    simulation = Simulation(scenario, seed, variant=variant)
    stopped = advance_within(simulation, allowance, on_progress)
    return Within(simulation.result(), stopped)
