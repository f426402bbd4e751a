"""Variants run on the same arrivals, in slices, until somebody says stop."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from bpsim.engine import run
from bpsim.experiment import SLICES, Progress, run_variants
from bpsim.scenario_file import ScenarioFile, load
from tests.files import TINY


@pytest.fixture
def file(tmp_path: Path) -> ScenarioFile:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return load(path)


def test_a_run_in_slices_is_the_run_in_one(file: ScenarioFile) -> None:
    experiment = run_variants(file, seed=3)
    for name, scenario in file.variants.items():
        assert experiment.results[name].fingerprint == run(scenario, seed=3, variant=name).fingerprint


def test_variants_meet_the_same_arrivals(file: ScenarioFile) -> None:
    results = run_variants(file).results
    born = [result.tables["requests"]["born_s"] for result in results.values()]
    assert np.array_equal(born[0], born[1])


def test_progress_is_told_by_run_up_to_the_end(file: ScenarioFile) -> None:
    told: list[Progress] = []
    run_variants(file, on_progress=told.append, controls=False)
    assert [where.run for where in told] == ["naive"] * SLICES + ["no_retry"] * SLICES
    assert told[SLICES - 1].now_s == told[SLICES - 1].duration_s == 2.0
    naive = told[:SLICES]
    assert all(before.now_s < after.now_s for before, after in itertools.pairwise(naive))
    assert all(before.events <= after.events for before, after in itertools.pairwise(naive))


def test_progress_names_the_controls_of_a_variant_that_ends_badly(tmp_path: Path) -> None:
    path = tmp_path / "spiral.yaml"
    path.write_text(TINY, encoding="utf-8")
    sets = ("duration=60 s", "client.arrivals.rate=300/s", "faults.0.at=10 s", "faults.0.lasts=5 s")
    told: list[Progress] = []
    verdicts = run_variants(load(path, sets), on_progress=told.append).verdicts
    assert {name: verdict.state for name, verdict in verdicts.items()} == {"naive": "metastable", "no_retry": "recovered"}
    runs = ["naive", "no_retry", "naive without retries", "naive without the trigger"]
    assert list(dict.fromkeys(where.run for where in told)) == runs


def test_only_the_variants_asked_for_are_run_and_judged(file: ScenarioFile) -> None:
    experiment = run_variants(file, only=("no_retry",))
    assert list(experiment.results) == ["no_retry"]
    assert [verdict.claim for verdict in experiment.judged] == ["no_retry.amplification == 1"]
    assert not experiment.interrupted


def test_claims_are_judged_with_their_values(file: ScenarioFile) -> None:
    verdicts = run_variants(file).judged
    assert [verdict.passed for verdict in verdicts] == [True, True]
    assert verdicts[1].values == {"no_retry.amplification": 1.0}


@pytest.mark.parametrize(
    ("slices", "variants"), [(0, []), (1, ["naive"]), (SLICES, ["naive"]), (SLICES + 50, ["naive", "no_retry"])]
)
def test_a_stop_keeps_what_is_done_and_judges_nothing(file: ScenarioFile, slices: int, variants: list[str]) -> None:
    told: list[Progress] = []
    experiment = run_variants(file, on_progress=told.append, stop=lambda: len(told) >= slices)
    assert list(experiment.results) == variants
    assert experiment.interrupted
    assert experiment.judged == ()
    if slices == SLICES + 50:
        assert experiment.results["naive"].ended_s == 2.0
        assert experiment.results["no_retry"].ended_s == pytest.approx(0.5)
