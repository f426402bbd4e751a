"""Claims over many seeds: how often they hold, and how sure that is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bpsim.claims import Judged, parse
from bpsim.cli.app import app
from bpsim.document import InvalidScenario
from bpsim.output import resolved
from bpsim.runs import processes
from bpsim.scenario_file import load
from bpsim.trials import Trial, try_claims
from tests.files import TINY

LUCK = "{claim: naive.offered > 200, share: 0.3}"


def tiny(folder: Path, *claims: str) -> Path:
    path = folder / "tiny.yaml"
    lines = TINY[: TINY.index("expect:")] + "expect:\n" + "".join(f"  - {claim}\n" for claim in claims)
    path.write_text(lines, encoding="utf-8")
    return path


def test_a_trial_counts_the_seeds_and_gives_an_interval() -> None:
    judged = {seed: Judged("a < b", seed != 3, {}) for seed in range(1, 21)}
    trial = Trial("a < b", 0.9, judged)
    assert (trial.passed, trial.seeds, trial.share, trial.holds, list(trial.failures)) == (19, 20, 0.95, True, [3])
    assert trial.interval == pytest.approx((0.7639, 0.9911), abs=1e-4)  # Wilson, 19 of 20
    assert not Trial("a < b", 1.0, judged).holds


def test_the_same_claims_hold_wherever_the_seeds_are_run(tmp_path: Path) -> None:
    file = load(tiny(tmp_path, "naive.offered > 200", "no_retry.amplification == 1"))
    here, there = (try_claims(file, (1, 2, 3), place) for place in (processes(1), processes(2)))
    assert here == there
    assert here[1].passed == 3
    assert {seed: one.values for seed, one in here[0].judged.items()}.keys() == {1, 2, 3}
    assert len({one.values["naive.offered"] for one in here[0].judged.values()}) > 1, "each seed is a run of its own"


def test_only_the_variants_that_claims_are_about_are_run(tmp_path: Path) -> None:
    told: list[int] = []
    try_claims(load(tiny(tmp_path, "no_retry.amplification == 1")), (1, 2), on_progress=lambda done, total: told.append(total))
    assert set(told) == {2}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{claim: naive.offered > 1, share: 0}", "above 0, at most 1, not '0'"),
        ("{claim: naive.offered > 1, share: true}", "above 0, at most 1, not 'True'"),
        ("{claim: naive.offered > 1, often: 1}", "write {claim: naive.amplification > 3, share: 0.9}"),
    ],
)
def test_a_share_that_makes_no_sense_is_refused_in_its_place(tmp_path: Path, line: str, why: str) -> None:
    path = tiny(tmp_path, "naive.offered > 1", line)
    with pytest.raises(InvalidScenario, match=re.escape(why)) as caught:
        load(path)
    assert caught.value.problems[0].line == len(path.read_text().splitlines())


def test_a_share_survives_resolving(tmp_path: Path) -> None:
    from bpsim.experiment import run_variants

    file = load(tiny(tmp_path, LUCK, "no_retry.amplification == 1"))
    (tmp_path / "again.yaml").write_text(resolved(run_variants(file, controls=False)), encoding="utf-8")
    assert [(claim.text, claim.share) for claim in load(tmp_path / "again.yaml").expect] == [
        ("naive.offered > 200", 0.3), ("no_retry.amplification == 1", 1.0),
    ]  # fmt: skip


def test_the_command_exits_with_4_when_a_claim_holds_less_often_than_it_says(tmp_path: Path) -> None:
    tiny(tmp_path, "no_retry.amplification == 1", "no_retry.amplification > 1")
    done = CliRunner().invoke(app, ["test", str(tmp_path), "--seeds", "3", "--jobs", "1"])
    assert done.exit_code == 4, done.output
    rows = [line for line in done.stdout.splitlines() if "|" in line]
    assert any(line.startswith("pass") and "3/3" in line and "44% ... 100%" in line for line in rows)
    assert any(line.startswith("FAIL") and "0/3" in line and "0% ... 56%" in line for line in rows)
    assert "seed 1: no_retry.amplification > 1 does not hold [no_retry.amplification = 1]" in done.stdout
    assert done.stdout.rstrip().endswith("1 of 2 claims in 1 files hold as often as they say")


def test_the_command_prints_json_and_nothing_else(tmp_path: Path) -> None:
    path = tiny(tmp_path, LUCK)
    done = CliRunner().invoke(app, ["test", str(path), "--seeds", "2", "--jobs", "1", "--json"])
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    (trial,) = document["files"][str(path)]
    assert trial["asked_for"] == 0.3 and trial["seeds"] == 2


def test_a_file_that_claims_nothing_and_a_folder_without_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text(TINY[: TINY.index("expect:")], encoding="utf-8")
    done = CliRunner().invoke(app, ["test", str(tmp_path / "none.yaml"), "--seeds", "1"])
    assert (done.exit_code, "claims nothing" in done.stderr) == (0, True)
    (tmp_path / "empty").mkdir()
    assert CliRunner().invoke(app, ["test", str(tmp_path / "empty")]).exit_code == 2


def test_every_claim_in_the_docs_can_be_read() -> None:
    text = (Path(__file__).parents[1] / "docs" / "claims.md").read_text(encoding="utf-8")
    block = re.search(r"expect:\n((?:  - .*\n)+)", text)
    assert block is not None
    lines = [line[4:] for line in block[1].splitlines()]
    assert len(lines) == 7
    for line in lines:
        claim = re.match(r"\{claim: (.*), share: (.*)\}", line)
        assert parse(claim[1], float(claim[2])) if claim else parse(line)
