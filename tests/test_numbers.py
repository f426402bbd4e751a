"""The numbers in the prose of README and docs: each comes from somewhere, and is what it is there."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

import pytest

from bpsim.workshop.challenges import catalogue
from handbook.notebooks import sources
from handbook.origins import ROOT, written, wrong
from handbook.prose import KINDS, parts

PAGES = {str(page.relative_to(ROOT)): page for page in written()}


@pytest.mark.parametrize("name", PAGES)
def test_every_number_in_prose_is_what_it_is_where_it_comes_from(name: str) -> None:
    assert list(wrong(PAGES[name].read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("page", "complaint"),
    {
        "It takes 4 s.": "line 1: nothing says where 4 comes from",
        "It takes 4 s and 4 s. <!-- numbers: 4 = 2 * 2 -->": "line 1: nothing says where 4 comes from",
        "It takes 4 s.\n\n- Or 4.\n  <!-- numbers: 4 = 2 * 2 -->": "line 1: nothing says where 4 comes from",
        "It takes 4 s. <!-- numbers: 4, 5 stated why -->": "line 1: there is no 5 here",
        "It takes 4 s. <!-- numbers: 4 stated -->": "line 1: 4 stated : it has no reason",
        "It takes 4 s. <!-- numbers: 4 = 2 * 3 -->": "line 1: 4 = 2 * 3: it is another",
        "It takes 0.42 s. <!-- numbers: 0.42 = 0.43 -->": "line 1: 0.42 = 0.43: it is another",
        "It takes 0.42 s. <!-- numbers: 0.42 = 0.41 -->": "line 1: 0.42 = 0.41: it is another",
        "It takes 4 s. <!-- numbers: 4 > 4 -->": "line 1: 4 > 4: it is another",
        "It takes 4 s.\n<!-- numbers: 4 shown -->\n\n```text\n5\n```": "line 1: 4 shown : no block of the page shows it",
        "Twenty. <!-- numbers: ten counts bpsim.result:TIERS -->": "line 1: there is no ten here",
        "Ten. <!-- numbers: ten counts bpsim.result:TIERS -->": "line 1: ten counts bpsim.result:TIERS: it is 7",
        "4. <!-- numbers: 4 is bpsim.cli.app:Exit.USAGE -->": "line 1: 4 is bpsim.cli.app:Exit.USAGE: it is 2",
        "In 9 ms. <!-- numbers: 9 option linger.ms -->": "line 1: 9 option linger.ms: it is 5",
        "33 KiB. <!-- numbers: 33 option taskmanager.memory.segment-size / 1024 -->":
            "line 1: 33 option taskmanager.memory.segment-size / 1024: it is 32",
        "It is 8/s. <!-- numbers: 8 field client.arrivals.rate of gc_pause -->":
            "line 1: 8 field client.arrivals.rate of gc_pause: it is 7",
        "It is 0.4. <!-- numbers: 0.4 = naive.success_share of gc_pause duration=31s -->":
            "line 1: 0.4 = naive.success_share of gc_pause duration=31s: it is {'naive.success_share': 1.0}",
        "In 21 s. <!-- numbers: 21 in scenarios/slow_database.yaml -->":
            "line 1: 21 in scenarios/slow_database.yaml: it does not stand there",
        "In 21 s. <!-- numbers: 21 in nowhere.yaml -->": "line 1: 21 in nowhere.yaml: there is no such origin",
    }.items(),
)  # fmt: skip
def test_a_number_from_nowhere_or_that_is_another_is_found(page: str, complaint: str) -> None:
    found = list(wrong(page))
    assert len(found) == 1 and found[0].startswith(complaint), found


def test_a_clause_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="'4 perhaps' does not say where a number comes from"):
        parts("It takes 4 s. <!-- numbers: 4 perhaps -->")


def test_what_is_no_number_needs_no_origin() -> None:
    page = "A 429 or a 500 (RFC 8289) of M/M/1 at p99 with `x: 9`, [so](a/7.md), Flink 1.20, lesson 4. <!-- a note of 5 -->"
    assert [number for part in parts(page) for number in part.numbers] == []
    assert len(KINDS) < 12, "a short list"
    assert [part.numbers for part in parts("## 2. Then\n\nx\n\n1. y\n2. 3 z")] == [(), (), (), ("3",)]


def test_few_numbers_are_only_stated() -> None:
    stated = [clause for page in PAGES.values() for part in parts(page.read_text("utf-8")) for clause in part.clauses
              if clause.how == "stated"]  # fmt: skip
    assert len(stated) <= 5, stated


def test_timetables_add_up() -> None:
    text = (ROOT / "docs" / "workshop" / "facilitator.md").read_text("utf-8")
    tracks = re.findall(r"^### (\d+) minutes.*?\n(.*?)(?=^##)", text, re.M | re.S)
    assert [int(minutes) for minutes, _ in tracks] == [45, 90, 180]
    for minutes, table in tracks:
        rows = [tuple(map(int, row)) for row in re.findall(r"^\| (\d):(\d\d) \| (\d+) \|", table, re.M)]
        times = [60 * hour + minute for hour, minute, _ in rows]
        assert times[0] == 0
        assert [begin + lasts for begin, (_, _, lasts) in zip(times, rows, strict=True)] == [*times[1:], int(minutes)]


def test_lessons_challenges_and_versions_that_are_named_exist() -> None:
    challenges = {name[:2] for name in catalogue()}
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, path in PAGES.items():
        text = path.read_text("utf-8")
        assert {int(n) for n in re.findall(r"[Ll]esson (\d)", text)} <= set(range(1, len(sources()) + 1)), name
        assert set(re.findall(r"[Cc]hallenge (0\d)", text)) <= challenges, name
        assert all(f">={version}" == about["requires-python"] for version in re.findall(r"Python ≥ ([\d.]+)", text)), name


def test_rows_and_items_are_numbered_in_order() -> None:
    for name, path in PAGES.items():
        for kind in (r"^\| (\d+) \|", r"^(\d+)\. ", r"^## (\d+)\. "):
            numbers = [int(n) for n in re.findall(kind, path.read_text("utf-8"), re.M)]
            assert all(after in (before + 1, 1) for before, after in pairwise([0, *numbers])), f"{name}: {numbers}"
