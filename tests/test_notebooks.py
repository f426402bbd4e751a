"""The lessons: what they are made of, that they run, and that nothing is shown before it is predicted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bpsim.workshop import Lesson, NotPredicted
from bpsim.workshop.lesson import SMALLER
from handbook.answers import PAGE, rows
from handbook.notebooks import made, sources
from tests.files import TINY

LESSONS = sources()
HEADINGS = ["## Predict", "## Run", "## Investigate", "## Modify", "## Make", "## Explain"]


def cells(source: Path) -> list[tuple[str, str]]:
    """(kind, text) of each cell."""
    notebook = json.loads(source.with_suffix(".ipynb").read_text("utf-8"))
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def test_there_are_seven_and_they_are_made_from_their_sources() -> None:
    assert len(LESSONS) == 7
    for path, text in made():
        assert path.read_text("utf-8") == text, "renew it: python -m handbook"


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_a_question_and_the_six_steps_in_order(source: Path) -> None:
    prose = "\n".join(text for kind, text in cells(source) if kind == "markdown")
    assert "**Question.**" in prose
    assert "*One idea:*" in prose
    assert [line for line in prose.splitlines() if line in HEADINGS] == HEADINGS
    assert "<details><summary>One answer</summary>" in prose
    assert 500 < len(re.findall(r"\w+", "\n".join(text for _, text in cells(source)))) < 1800, "5 to 12 minutes at 150 words"


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_predicts_before_it_runs_and_reveals_what_was_predicted(source: Path) -> None:
    code = "\n".join(text for kind, text in cells(source) if kind == "code")
    predicted = re.findall(r'lesson\.predict\("(\w+)"', code)
    assert code.index("lesson.predict") < code.index("lesson.run")
    assert len(predicted) >= 3
    assert all(line.endswith("None)") for line in code.splitlines() if line.startswith("lesson.predict("))


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs(source: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for picture in pictures:
        assert len(picture["metadata"]["image/png"]["alt"]) > 50
    printed = "".join(output.get("text", "") for output in outputs)
    kept = json.loads((tmp_path / "my_predictions.json").read_text("utf-8"))[source.stem]
    assert all("truth" in one for one in kept.values()), "predicted, and never revealed"
    assert printed.count("it was ") == len(kept)
    assert set(rows(kept)) <= set(PAGE.read_text("utf-8").splitlines()), "renew it: python -m handbook answers"


def test_nothing_runs_and_nothing_is_revealed_before_a_prediction(tmp_path: Path) -> None:
    lesson = Lesson("one", tmp_path / "kept.json")
    with pytest.raises(NotPredicted, match="predict first"):
        lesson.run(lesson.load(TINY))
    with pytest.raises(NotPredicted, match="'wait'"):
        lesson.reveal("wait", 1.0)


def test_a_prediction_outlives_the_session_and_does_not_change_once_the_answer_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Lesson("one", tmp_path / "kept.json").predict("wait", "How long?", 100)
    again = Lesson("one", tmp_path / "kept.json")
    again.predict("wait", "How long?", 300)
    again.reveal("wait", 200.0)
    assert capsys.readouterr().out.endswith("How long?\n  you said 300, it was 200: 1.5 times too much\n")
    again.predict("wait", "How long?", 200)
    assert "stays 300" in capsys.readouterr().out
    assert json.loads((tmp_path / "kept.json").read_text("utf-8"))["one"]["wait"]["guess"] == 300


@pytest.mark.parametrize(
    ("guess", "truth", "said"),
    [
        (None, 2.0, "you said nothing, it was 2\n"),
        (1.7, 2.0, "you said 1.7, it was 2: close\n"),
        (1, 4.0, "you said 1, it was 4: 4 times too little\n"),
        ("yes", "no", "you said yes, it was no: otherwise. What did you not think of?\n"),
        ("Flink", "flink", "you said Flink, it was flink: right\n"),
        (0, 0.0, "you said 0, it was 0: right\n"),
    ],
)
def test_a_prediction_stands_beside_what_happened(
    guess: object, truth: float | str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = Lesson("one", tmp_path / "kept.json")
    lesson.predict("it", "?", guess)
    lesson.reveal("it", truth)
    assert capsys.readouterr().out.endswith(said)


def test_a_shipped_scenario_comes_in_its_smaller_form() -> None:
    assert Lesson("one").load("death_spiral").base.client.arrivals.rate == 60  # type: ignore[union-attr]
    assert "client.arrivals.rate=60/s" in SMALLER["death_spiral"]
