"""What Python users import: said once, documented, and shown in a notebook."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import bpsim
from bpsim.experiment import Experiment
from tests.files import TINY


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    path = tmp_path_factory.mktemp("public") / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return bpsim.run_variants(bpsim.load(path), seed=1)


def test_the_three_lists_of_public_names_are_one() -> None:
    tree = ast.parse(Path(bpsim.__file__).read_text(encoding="utf-8"))
    typed = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module for name in node.names
             if node.module.startswith("bpsim.")}  # fmt: skip
    homes = {name for names in bpsim._HOMES.values() for name in names}
    assert set(bpsim.__all__) == typed == homes
    assert list(bpsim.__all__) == sorted(bpsim.__all__)


def test_no_module_hides_a_public_name() -> None:
    code = "import bpsim, bpsim.cli.app, bpsim.output, bpsim.tuning, bpsim.trials, bpsim.explanation, bpsim.hysteresis\n"
    code += "print(*[name for name in bpsim.__all__ if type(getattr(bpsim, name)).__name__ == 'module'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


@pytest.mark.parametrize("name", bpsim.__all__)
def test_a_public_name_says_what_it_is(name: str) -> None:
    thing = getattr(bpsim, name)
    own = inspect.getdoc(thing) or ""
    assert own[0].isupper() or own[0] in "`", name
    if inspect.isclass(thing):
        for attribute, value in vars(thing).items():
            if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{attribute} has no docstring"


def test_every_mark_is_explained_where_a_result_is() -> None:
    package = Path(bpsim.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in (*package.glob("*.py"), *package.glob("tiers/**/*.py"))]
    kinds = {kind for text in sources for kind in re.findall(r"\b_?mark\((?:fault\.target, )?\"(\w+)\"", text)}
    assert {"crash", "hold_ends", "isr_shrinks", "isr_expands", "rescale", "fault_begins"} <= kinds
    assert kinds <= set(re.findall(r"`(\w+)`", inspect.getdoc(bpsim.Result) or "")), "marks that Result does not name"


def test_an_experiment_is_a_table_of_variants_and_shows_itself(experiment: Experiment) -> None:
    frame = experiment.frame
    assert list(frame.index) == ["naive", "no_retry"]
    assert frame.loc["no_retry", "amplification"] == 1
    shown = experiment._repr_html_()
    assert "Does a tiny run work?" in shown and "holds: naive.amplification &gt; 1" in shown and "attempts per request" in shown


def test_a_result_and_its_explanation_show_themselves(experiment: Experiment) -> None:
    result = experiment.results["naive"]
    offered = len(result.tables["requests"]["born_s"])
    assert f"requests ({offered:,} rows)" in result._repr_html_()
    explanation = bpsim.explain(result)
    assert isinstance(explanation.frame, pd.DataFrame) and len(explanation.frame) == len(explanation.findings)
    assert "What users felt" in explanation._repr_html_()


def test_a_changed_file_is_a_file_with_changed_variants(experiment: Experiment) -> None:
    changed = experiment.file.but(duration="1 s", client={"timeout": "50 ms"})
    assert {scenario.duration for scenario in changed.variants.values()} == {1.0}
    assert changed.variants["no_retry"].client.retry.kind == "none"
    assert changed.variants["naive"].client.timeout == 0.05
    assert not changed.places, "it stands in no file"
    assert bpsim.run(changed.variants["naive"]).duration_s == 1.0
