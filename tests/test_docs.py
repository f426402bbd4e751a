"""The documentation: every command and every number in it, the reference pages, the glossary, and the site as a whole."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from bpsim.kafka.tables import TABLES
from bpsim.knobs import REAL_NAMES
from bpsim.metrics import METRICS
from bpsim.metrics.summary import PHASES
from bpsim.metrics.windows import NAMES
from bpsim.result import TIERS
from bpsim.tiers.flink.options import OPTIONS, _known
from handbook.commands import command_names
from handbook.fields import paths, schema
from handbook.pages import pages
from handbook.prose import FENCE
from tests.examples import INLINE, blocks, run_page

ROOT = Path(__file__).parents[1]
GENERATED_ELSEWHERE = {"validation.md", "performance.md", "performance-dashboard.md"}
WRITTEN = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name not in GENERATED_ELSEWHERE]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *WRITTEN]
EXAMPLES = {"sh", "python", "yaml"}
WITH_EXAMPLES = [page for page in PAGES if EXAMPLES & {block.kind for block in blocks(page.read_text("utf-8"))}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a clone: with the shipped scenarios in it, and nothing else."""
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    return tmp_path


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.stem)
def test_what_a_page_says_is_what_happens(page: Path, folder: Path) -> None:
    assert run_page(page.read_text("utf-8"), folder) == []


def test_a_number_that_is_wrong_is_found(folder: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-tier.md").read_text("utf-8")
    assert run_page(page.replace("holds it for 0.4 s\n```", "holds it for 0.5 s\n```"), folder) == [
        "not printed: fast has finished record 4 at 0.7 s and holds it for 0.5 s"
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_prose_exist(page: Path) -> None:
    known = command_names() | {name.split()[0] for name in command_names()}
    for match in INLINE.finditer(page.read_text("utf-8")):
        words = match[1].split()
        assert words[0] in known, match[0]
        assert words[0] != "workshop" or len(words) == 1 or " ".join(words) in known, match[0]


def test_every_file_that_is_named_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"`((?:bpsim|tests|scenarios|docs|handbook|notebooks)/[\w./-]+)`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_the_reference_has_every_field_of_every_mapping() -> None:
    text = pages()["reference/scenario.md"]
    for spec in schema()["$defs"].values():
        for name in spec.get("properties", {}):
            assert name == "kind" or f"| `{name}` |" in text
    assert "| `linger` | duration, such as `5 ms` | `5 ms` | `linger.ms` |" in text
    assert {"client.retry.budget.ratio", "producer.buffer.bytes", "faults.at", "writer.batch_rows"} <= paths()


def test_the_reference_has_every_metric_and_command() -> None:
    made = pages()
    for name in METRICS:
        tail = re.sub(rf"^({'|'.join((*TIERS, *PHASES))})_|_({'|'.join(NAMES)})$", "", name)
        assert tail in made["reference/metrics.md"], name
    for name in command_names():
        assert f"## bpsim {name} " in made["reference/commands.md"]


def test_the_site_builds_strictly_and_asks_nobody(tmp_path: Path) -> None:
    import logging

    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(config)
    for page in (tmp_path / "site").rglob("*.html"):
        fetched = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="?(https?:[^" >]+)', page.read_text("utf-8"))
        assert fetched == [], page


def glossary() -> list[tuple[str, str, str]]:
    """(term, in real systems, in bpsim) by row."""
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    row = re.compile(r"^\| <a id=.*?></a>\*\*(.+?)\*\* \| .*? \| (.*?) \| (.*?) \|$", re.M)
    return [(found[1], found[2], found[3]) for found in row.finditer(text)]


def test_the_glossary_explains_the_words_of_the_field() -> None:
    terms = [term.lower() for term, _, _ in glossary()]
    assert len(set(terms)) == len(terms) >= 60
    assert terms == sorted(terms)


def test_every_name_in_the_glossary_exists() -> None:
    known = paths() | set(METRICS)
    for term, _, ours in glossary():
        names = re.findall(r"\[`([^`]+)`\]\(reference/", ours)
        assert names, f"{term} is linked to nothing"
        assert set(names) <= known, f"{term}: {set(names) - known}"


KAFKAS = {name for tables in TABLES.values() for table in tables.values() for name in table.by_name}
FLINKS = {name for option in OPTIONS.values() for names in option.names.values() for name in names} | set(_known())
KEY = re.compile(r"(?<![\w/.-])[a-z][\w-]*(?:\.[a-z][\w-]*)+(?![\w/(])")
"""Words with dots between them, which is what keys, fields and files look like."""
NO_KEYS = re.compile(r".*\.(?:yaml|json|html|properties)|variant\.metric|streams\.to_grid")


def keys_in(text: str) -> set[str]:
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return {key for span in spans for key in KEY.findall(span) if not NO_KEYS.fullmatch(key)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_key_of_kafka_flink_and_bpsim_that_is_named_exists(page: Path) -> None:
    assert keys_in(page.read_text("utf-8")) - KAFKAS - FLINKS - set(METRICS) - paths() == set()


def test_kafkas_and_flinks_keys_are_seen_and_one_that_is_misspelt_is_none() -> None:
    named = keys_in((ROOT / "docs" / "glossary.md").read_text("utf-8"))
    assert {"linger.ms", "max.in.flight.requests.per.connection", "retention.bytes"} <= named & KAFKAS
    assert {"taskmanager.memory.segment-size", "execution.checkpointing.unaligned.enabled"} <= named & FLINKS
    assert keys_in("`max.blocks.ms` and `taskmanager.memory.segmentsize: 1`").isdisjoint(KAFKAS | FLINKS)
    assert set(REAL_NAMES.values()) - KAFKAS - FLINKS == {"sink.buffer-flush.max-rows", "sink.buffer-flush.interval"}, "JDBC's"


def test_what_is_said_to_the_outside_agrees_with_the_package() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (citation["version"], citation["license"], citation["cff-version"]) == (about["version"], about["license"], "1.2.0")
    for template in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(template.read_text("utf-8"))
        assert form == {"blank_issues_enabled": False} or {"name", "description", "body"} <= form.keys()
    for hook in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]:
        assert hook["language"] == "system", "the tools are those of the environment"
