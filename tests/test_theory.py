"""The closed forms against `queueing.json`, which was not made by bpsim."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import Any

import pytest

from bpsim import theory

CASES = json.loads((Path(__file__).parent / "data" / "queueing.json").read_text())
Case = dict[str, Any]


def gaps(params: Case) -> Callable[[float], float]:
    """Laplace transform of constant or Erlang gaps."""
    mean = 1 / params["lambda"]
    if params["ca2"] == 0:
        return lambda s: exp(-s * mean)
    shape = round(1 / params["ca2"])
    return lambda s: (shape / (shape + s * mean)) ** shape


def mm1(p: Case) -> Case:
    queue = theory.MM1(p["lambda"], p["mu"])
    return {"rho": queue.utilisation, "W": queue.W, "Wq": queue.Wq, "L": queue.L, "W_p99": queue.sojourn_quantile(0.99)}


def mmc(p: Case) -> Case:
    queue = theory.MMc(p["lambda"], p["mu"], p["c"])
    return {"erlang_C_P_wait": queue.waiting_share, "Wq": queue.Wq, "W": queue.W, "Wq_p99": queue.wait_quantile(0.99)}


def mmck(p: Case) -> Case:
    queue = theory.MMcK(p["lambda"], p["mu"], p.get("c", 1), p["K_system_capacity"])
    return {"P_block": queue.rejected_share, "throughput": queue.throughput, "W_accepted": queue.W}


def gim1(p: Case) -> Case:
    sigma = theory.gi_m_1(gaps(p), p["mu"])
    return {"sigma": sigma, "Wq": sigma / p["mu"] / (1 - sigma)}


FORMULAS: dict[str, Callable[[Case], Case]] = {
    "M/M/1": mm1,
    "M/M/c": mmc,
    "M/M/1/K": mmck,
    "M/M/c/K": mmck,
    "M/M/c/c (Erlang B, also M/G/c/c)": lambda p: {"blocking": theory.erlang_b(p["offered_erlangs"], p["c"])},
    "M/D/1": lambda p: {"Wq": theory.mg1_wait(p["lambda"], p["service"], 0.0)},
    "M/G/1 Erlang-2": lambda p: {"Wq": theory.mg1_wait(p["lambda"], p["mean"], 0.5)},
    "M/G/1 Lognormal SCV=4": lambda p: {"Wq": theory.mg1_wait(p["lambda"], p["mean"], p["scv"])},
    "D/M/1": gim1,
    "E2/M/1": gim1,
    "E4/M/1": gim1,
    "Machine repairman M/M/1//N (closed, exp think time)": lambda p: dict(
        zip("XR", theory.machine_repairman(p["N"], p["think_mean"], p["service_mean"]), strict=True)
    ),
    "M/M/1 FIFO, client timeout T on SOJOURN, no cancellation, no retry": lambda p: {
        "P_timeout": theory.timeout_share(p["lambda"], p["mu"], p["T"])
    },
    "Saturated 2-station line, blocking-BEFORE-service (communication blocking)": lambda p: {
        "throughput": theory.blocked_before_service(p["buffer_between"])
    },
    "M/M/1: mean time from empty until K in system (time to OOM / buffer overflow)": lambda p: {
        "mean_time": theory.time_to_overflow(p["lambda"], p["mu"], p["K"])
    },
    "M/M/1: mean time to drain from n to empty": lambda p: dict(
        zip(("mean_time", "sd_time"), theory.drain_time(p["n"], p["lambda"], p["mu"]), strict=True)
    ),
    "M/M/1 asymptotic variance of time-average L (mu=1)": lambda p: {
        "arrivals_for_5pct_95CI": theory.arrivals_needed(p["rho"])
    },
    "Stable (hidden) capacity with at most R retries, no cancellation": lambda p: {
        "C_stable": theory.stable_capacity(p["C_norm"], p["R"] + 1)
    },
    "Max queue that cannot sustain a retry storm (FIFO, timeout T)": lambda p: {
        "queue_len_threshold": theory.retry_storm_bound(p["mu"], p["T"])
    },
}
CHECKED = [case for case in CASES if case["name"] in FORMULAS]


@pytest.mark.parametrize("case", CHECKED, ids=lambda case: case["id"])
def test_a_closed_form_is_the_published_one(case: Case) -> None:
    for name, value in FORMULAS[case["name"]](case["params"]).items():
        assert value == pytest.approx(case["expected"][name], rel=1e-9), name


def test_every_formula_meets_a_case() -> None:
    assert {case["name"] for case in CHECKED} == FORMULAS.keys()


@pytest.mark.parametrize("case", [c for c in CASES if "unequal rates" in c["name"] and len(c["params"]["mus"]) == 2] +
                         [c for c in CASES if "equal rates, finite" in c["name"] and c["params"].get("stations") == 2],
                         ids=lambda case: case["id"])  # fmt: skip
def test_blocking_after_service_is_hunts(case: Case) -> None:
    first, second = case["params"].get("mus", (1.0, 1.0))
    assert first * theory.blocked_after_service(case["params"]["buffer_between"], second / first) == pytest.approx(
        case["expected"]["throughput"], rel=1e-9
    )


@pytest.mark.parametrize("case", [c for c in CASES if c["name"].startswith("Capacity dip")], ids=lambda case: case["id"])
def test_a_dip_costs_what_arithmetic_says(case: Case) -> None:
    p, exact = case["params"], case["expected"]
    assert theory.drain_time(exact["peak_backlog"], p["lambda"], p["mu"])[0] == pytest.approx(exact["drain_s"])
    for timeout in (1, 3, 5):
        found = theory.zero_goodput_time(exact["peak_backlog"], p["lambda"], p["mu"], timeout)
        assert found == pytest.approx(exact[f"zero_goodput_after_trigger_s_timeout_{timeout}"])


@pytest.mark.parametrize("case", [c for c in CASES if c["name"].startswith("Time to OOM")], ids=lambda case: case["id"])
def test_a_buffer_delays_the_crash(case: Case) -> None:
    p, exact = case["params"], case["expected"]
    records = p["buffer_bytes"] / p["record_bytes"]
    assert theory.time_to_full(p["lambda"], p["mu"], records) == pytest.approx(exact["time_to_full_s"])


def test_linger_without_a_size_limit() -> None:
    assert theory.linger_batch(100, 0.005) == pytest.approx((1.5, 0.0041666667))


def test_an_unstable_queue_is_refused_with_its_numbers() -> None:
    with pytest.raises(ValueError, match=r"utilisation is 1\.2"):
        theory.MM1(12, 10)


def test_public_names_are_said_once() -> None:
    assert len(set(theory.__all__)) == len(theory.__all__)
    assert all(getattr(theory, name).__doc__ for name in theory.__all__)
