"""bpsim: how backpressure travels through a data pipeline, and what is lost on the way."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpsim.comparison import Comparison, compare
    from bpsim.document import InvalidScenario, Problem
    from bpsim.engine import Simulation, run
    from bpsim.experiment import Experiment, run_variants
    from bpsim.explanation import Explanation, Finding, explain
    from bpsim.metrics import ledger, summary, timeseries
    from bpsim.result import Fate, Outcome, Result, Work
    from bpsim.scenario import Scenario
    from bpsim.scenario_file import ScenarioFile, load
    from bpsim.sweeps import Sweep, sweep
    from bpsim.trials import Trial, try_claims
    from bpsim.tuning import Tuned, tune

__all__ = [
    "Comparison",
    "Experiment",
    "Explanation",
    "Fate",
    "Finding",
    "InvalidScenario",
    "Outcome",
    "Problem",
    "Result",
    "Scenario",
    "ScenarioFile",
    "Simulation",
    "Sweep",
    "Trial",
    "Tuned",
    "Work",
    "compare",
    "explain",
    "ledger",
    "load",
    "run",
    "run_variants",
    "summary",
    "sweep",
    "timeseries",
    "try_claims",
    "tune",
]

_HOMES = {
    "comparison": ("Comparison", "compare"),
    "document": ("InvalidScenario", "Problem"),
    "engine": ("Simulation", "run"),
    "experiment": ("Experiment", "run_variants"),
    "explanation": ("Explanation", "Finding", "explain"),
    "metrics": ("ledger", "summary", "timeseries"),
    "result": ("Fate", "Outcome", "Result", "Work"),
    "scenario": ("Scenario",),
    "scenario_file": ("ScenarioFile", "load"),
    "sweeps": ("Sweep", "sweep"),
    "trials": ("Trial", "try_claims"),
    "tuning": ("Tuned", "tune"),
}


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that `bpsim --help` does not wait for numpy and pydantic."""
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"bpsim.{home}"), name)
    raise AttributeError(f"module 'bpsim' has no attribute '{name}'")
