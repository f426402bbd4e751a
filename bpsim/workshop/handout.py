"""Copies of the material to work on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bpsim.scenario_file import json_schema
from bpsim.workshop.material import challenges, notebooks

SCHEMA = "bpsim.schema.json"


def hand_out(names: list[str], to: Path) -> list[Path]:
    """Copy the lessons and challenges of those names (all, if none) into `to`; what is there already stays as it is. Returns
    what was written. Raises `OSError`."""
    written = []
    for path in notebooks():
        if not names or path.stem in names:
            written += _copy(path, to / "lessons")
    chosen = {name: path for name, path in challenges().items() if not names or name in names}
    for path in chosen.values():
        written += _copy(path, to / "challenges")
    if chosen:
        (to / "challenges" / SCHEMA).write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
    return written


def _copy(path: Path, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / path.name
    if target.exists():
        return []
    shutil.copyfile(path, target)
    return [target]
