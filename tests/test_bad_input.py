"""Bad input: every problem at once, each with its place, what is wrong, and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpsim.document import InvalidScenario
from bpsim.scenario_file import load
from bpsim.tiers.api import ApiSpec

GOOD = """\
question: What?
duration: 10 s
client:
  arrivals: {kind: poisson, rate: 10/s}
  timeout: 1 s
  retry: {kind: fixed, delay: 10 ms}
api:
  workers: 1
  service: {kind: exponential, mean: 10 ms}
faults:
  - {kind: slowdown, target: api, at: 1 s, lasts: 2 s, factor: 3}
"""


def problems(tmp_path: Path, text: str | bytes, *sets: str) -> list[str]:
    """What `load` says about a file, without the folder's name."""
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidScenario) as caught:
        load(path, sets)
    return str(caught.value).replace(str(path), "x.yaml").splitlines()


def test_what_variants_have_from_the_base_is_wrong_once_and_there(tmp_path: Path) -> None:
    text = GOOD + "flink: {version: '2.3', conf: nowhere.yaml, service: 1 ms}\nvariants:\n  one: {}\n  two: {}\n"
    found = [line for line in problems(tmp_path, text) if "nowhere" in line]
    assert len(found) == 1 and found[0].startswith("x.yaml:12:31: 'conf': there is no file nowhere.yaml"), found


def test_the_good_scenario_is_good(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    assert list(load(tmp_path / "x.yaml").variants) == ["base"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("timeout", "tiemout", "x.yaml:5:3: 'tiemout' is not a field of client; did you mean 'timeout'?"),
        ("kind: fixed,", "kind: fixed, dely: 1 ms,", "x.yaml:6:24: 'dely' is not a field of retry; did you mean 'delay'?"),
        ("duration: 10 s", "duration: 10", "x.yaml:2:11: 'duration': 10 has no unit; a duration is needed, such as '5 ms'"),
        ("timeout: 1 s", "timeout: 1 MB", "x.yaml:5:12: 'timeout': '1 MB' is a size; a duration is needed, such as '5 ms'"),
        ("rate: 10/s", "rate: -3/s", "x.yaml:4:35: 'rate': -3/s must be above 0"),
        ("workers: 1", "workers: two", "x.yaml:8:12: 'workers': a whole number is needed, not 'two'"),
        ("workers: 1", "workers: 0", "x.yaml:8:12: 'workers': 0 must be at least 1"),
        ("kind: poisson", "kind: poison", "x.yaml:4:20: 'arrivals': 'poison' is not known here; did you mean 'poisson'?"),
        ("target: api", "target: flink", "x.yaml:11:30: faults.0.target: there is no flink in this pipeline (client, api)"),
        ("at: 1 s", "at: 11 s", "x.yaml:11:39: faults.0.at: the run ends at 10 s, before this fault at 11 s"),
        (", factor: 3", "", "x.yaml:11:5: 'faults.0': 'factor' is missing"),
        ("question: What?", "question: What?\nduration: 3 s",
         "x.yaml:3:1: 'duration' stands here a second time; the first is in line 2"),
        ("factor: 3", "factor: .nan", "x.yaml:11:64: 'factor': a number is needed, not '.nan'"),
    ],
)  # fmt: skip
def test_a_problem_has_a_place_and_a_way_out(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in GOOD
    assert problems(tmp_path, GOOD.replace(old, new, 1)) == [line]


def test_a_planned_option_is_refused_with_what_there_is_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApiSpec, "not_yet", {"teapot": "coffee only until then"})
    found = problems(tmp_path, GOOD.replace("workers: 1", "teapot: 5\n  workers: 1"))
    assert "x.yaml:8:3: 'teapot' is not built yet: coffee only until then" in found[0]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("timeout", "tiemout").replace("workers: 1", "workers: x").replace("10 s", "10 MB")
    assert [line.split(":")[1] for line in problems(tmp_path, text)] == ["2", "5", "8"]


def test_a_key_given_twice_and_a_fault_on_a_missing_tier_hide_nothing_else(tmp_path: Path) -> None:
    text = (
        GOOD.replace("workers: 1", "workers: 0\n  workers: x")
        .replace("target: api", "target: writer")
        .replace("1 s\n", "1 kg\n")
    )
    assert problems(tmp_path, text) == [
        "x.yaml:5:12: 'timeout': 'kg' is not a unit of duration (ns, us, µs, ms, s, min, h, d)",
        "x.yaml:9:3: 'workers' stands here a second time; the first is in line 8",
        "x.yaml:9:12: 'workers': a whole number is needed, not 'x'",
        "x.yaml:12:30: faults.0.target: there is no writer in this pipeline (client, api)",
    ]


def test_problems_in_variants_and_claims_have_places(tmp_path: Path) -> None:
    text = GOOD + "variants:\n  a: {api: {wrokers: 3}}\nexpect:\n  - a.amplifcation > 1\n  - b.offered > 1\n  - 3\n"
    assert problems(tmp_path, text) == [
        "x.yaml:13:13: 'wrokers' is not a field of api; did you mean 'workers'?",
        "x.yaml:15:5: this claim cannot be read: there is no metric 'amplifcation'; did you mean 'amplification'?",
        "x.yaml:16:5: this claim cannot be read: there is no variant 'b' (there are a)",
        "x.yaml:17:5: this claim cannot be read: '3' compares nothing; write for example 'naive.amplification > 3'",
    ]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB, "more than 50,000 values once aliases are expanded"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested more than 40 deep"),
        ("a: &a\n  b: *a\n", "nested more than 40 deep"),
        ("x" * 2_000_000, "more than a scenario may have"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        ('a: "never closed\nb: 1', "YAML: "),
        ("a: !!python/object/apply:os.system [ls]", "is not allowed"),
        ("", "a scenario is a mapping"),
        ("- 1\n- 2", "a scenario is a mapping"),
        ("a: " + "9" * 100_000, "'a' is not a field of a scenario"),
    ],
)
def test_hostile_files_are_refused_in_a_line(tmp_path: Path, text: str | bytes, what: str) -> None:
    lines = problems(tmp_path, text)
    assert any(what in line for line in lines)
    assert all(len(line) < 300 for line in lines)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assert problems(tmp_path_factory.mktemp("x"), data)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(list("{}[]:,-&*!#'\"\n\t 0x")))
@settings(max_examples=300, deadline=None)
def test_one_wrong_key_press_raises_nothing_else(tmp_path_factory: pytest.TempPathFactory, where: int, key: str) -> None:
    path = tmp_path_factory.mktemp("x") / "x.yaml"
    path.write_text(GOOD[:where] + key + GOOD[where + 1 :])
    try:
        load(path)
    except InvalidScenario as error:
        assert str(error)


def test_set_changes_the_base_and_every_variant(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(GOOD + "variants:\n  a: {client: {retry: {kind: immediate}}}\n  b: {}\n")
    file = load(path, ("client.retry.kind=none", "faults.0.factor=9", "api.queue.records=7"))
    for scenario in file.variants.values():
        assert scenario.client.retry.kind == "none"
        assert scenario.faults[0].factor == 9  # type: ignore[union-attr]
        assert scenario.api.queue.records == 7


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("nonsense", "--set nonsense: not of the form path=value; --set client.retry.kind=none"),
        ("api.workers=two", "--set api.workers=two: 'workers': a whole number is needed, not 'two'"),
        ("faults.7.factor=2", "--set faults.7.factor=2: there is nothing inside 'faults.7' to set"),
        ("api.wrokers=2", "--set api.wrokers=2: 'wrokers' is not a field of api; did you mean 'workers'?"),
    ],
)
def test_a_wrong_set_is_named(tmp_path: Path, assignment: str, line: str) -> None:
    assert problems(tmp_path, GOOD, assignment) == [line]
