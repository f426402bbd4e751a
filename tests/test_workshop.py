"""Challenges fail as shipped and pass when solved; incidents do not give themselves away; the doctor sees what is missing."""

from __future__ import annotations

import json
import sys
import webbrowser
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bpsim.cli import app as cli
from bpsim.cli.app import app
from bpsim.scenario_file import load, loads
from bpsim.workshop import doctor, incidents
from bpsim.workshop.challenges import Challenge, catalogue, check
from bpsim.workshop.incident import Incident

SEEDS = range(1, 4)
CHALLENGES = list(catalogue().values())


def bpsim(*words: str) -> tuple[int, str]:
    """(exit code, what is printed)."""
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    return done.exit_code, done.output


def test_there_is_enough_to_do() -> None:
    assert len(CHALLENGES) >= 8
    assert len(incidents()) >= 5


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda one: one.name)
def test_a_challenge_fails_as_shipped_in_every_seed(challenge: Challenge) -> None:
    attempt = check(challenge, challenge.file, SEEDS)
    assert not attempt.forbidden
    assert min(goal.share for goal in attempt.goals) == 0


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda one: one.name)
def test_a_reference_solution_passes_in_every_seed(challenge: Challenge) -> None:
    attempt = check(challenge, loads(challenge.solved_text()), SEEDS)
    assert attempt.passed, attempt
    assert all(goal.share == 1 for goal in attempt.goals), attempt.goals


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda one: one.name)
def test_a_challenge_says_what_may_be_changed_and_asks_something(challenge: Challenge) -> None:
    assert challenge.question.endswith("?")
    comment = next(line for line in challenge.path.read_text("utf-8").splitlines() if line.startswith("# You may change"))
    for path in challenge.may_change:
        assert path.split(".")[-1] in comment.replace("flink.options", "options") or "how the writer" in comment
    assert challenge.hint
    assert challenge.why
    assert challenge.minutes <= 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("client.timeout=10 s", "client.timeout was 1.0 s and is 10.0 s; put it back"),
        ("api.workers=64", "api.workers was 8 and is 64; put it back"),
        ("duration=20 min", "duration was 120.0 s and is 1200.0 s; put it back"),
        ("faults=[]", "faults was"),
    ],
)
def test_changing_the_question_is_no_answer(change: str, said: str) -> None:
    spinner = catalogue()["01_spinner"]
    attempt = check(spinner, load(spinner.path, (change, "api.queue.records=30")), SEEDS)
    assert not attempt.passed
    assert attempt.forbidden[0].startswith(said)


def test_the_goals_are_those_of_the_challenge_whatever_the_file_expects() -> None:
    spinner = catalogue()["01_spinner"]
    softened = spinner.path.read_text("utf-8").replace("during_goodput_per_s > 25", "during_goodput_per_s > 0")
    assert [goal.claim for goal in check(spinner, loads(softened), [1]).goals] == [claim.text for claim in spinner.file.expect]


def test_a_challenge_is_started_tried_solved_and_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = bpsim("workshop", "check", "08_first_come")
    assert (code, "begin with bpsim workshop start 08_first_come" in text) == (2, True)
    assert bpsim("workshop", "start", "08_first_come")[0] == 0
    file = tmp_path / "bpsim-workshop" / "challenges" / "08_first_come.yaml"
    code, text = bpsim("workshop", "check", "08_first_come", "--seeds", "1")
    assert code == cli.Exit.CLAIM_FAILED
    assert "MISSED success_share > 0.65   [0 of 1 seeds]" in text
    assert bpsim("workshop", "hint", "08_first_come")[1].startswith("Of all who wait")
    file.write_text(catalogue()["08_first_come"].solved_text(), encoding="utf-8")
    assert bpsim("workshop", "start", "08_first_come")[1].startswith("all of it is in bpsim-workshop already")
    code, text = bpsim("workshop", "check", "--seeds", "1")
    assert (code, "solved" in text) == (0, True)


def test_everything_is_handed_out_and_validates(tmp_path: Path) -> None:
    assert bpsim("workshop", "start", "--to", str(tmp_path / "Übung 1"))[0] == 0
    assert len(list((tmp_path / "Übung 1" / "lessons").glob("*.ipynb"))) == 7
    for path in (tmp_path / "Übung 1" / "challenges").glob("*.yaml"):
        assert load(path).question == catalogue()[path.stem].question


def test_a_solution_is_shown_as_it_is_written_in_a_scenario() -> None:
    text = bpsim("workshop", "solution", "01_spinner")[1]
    assert yaml.safe_load(text.partition("\n\n")[0]) == catalogue()["01_spinner"].solution


@pytest.mark.parametrize(
    "words", [("check", "02_spiner"), ("hint", "02_spiner"), ("start", "02_spiner"), ("incident", "mondy")]
)
def test_a_name_that_is_not_there_is_met_with_the_nearest(words: tuple[str, str]) -> None:
    code, text = bpsim("workshop", *words)
    assert code == cli.Exit.USAGE
    assert "did you mean" in text


@pytest.mark.parametrize("name", incidents())
def test_an_incident_begins_where_its_fault_is_and_the_metrics_do_not_say_so(name: str) -> None:
    incident = Incident.of(name, 1)
    (fault,) = load(incidents()[name]).base.faults
    assert incident.story.root == fault.target
    rows = list(incident.table())
    assert len(rows) == 13
    assert {len(row) for row in rows} == {4 + 6}
    assert fault.kind not in str(rows)
    assert any(int(row[2]) < 0.9 * int(row[1]) or "/100/" in str(row) or row[3] != rows[1][3] for row in rows[1:])


def test_an_answer_is_judged_and_followed_by_the_story() -> None:
    code, text = bpsim("workshop", "incident", "saturday")
    assert code == 0
    assert "slower" not in text
    assert "No: you said the API, it began in Flink." in bpsim("workshop", "incident", "saturday", "--answer", "api")[1]
    right = bpsim("workshop", "incident", "saturday", "--answer", "flink")[1]
    assert right.startswith("Right")
    assert "saturday.yaml:" in right
    assert "20 times slower" in right


def test_the_doctor_finds_this_machine_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = bpsim("doctor")
    assert (code, text.splitlines()[-1]) == (0, "ready")
    found = json.loads(bpsim("doctor", "--json")[1])["checks"]
    assert {"Python", "simpy", "files here", "console", "browser", "port 8501", "material", "a run"} <= {
        one["what"] for one in found
    }
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_sees_what_is_missing_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not doctor._python((3, 10, 1)).well
    assert "python -m pip install nosuchthing" in doctor._package("nosuchthing", "python -m pip install nosuchthing", True).fix
    missing = doctor._can_write(tmp_path / "nowhere")
    assert not missing.well
    assert "--to" in missing.fix
    assert not doctor._console("cp1252").well

    def none(using: str | None = None) -> None:
        raise webbrowser.Error("no browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert "by hand" in doctor._browser().fix
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    monkeypatch.chdir(tmp_path)
    code, text = bpsim("doctor")
    assert code == cli.Exit.ABORTED
    assert "FIX  Python       3.10.0: install Python 3.11 or newer" in text
    assert text.endswith("not ready: see FIX above\n")
