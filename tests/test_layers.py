"""Imports point down, public names are said once, files stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import bpsim

ROOT = Path(bpsim.__file__).parent
LAYERS = [
    {"units", "streams", "folder", "shipped", "names"},
    {"spec", "document"},
    {"result"},
    {"policies"},
    {"distributions", "faults"},
    {"arrivals", "complaints", "keys", "kafka"},
    {"kernel"},
    {"tiers"},
    {"scenario"},
    {"records"},
    {"engine", "trouble", "allowance", "utilisation", "theory"},
    {"metrics", "claims", "paired"},
    {
        "scenario_file",
        "plots",
        "counterfactual",
        "runs",
        "settings",
        "explanation",
        "designs",
        "knobs",
        "ladder",
        "telemetry",
        "goals",
        "contenders",
    },
    {"verdict"},
    {"experiment", "phase", "comparison", "trials", "live"},
    {"hysteresis", "sweeps", "tuning"},
    {"report"},
    {"output"},
    {"workshop"},
    {"dashboard"},
    {"cli", "__main__", "__init__"},
]
"""From the bottom up; a module may import from its own layer and from those below."""
READERS = {"metrics", "plots", "result", "claims", "paired", "telemetry"}
"""They see results only: a saved one is read without simulating."""


def modules() -> dict[Path, str]:
    return {path: path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bpsim."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bpsim.")}
    return found


def test_imports_point_down() -> None:
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    for path, name in modules().items():
        for other in imported(path):
            assert level[other] <= level[name], f"{path}: {name} may not import {other}"


def test_readers_do_not_see_the_engine() -> None:
    for path, name in modules().items():
        if name in READERS:
            forbidden = imported(path) & {"engine", "kernel", "tiers", "scenario"}
            assert not forbidden, f"{path} imports {forbidden}"
            assert "simpy" not in path.read_text()


def test_simpy_enters_in_the_kernel_only() -> None:
    users = {name for path, name in modules().items() if "import simpy" in path.read_text() or "from simpy" in path.read_text()}
    assert users == {"kernel"}


def test_public_names_are_said_once() -> None:
    assert len(set(bpsim.__all__)) == len(bpsim.__all__)
    for name in bpsim.__all__:
        assert getattr(bpsim, name).__doc__, f"{name} has no docstring"


def test_files_and_functions_fit_on_a_screen() -> None:
    for path in modules():
        text = path.read_text()
        assert text.count("\n") <= 345, f"{path} has {text.count(chr(10))} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{path}: {node.name} has {length} lines"
