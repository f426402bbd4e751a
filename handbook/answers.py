"""The facilitator's answers: what each lesson reveals, taken from running it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bpsim.workshop.lesson import in_words
from handbook.notebooks import sources

PAGE = Path(__file__).parents[1] / "docs" / "workshop" / "answers.md"
HEAD = """\
# Answers to the predictions

Written by `python -m handbook answers`, which runs the seven lessons; tests hold each number to its notebook. For facilitators:
once somebody has read an answer, it cannot be predicted any more.
"""


def page() -> str:
    """Run every lesson and say what it reveals."""
    found = {source.stem: revealed(source) for source in sources()}
    return "\n".join([HEAD, *(line for name, kept in found.items() for line in section(name, kept))]) + "\n"


def revealed(source: Path) -> dict[str, dict[str, Any]]:
    """The predictions of a lesson with what happened, from running it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MPLBACKEND": "Agg"}
        subprocess.run([sys.executable, source], cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
        return dict(json.loads((Path(folder) / "my_predictions.json").read_text(encoding="utf-8"))[source.stem])


def section(name: str, kept: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Of one lesson."""
    number, _, words = name.partition("_")
    yield f"\n## Lesson {number}: {words.replace('_', ' ')} {{#lesson-{number}}}\n"
    yield "| prediction | answer |"
    yield "|---|---|"
    yield from rows(kept)


def rows(kept: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line a prediction."""
    for one in kept.values():
        yield f"| {one['question']} | {in_words(one['truth'])} |"
