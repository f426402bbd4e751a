"""A lesson: what you predict is stored before anything runs, and stands beside what happened afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite, log
from pathlib import Path
from typing import Any

from bpsim.experiment import run_variants
from bpsim.result import Result
from bpsim.scenario_file import ScenarioFile, load, loads
from bpsim.shipped import SMALLER
from bpsim.shipped import folder as shipped
from bpsim.workshop.picture import Picture

CLOSE = 1.25
"""A guess within this factor of what happened is close."""


class NotPredicted(RuntimeError):
    """Something is to be seen that nobody has made a guess about."""


class Lesson:
    """Predict, run, reveal. Guesses are kept in `store`, so that nobody has to remember what they thought."""

    def __init__(self, name: str, store: Path | str = "my_predictions.json") -> None:
        self.name = name
        self.store = Path(store)
        self._asked: dict[str, str] = {}

    def load(self, source: str, sets: Sequence[str] = ()) -> ScenarioFile:
        """A shipped scenario by its name (in its smaller form), or YAML text."""
        if "\n" in source:
            return loads(source, sets, "this cell")
        return load(shipped() / f"{source}.yaml", (*SMALLER.get(source, ()), *sets))

    def predict(self, key: str, question: str, guess: Any = None) -> None:
        """Store `guess`. None says that you would rather not; what has been revealed cannot be guessed any more."""
        self._asked[key] = question
        kept = self._kept()
        before = kept.get(key, {})
        if "truth" in before and before["guess"] != guess:
            print(f"You have seen the answer already; your prediction stays {in_words(before['guess'])}.")
            return
        self._keep(kept | {key: {**before, "question": question, "guess": guess}})
        print(f"{question} Your prediction: {in_words(guess)}.")

    def run(self, file: ScenarioFile, seed: int = 1, only: Sequence[str] = ()) -> dict[str, Result]:
        """Every variant (or those in `only`) with the same random numbers. Raises `NotPredicted` before any prediction."""
        if not self._asked:
            raise NotPredicted("predict first: run the cell below 'Predict', with your own guess in it")
        return run_variants(file, seed, tuple(only), controls=False).results

    def show(self, figure: str, results: Mapping[str, Result]) -> Picture:
        """One of `bpsim.plots.FIGURES`."""
        return Picture(figure, results)

    def reveal(self, key: str, truth: float | str) -> None:
        """What happened, beside what you predicted. Raises `NotPredicted` when nothing was."""
        if key not in self._asked:
            raise NotPredicted(f"predict {key!r} first: run the cell below 'Predict', with your own guess in it")
        kept = self._kept()
        guess = kept[key]["guess"]
        self._keep(kept | {key: {**kept[key], "truth": truth}})
        print(f"{self._asked[key]}\n  you said {in_words(guess)}, it was {in_words(truth)}{_gap(guess, truth)}")

    def _kept(self) -> dict[str, Any]:
        return dict(self._all().get(self.name, {}))

    def _keep(self, mine: dict[str, Any]) -> None:
        text = json.dumps(self._all() | {self.name: mine}, indent=1, ensure_ascii=False, allow_nan=True)
        self.store.write_text(text, encoding="utf-8")

    def _all(self) -> dict[str, Any]:
        return dict(json.loads(self.store.read_text(encoding="utf-8"))) if self.store.exists() else {}


def in_words(value: Any) -> str:
    """A guess or a result, for people."""
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _gap(guess: Any, truth: float | str) -> str:
    """How far the guess is off."""
    if guess is None:
        return ""
    if isinstance(truth, str) or isinstance(guess, str):
        return (
            ": right" if str(guess).strip().lower() == str(truth).strip().lower() else ": otherwise. What did you not think of?"
        )
    if not (isfinite(truth) and truth > 0 and guess > 0):
        return ": right" if guess == truth else ""
    factor = max(guess / truth, truth / guess)
    return ": close" if log(factor) <= log(CLOSE) else f": {factor:.2g} times too {'much' if guess > truth else 'little'}"
