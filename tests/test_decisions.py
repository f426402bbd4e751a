"""Decisions and data: distributions, arrivals, retries, faults, units. No clock, no engine."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bpsim.arrivals import Arrivals
from bpsim.distributions import Distribution
from bpsim.faults import Fault, conditions, turning_points
from bpsim.policies.retry import Retry
from bpsim.scenario import Scenario
from bpsim.units import Bytes, Seconds, format_bytes, format_rate, format_seconds, parse

LAWS: list[dict[str, Any]] = [
    {"kind": "constant", "value": 0.2},
    {"kind": "exponential", "mean": 0.2},
    {"kind": "lognormal", "mean": 0.2, "scv": 0.8},
    {"kind": "gamma", "mean": 0.2, "shape": 2.5},
    {"kind": "erlang", "mean": 0.2, "shape": 3},
    {"kind": "uniform", "low": 0.1, "high": 0.4},
    {"kind": "bimodal", "fast": 0.1, "slow": 1.0, "p_slow": 0.1},
    {"kind": "bimodal", "fast": 0.1, "slow": 1.0, "p_slow": 0.1, "spread": "constant"},
    {"kind": "empirical", "values": [0.1, 0.1, 0.3, 0.9]},
]


def read(union: Any, value: Any) -> Any:
    return TypeAdapter(union).validate_python(value)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: f"{law['kind']}-{law.get('spread', '')}")
def test_samples_have_the_mean_and_variability_they_promise(law: dict[str, Any]) -> None:
    built = read(Distribution, law)
    sample = built.sample(np.random.default_rng(3), 400_000)
    assert (sample >= 0).all()
    assert sample.mean() == pytest.approx(built.mean, rel=0.01)
    assert sample.var() / sample.mean() ** 2 == pytest.approx(built.scv, rel=0.03, abs=1e-12)


def test_every_law_is_tested() -> None:
    from bpsim.cli.listing import members

    kinds = {kind for member in members(Distribution) for kind in get_args(member.model_fields["kind"].annotation)}
    assert kinds == {law["kind"] for law in LAWS}


def test_a_bare_duration_is_a_constant() -> None:
    assert read(Distribution, "5 ms") == read(Distribution, {"kind": "constant", "value": 0.005})


def times(arrivals: dict[str, Any], faults: tuple[dict[str, Any], ...] = (), duration: float = 100.0) -> np.ndarray:
    built = tuple(read(Fault, fault) for fault in faults)
    return read(Arrivals, arrivals).times(np.random.default_rng(1), built, duration)


def test_deterministic_arrivals_are_a_metronome() -> None:
    np.testing.assert_allclose(times({"kind": "deterministic", "rate": 7}, duration=1.0), np.arange(1, 7) / 7, atol=1e-9)


def test_a_ramp_offers_the_area_under_it() -> None:
    ramp = {"kind": "piecewise", "spacing": "constant",
            "points": [{"at": 0.0, "rate": 10}, {"at": 100.0, "rate": 30, "by": "ramp"}]}  # fmt: skip
    found = times(ramp)
    assert len(found) == pytest.approx(2000, abs=1)
    assert (found < 50).sum() == pytest.approx(50 * 15, abs=1)
    assert np.diff(found)[0] == pytest.approx(0.1, rel=0.02)
    assert np.diff(found)[-1] == pytest.approx(1 / 30, rel=0.02)


def test_spikes_compose_where_they_overlap() -> None:
    spikes = (
        {"kind": "spike", "at": 10.0, "lasts": 20.0, "factor": 2.0},
        {"kind": "spike", "at": 20.0, "lasts": 20.0, "factor": 3.0},
    )
    found = times({"kind": "deterministic", "rate": 100}, spikes)
    counts = np.histogram(found, [0, 10, 20, 30, 40, 100])[0]
    np.testing.assert_allclose(counts, [1000, 2000, 6000, 3000, 6000], atol=2)


def test_faults_that_overlap_compose_and_leave_nothing_behind() -> None:
    faults = tuple(
        read(Fault, fault)
        for fault in (
            {"kind": "slowdown", "target": "api", "at": 10.0, "lasts": 20.0, "factor": 4.0},
            {"kind": "slowdown", "target": "api", "at": 20.0, "lasts": 20.0, "factor": 2.0},
            {"kind": "outage", "target": "api", "at": 25.0, "lasts": 1.0},
            {"kind": "stall", "target": "writer", "at": 0.0, "lasts": 99.0},
        )
    )
    speeds = [conditions(faults, "api", moment).speed for moment in (9.9, 10.0, 20.0, 25.5, 26.0, 30.0, 39.9, 40.0)]
    assert speeds == [1.0, 0.25, 0.125, 0.0, 0.125, 0.5, 0.5, 1.0]
    assert conditions(faults, "api", 25.5).accepting is False
    assert conditions(faults, "api", 41.0) == conditions((), "api", 0.0)
    assert turning_points(faults, "api") == [10.0, 20.0, 25.0, 26.0, 30.0, 40.0]


def test_waits_between_tries() -> None:
    assert read(Retry, {"kind": "immediate"}).wait(2, 0.0, 0.5) == 0.0
    assert read(Retry, {"kind": "fixed", "delay": 0.05}).wait(5, 0.0, 0.5) == 0.05
    backoff = {
        jitter: read(Retry, {"kind": "exponential", "base": 0.1, "cap": 1.0, "jitter": jitter})
        for jitter in ("none", "full", "equal", "decorrelated")
    }
    longest = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert [backoff["none"].wait(number, 0.0, 0.3) for number in range(6)] == longest
    assert [backoff["full"].wait(number, 0.0, 0.25) for number in range(6)] == [v / 4 for v in longest]
    assert [backoff["equal"].wait(number, 0.0, 0.5) for number in range(6)] == pytest.approx([0.75 * v for v in longest])
    assert backoff["full"].wait(999, 0.0, 1.0) == 1.0
    assert backoff["decorrelated"].wait(0, 0.0, 0.5) == pytest.approx(0.2)  # U(0.1, 0.3)
    assert backoff["decorrelated"].wait(1, 0.2, 0.5) == pytest.approx(0.35)  # U(0.1, 0.6)
    assert backoff["decorrelated"].wait(2, 0.9, 0.9) == 1.0


@pytest.mark.parametrize(
    ("name", "attempts", "waits"),
    [
        ("urllib3", 11, [0.0, 0.0]),
        ("tenacity", 2**31 - 1, [0.0, 0.0]),
        ("aws_standard", 3, [1.0, 2.0]),
        ("resilience4j", 3, [0.5, 0.5]),
        ("grpc", 4, [0.1, 0.2]),
        ("finagle", 26, [0.0, 0.0]),
        ("envoy", 2, [0.025, 0.05]),
        ("polly", 4, [2.0, 2.0]),
    ],
)
def test_a_preset_is_what_the_library_does(name: str, attempts: int, waits: list[float]) -> None:
    policy = read(Retry, {"kind": name})
    assert policy.max_attempts == attempts
    assert [policy.wait(number, 0.0, 1.0) for number in range(2)] == waits


def test_urllib3_leaves_replies_alone_and_aws_stops_at_twenty_seconds() -> None:
    assert set(read(Retry, {"kind": "urllib3"}).on) == {"timed_out", "refused", "reset"}
    assert read(Retry, {"kind": "aws_standard", "max_attempts": 9}).wait(7, 0.0, 1.0) == 20.0


def test_a_fault_may_come_again_and_again() -> None:
    pauses = read(Fault, {"kind": "stall", "target": "api", "at": 1.0, "lasts": 0.5, "times": 3, "every": 2.0})
    assert pauses.windows == [(1.0, 1.5), (3.0, 3.5), (5.0, 5.5)]
    assert [conditions((pauses,), "api", moment).speed for moment in (0.9, 1.0, 1.5, 3.2, 5.4, 5.5)] == [1, 0, 1, 0, 0, 1]
    with pytest.raises(ValidationError, match="how far apart"):
        read(Fault, {"kind": "stall", "target": "api", "at": 1.0, "lasts": 0.5, "times": 3})
    with pytest.raises(ValidationError, match="comes once"):
        read(Fault, {"kind": "stall", "target": "api", "at": 1.0, "lasts": 0.5, "every": 3.0})


def test_a_gradual_slowdown_goes_up_and_down_in_small_steps() -> None:
    slow = {"kind": "slowdown", "target": "api", "at": 10.0, "lasts": 10.0, "factor": 3.0, "ramp_up": 4.0, "ramp_down": 2.0}
    faults = (read(Fault, slow),)
    factors = [
        1 / conditions(faults, "api", moment).speed for moment in (9.9, 10.0, 12.05, 13.95, 14.0, 17.9, 18.05, 19.95, 20.0)
    ]
    assert factors == pytest.approx([1, 1.05, 2.05, 2.95, 3, 3, 2.95, 1.05, 1])
    moments = turning_points(faults, "api")
    assert len(moments) == 42
    cold = (read(Fault, {"kind": "cold_cache", "target": "api", "at": 0.0, "lasts": 10.0, "factor": 5.0}),)
    assert [1 / conditions(cold, "api", moment).speed for moment in (0.1, 5.1, 9.9, 10)] == pytest.approx([4.9, 2.9, 1.1, 1])


def test_losses_and_errors_of_overlapping_faults_combine_as_chances() -> None:
    faults = tuple(read(Fault, {"kind": kind, "at": 0, "lasts": 1, "share": 0.5}) for kind in ("loss", "loss", "errors"))
    now = conditions(faults, "api", 0.5)
    assert (now.loss, now.errors) == (0.75, 0.5)


@given(st.floats(1e-9, 1e9), st.integers(1, 10**15))
def test_quantities_survive_writing_and_reading(seconds: float, size: int) -> None:
    for kind, value in ((Seconds, seconds), (Bytes, size)):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        written = adapter.dump_python(value, mode="json")
        assert adapter.validate_python(written, context={"source": "yaml"}) == value


def test_quantities_are_shown_as_people_write_them() -> None:
    assert [format_seconds(s) for s in (0, 5e-6, 0.005, 1.5, 90, 300, 86400)] == [
        "0 s",
        "5 us",
        "5 ms",
        "1.5 s",
        "90 s",
        "5 min",
        "24 h",
    ]
    assert [format_bytes(b) for b in (12, 10**7, 1.5e9)] == ["12 B", "10 MB", "1.5 GB"]
    assert [format_rate(r) for r in (0.5, 900, 1280)] == ["0.5/s", "900/s", "1,280/s"]
    assert parse("32 MiB", "size") == 32 * 2**20
    assert parse("6/min", "rate") == pytest.approx(0.1)


def test_but_changes_a_copy_and_checks_it() -> None:
    scenario = Scenario.model_validate(
        {
            "question": "?",
            "duration": 1.0,
            "client": {"arrivals": {"kind": "poisson", "rate": 1}},
            "api": {"workers": 1, "service": 0.1},
        }
    )
    changed = scenario.but(client={"retry": {"kind": "fixed", "delay": 0.1}}, api={"workers": 3})
    assert (changed.api.workers, changed.api.service, scenario.api.workers) == (3, scenario.api.service, 1)
    with pytest.raises(ValidationError):
        scenario.but(api={"workers": 0})
    with pytest.raises(ValidationError):
        scenario.api.workers = 2  # type: ignore[misc]


def test_the_committed_schema_is_the_schema() -> None:
    import json
    from pathlib import Path

    from bpsim.scenario_file import json_schema

    committed = Path(__file__).parents[1] / "scenarios" / "bpsim.schema.json"
    assert json.loads(committed.read_text()) == json_schema(), "renew it: bpsim schema > scenarios/bpsim.schema.json"
