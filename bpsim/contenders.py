"""What can be set beside each other: files, the variants in them, or scenarios, each by a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bpsim import shipped
from bpsim.scenario import Scenario
from bpsim.scenario_file import ScenarioFile, load

What = Path | str | ScenarioFile | Scenario | Mapping[str, Scenario]
"""What can be compared: a file (its path, the name of a shipped one, or loaded), a scenario, or scenarios by name."""


def contenders(*what: What) -> dict[str, Scenario]:
    """Every scenario of `what` by a name."""
    files: list[tuple[str, Mapping[str, Scenario]]] = []
    for number, one in enumerate(what, 1):
        name = str(one) if isinstance(one, Path | str) else f"scenario_{number}"
        found = opened(one)
        files.append((name, found.variants if isinstance(found, ScenarioFile) else found))
    return named(files)


def opened(what: What) -> ScenarioFile | Mapping[str, Scenario]:
    """The file, where there is one."""
    if isinstance(what, Path | str):
        return _file(what)
    return {"base": what} if isinstance(what, Scenario) else what


def _file(path: Path | str) -> ScenarioFile:
    """The file at `path`, or the shipped scenario of that name."""
    there = Path(path)
    return load(there if there.exists() or str(path) not in shipped.names() else shipped.folder() / f"{path}.yaml")


def named(files: Sequence[tuple[str, Mapping[str, Scenario]]]) -> dict[str, Scenario]:
    """The variants of all files by name: its own when there is one file, otherwise with the file's before it. The same name
    a second time gets a number."""
    stems = [Path(path).stem for path, _ in files]
    alike = len(set(stems)) < len({path for path, _ in files})
    found: dict[str, Scenario] = {}
    for number, ((path, variants), stem) in enumerate(zip(files, stems, strict=True), 1):
        short = path if alike else stem
        for name, scenario in variants.items():
            full = name if len(files) == 1 else short if len(variants) == 1 else f"{short}.{name}"
            found[full if full not in found else f"{full}#{number}"] = scenario
    return found
