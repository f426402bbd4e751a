"""Flink's two file forms, held to what released versions made of three files (tests/data/flink/conf1 … conf3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bpsim.document import InvalidScenario
from bpsim.tiers.flink.conf_file import ConfFile, default_version, parse_conf
from bpsim.tiers.flink.values import version_of

DATA = Path(__file__).parent / "data" / "flink"


def golden(release: str, section: int) -> dict[str, str]:
    """What the version found in conf1, conf2 or conf3."""
    text = (DATA / f"conf-parse-{release}.txt").read_text().split("## ")[section]
    return dict(re.findall(r"^  (\S+) => (.*)$", text, re.MULTILINE))


def read(path: str, version: str = "1.20") -> ConfFile:
    return parse_conf((DATA / path).read_text(), path, version_of(version))


def test_flink_conf_yaml_is_read_line_by_line() -> None:
    found = read("conf1/flink-conf.yaml")
    assert found.options == golden("1.20.5", 1)
    assert len(found.options) == 9


@pytest.mark.parametrize(("version", "release"), [("1.20", "1.20.5"), ("2.3", "2.3.0")])
def test_config_yaml_is_yaml_nested_or_flat(version: str, release: str) -> None:
    found = read("conf2/config.yaml", version)
    assert found.options == golden(release, 2)
    assert found.options["pipeline.jars"] == "[a.jar, b.jar]"


def test_lines_that_flink_skips_are_named_with_their_places() -> None:
    skipped = [str(problem) for problem in read("conf1/flink-conf.yaml").passed_over]
    assert [line.split(": ")[0] for line in skipped] == [f"conf1/flink-conf.yaml:{n}:1" for n in (6, 7, 12)]
    assert "write 'key: value', with a blank after the colon" in skipped[1]


def test_options_know_their_places_in_both_forms() -> None:
    flat, nested = read("conf1/flink-conf.yaml"), read("conf2/config.yaml", "2.3")
    assert (flat.keys["taskmanager.numberOfTaskSlots"], flat.values["taskmanager.numberOfTaskSlots"]) == ((5, 3), (5, 34))
    assert (nested.keys["taskmanager.memory.process.size"], nested.values["taskmanager.memory.process.size"]) == (
        (5, 7),
        (5, 13),
    )
    assert str(nested.problem("taskmanager.memory.process.size", "too small")) == "conf2/config.yaml:5:13: too small"


def test_a_key_that_stands_twice_is_an_error_in_yaml_and_the_last_one_in_lines() -> None:
    assert "found duplicate key" in (DATA / "conf-parse-2.3.0.txt").read_text()
    with pytest.raises(InvalidScenario, match=r"conf3/config\.yaml:2:1: Error parsing YAML configuration: .*a second time"):
        read("conf3/config.yaml")
    found = parse_conf((DATA / "conf3/config.yaml").read_text(), "flink-conf.yaml", (1, 20))
    assert found.options == {"taskmanager.memory.process.size": "5g"}
    assert "stands again in line 2" in str(found.passed_over[0])


def test_a_flat_key_may_stand_beside_a_nested_one() -> None:
    found = parse_conf(
        "taskmanager: {memory: {process: {size: 4g}}}\ntaskmanager.memory.network.min: 1m", "config.yaml", (2, 3)
    )
    assert found.options == {"taskmanager.memory.process.size": "4g", "taskmanager.memory.network.min": "1m"}


def test_numbers_and_booleans_keep_their_text() -> None:
    found = parse_conf("a: 0.2\nb: TRUE\nc: true\nd: 128\ne: 1 s\nf:\n", "config.yaml", (2, 3))
    assert found.options == {"a": "0.2", "b": "TRUE", "c": "true", "d": "128", "e": "1 s"}
    assert [problem.line for problem in found.passed_over] == [6]


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("flink-conf.yaml", (2, 3), "Flink 2.3 reads config.yaml only"),
        ("config.yaml", (1, 18), "Flink 1.18 reads flink-conf.yaml only"),
    ],
)
def test_a_file_that_the_version_would_not_read_is_said(name: str, version: tuple[int, int], said: str) -> None:
    found = parse_conf("parallelism.default: 4", name, version)
    assert found.options == {"parallelism.default": "4"}
    assert said in str(found.passed_over[0])


def test_the_name_of_a_file_tells_the_newest_version_that_reads_it() -> None:
    assert [default_version(name) for name in ("conf/flink-conf.yaml", "conf/config.yaml", "my.yaml")] == [
        (1, 20),
        (2, 3),
        (2, 3),
    ]


@pytest.mark.parametrize("text", ["- a\n- b", "a: [1", "{1: 2", "a: !!python/object:os.x {}", "*x", "? [1]\n: 2"])
def test_what_is_no_configuration_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidScenario) as caught:
        parse_conf(text, "config.yaml", (2, 3))
    assert all(str(problem).startswith("config.yaml:") for problem in caught.value.problems)


def test_an_empty_file_sets_nothing() -> None:
    assert parse_conf("# nothing\n\n", "config.yaml", (2, 3)).options == {}
    assert parse_conf("", "flink-conf.yaml", (1, 20)).options == {}
