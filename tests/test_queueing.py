"""The engine against `queueing.json`: closed forms and exact chains not made by bpsim.

Each estimate is a mean over batches of one long run (or over replications); the test asks that it lies within four
standard errors of the exact value, and that the standard error is small enough (`precision`) for a wrong model to
fail. Seeds are fixed, so nothing fails at random. Run lengths follow from the asymptotic variance of the M/M/1 queue
(2ρ(1+ρ)/(1−ρ)⁴, Whitt 1989): about 140,000 arrivals for 5 % at ρ = 0.8. They are those of `--full`; CI runs a share.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpsim.engine import Simulation, run
from bpsim.result import TIERS, Fate, Outcome, Result, Work
from tests.pipelines import exponential, one_by_one, poisson, station
from tests.run_length import FULL, RunLength

SATURATING = {"kind": "closed", "users": 50, "think": 0.0}
"""Somebody always waits for the first station."""
CASES = {case["id"]: case for case in json.loads((Path(__file__).parent / "data" / "queueing.json").read_text())}


NEED_ALL = {"Q022", "Q027", "Q035", "Q048", "Q060", "Q064", "Q092"}
"""With CI's share of the arrivals these did not see a service that is 3 % too long, or one place too many."""


@pytest.fixture
def length(length: RunLength, request: pytest.FixtureRequest) -> RunLength:
    return FULL if request.node.callspec.params.get("key") in NEED_ALL else length


def ids(*names: str, but: tuple[str, ...] = ()) -> list[str]:
    """The cases whose name begins with one of `names`."""
    found = [key for key, case in CASES.items() if case["name"].startswith(names) and key not in but]
    assert found, names
    return found


def settled(result: Result, share: float = 0.05) -> dict[str, np.ndarray]:
    """The attempts sent after the first `share` of the run and early enough to have ended."""
    table = result.tables["attempts"]
    sent = table["sent_s"]
    keep = (sent > share * result.ended_s) & (sent < (1 - share) * result.ended_s)
    return {name: column[keep] for name, column in table.items()}


def rates(times: np.ndarray, amounts: np.ndarray | None = None, windows: int = 25) -> np.ndarray:
    """How much came in a second (how many, or the sum of `amounts`), window by window."""
    edges = np.linspace(times.min(), times.max(), windows + 1)
    weights = None if amounts is None else np.nan_to_num(amounts)
    return np.histogram(times, edges, weights=weights)[0] / np.diff(edges)


def sojourn(table: dict[str, np.ndarray]) -> np.ndarray:
    served = table["work"] == Work.DONE
    return (table["ended_s"] - table["sent_s"])[served]


def wait(table: dict[str, np.ndarray]) -> np.ndarray:
    begun = ~np.isnan(table["started_s"])
    return (table["started_s"] - table["sent_s"])[begun]


@pytest.mark.parametrize("key", [key for key, case in CASES.items() if case["name"] in ("M/M/1", "M/M/c")])
def test_a_poisson_queue_waits_as_erlang_says(key: str, length: RunLength) -> None:
    case = CASES[key]
    params, exact = case["params"], case["expected"]
    if exact["rho"] > 0.95:
        pytest.skip("ρ = 0.99 takes 10⁸ arrivals for 5 %")
    count = 1_000_000 if exact["rho"] >= 0.9 else 300_000
    servers = params.get("c", 1)
    duration = length.of(count) / params["lambda"]
    table = settled(run(station(poisson(params["lambda"]), exponential(1 / params["mu"]), duration, servers)))
    precision = 0.06 if exact["rho"] >= 0.9 else 0.03
    length.agrees(sojourn(table), exact["W"], precision)
    length.agrees(wait(table) > 0, exact.get("P_wait", exact.get("erlang_C_P_wait")), precision)
    length.agrees(wait(table) <= exact["Wq_p95"], 0.95, 0.01)
    length.agrees(wait(table) <= exact["Wq_p99"], 0.99, 0.01)


def law(case: dict[str, Any]) -> Any:
    """The service law of an M/G/1 case in the words of a scenario, or None when bpsim has no such law."""
    name, params = case["name"], case["params"]
    if name == "M/D/1":
        return params["service"]
    if "Erlang" in name:
        return {"kind": "erlang", "mean": params["mean"], "shape": params["k"]}
    if "Uniform" in name:
        return {"kind": "uniform", "low": params["low"], "high": params["high"]}
    if "Lognormal" in name:
        return {"kind": "lognormal", "mean": params["mean"], "scv": params["scv"]}
    if "H2" in name:
        slow, fast = 1 / params["rate2"], 1 / params["rate1"]
        return {"kind": "bimodal", "fast": fast, "slow": slow, "p_slow": 1 - params["p1"]}
    if "bimodal" in name:
        return {"kind": "bimodal", "fast": params["mean_fast"], "slow": params["mean_slow"], "p_slow": params["p_slow"]}
    return None


@pytest.mark.parametrize("key", [key for key in ids("M/D/1", "M/G/1") if law(CASES[key]) is not None])
def test_a_queue_with_any_service_law_waits_as_pollaczek_and_khinchine_say(key: str, length: RunLength) -> None:
    case = CASES[key]
    rate, exact = case["params"]["lambda"], case["expected"]
    heavy = exact["rho"] >= 0.8 or exact["scv"] > 2
    table = settled(run(station(poisson(rate), law(case), length.of(1_000_000 if heavy else 200_000) / rate)))
    length.agrees(wait(table), exact["Wq"], 0.12 if heavy and exact["scv"] > 2 else 0.05 if heavy else 0.03)


@pytest.mark.parametrize("key", ids("D/M/1", "E2/M/1", "E4/M/1", "E2/E2/1"))
def test_a_renewal_queue_waits_as_its_root_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    shape = None if params["ca2"] == 0 else round(1 / params["ca2"])
    mean = 1 / params["lambda"]
    gap: Any = mean if shape is None else {"kind": "erlang", "mean": mean, "shape": shape}
    service = exponential(1 / params["mu"]) if "mu" in params else {"kind": "erlang", "mean": 1.0, "shape": 2}
    heavy = params["lambda"] > 0.85
    duration = length.of(800_000 if heavy else 200_000) / params["lambda"]
    table = settled(run(station({"kind": "renewal", "gap": gap}, service, duration)))
    length.agrees(wait(table), exact["Wq"], 0.06 if heavy else 0.03)


@pytest.mark.parametrize("key", ids("M/M/1/K", "M/M/c/K", "M/M/c/c (Erlang B"))
def test_a_bounded_queue_loses_what_the_birth_death_chain_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    servers, mu = params.get("c", 1), params.get("mu", 1.0)
    rate = params.get("lambda", params.get("offered_erlangs"))
    places = params.get("K_system_capacity", servers) - servers
    if key == "Q033":
        pytest.skip("λ = μ with 1000 places relaxes over 10⁶ services: the estimate would not be precise enough")
    table = settled(run(station(poisson(rate), exponential(1 / mu), length.of(300_000) / rate, servers, places)))
    rejected = table["outcome"] == Outcome.REJECTED
    length.agrees(rejected, exact.get("P_block", exact.get("blocking")), 0.08)
    if "W_accepted" in exact:
        length.agrees(sojourn(table), exact["W_accepted"], 0.04)


def test_burke_holds_down_the_pipeline() -> None:
    """API, producer with its acks, and consumer as three M/M/1 queues in a row."""
    for key in ids("Tandem M/M/1"):
        params, exact = CASES[key]["params"], CASES[key]["expected"]
        if len(params["mus"]) != 3:
            continue
        first, second, third = (exponential(1 / mu) for mu in params["mus"])
        tiers = one_by_one(second) | {"consumer": {"fetch_latency": 0.0, "service": third, "max_poll_records": 1}}
        result = run(station(poisson(params["lambda"]), first, 400_000 / params["lambda"], tiers=tiers))
        records, attempts = result.tables["records"], result.tables["attempts"]
        done = records["fate"] == Fate.DELIVERED
        through = records["ended_s"][done] - attempts["sent_s"][records["attempt"][done]]
        FULL.agrees(through, exact["W_end_to_end"])
        FULL.agrees(through <= exact["W_p99"], 0.99, 0.01)


@pytest.mark.parametrize("key", ids("Machine repairman"))
def test_a_closed_population_is_slowed_as_mean_value_analysis_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    arrivals = {"kind": "closed", "users": params["N"], "think": exponential(params["think_mean"])}
    result = run(station(arrivals, exponential(params["service_mean"]), length.of(200_000) / exact["X"]))
    table = settled(result)
    length.agrees(sojourn(table), exact["R"])
    length.agrees(rates(table["sent_s"]), exact["X"], 0.01)


@pytest.mark.parametrize(
    "key",
    [
        k
        for k in ids("Saturated exponential line")
        if CASES[k]["params"].get("stations", 2) == 2 and len(CASES[k]["params"].get("mus", (1, 1))) == 2
    ],
)
def test_a_worker_blocked_by_the_producer_is_blocked_after_service(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    mus = params.get("mus", (params.get("mu"),) * 2)
    tiers = one_by_one(exponential(1 / mus[1]), params["buffer_between"] + 1)
    records = run(station(SATURATING, exponential(1 / mus[0]), length.of(200_000), tiers=tiers)).tables["records"]
    length.agrees(rates(records["produced_s"])[1:], exact["throughput"], 0.01)


@pytest.mark.parametrize(
    "key", [k for k in ids("Saturated 2-station line, blocking-BEFORE") if CASES[k]["params"]["buffer_between"] > 0]
)
def test_a_consumer_that_pauses_is_blocked_before_service(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    mean = 1 / params["mu"]
    tiers: dict[str, Any] = {
        "producer": {"buffer": {"records": 100}, "linger": 0.0, "batch": {"records": 1}, "max_in_flight": 1},
        "broker": {"ack_latency": 0.0, "retention": {"records": 10}, "partitions": 1},
        "consumer": {"fetch_latency": exponential(mean), "max_poll_records": 1},
        "flink": {"service": exponential(mean), "network_buffers": {"records": params["buffer_between"]}},
    }
    places = params["buffer_between"]
    for when_full, throughput in (("pause", exact["throughput"]), ("block", (places + 2) / (places + 3))):
        tiers["consumer"]["when_full"] = when_full
        records = run(station(poisson(5.0), 0.0, length.of(100_000), 10, 2, tiers=tiers)).tables["records"]
        length.agrees(rates(records["ended_s"][records["fate"] == Fate.DELIVERED])[1:], throughput, 0.01)


@pytest.mark.parametrize("key", ids("Open 2-stage tandem"))
def test_a_bounded_api_before_a_bounded_producer_rejects_and_blocks_as_the_chain_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    tiers = one_by_one(exponential(1 / params["mu2"]), params["buffer2_excl_service"] + 1)
    rate = params["lambda"]
    duration = length.of(300_000) / rate
    api = exponential(1 / params["mu1"]), duration, 1, params["K1_system"] - 1
    table = settled(run(station(poisson(rate), *api, tiers=tiers)))
    if exact["P_reject"] > 0.01:
        length.agrees(table["outcome"] == Outcome.REJECTED, exact["P_reject"], 0.05)
    else:
        assert (table["outcome"] == Outcome.REJECTED).mean() < 3 * exact["P_reject"]
    done = table["work"] == Work.DONE
    precision = 0.01 if exact["P_reject"] > 0.01 else 0.03
    length.agrees(rates(table["sent_s"], table["freed_s"] - table["served_s"]), exact["P_stage1_blocked"], precision)
    length.agrees(rates(table["sent_s"][done]), exact["throughput"], 0.005)


@pytest.mark.parametrize("key", ids("M/M/1+D"))
def test_clients_who_wait_outside_leave_as_barrer_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    rate = params["lambda"]
    scenario = station(
        poisson(rate), exponential(1 / params["mu"]), length.of(300_000) / rate, 1, 0, timeout=params["tau"], on_full="block"
    )
    table = settled(run(scenario))
    length.agrees(table["work"] == Work.LEFT, exact["P_abandon"], 0.05)
    length.agrees(wait(table), exact["Wq_served"], 0.03)


@pytest.mark.parametrize("key", ids("M/M/1 FIFO, client timeout T"))
def test_timeouts_do_not_shorten_the_queue(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    rate = params["lambda"]
    heavy = rate / params["mu"] > 0.85
    count = 1_500_000 if heavy else 300_000
    table = settled(run(station(poisson(rate), exponential(1 / params["mu"]), length.of(count) / rate, timeout=params["T"])))
    if exact["P_timeout"] > 1e-6:
        length.agrees(table["outcome"] == Outcome.TIMED_OUT, exact["P_timeout"], 0.08)
    else:
        assert not (table["outcome"] == Outcome.TIMED_OUT).any()
    assert (table["work"] != Work.LEFT).all()


@pytest.mark.parametrize("key", ids("Kafka linger.ms", "Batch formation wait"))
def test_linger_forms_batches_as_renewal_reward_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    linger = params.get("linger_s", 1e6)
    size = params.get("K_records_per_batch", params.get("K"))
    tiers = {
        "producer": {
            "buffer": {"records": 10**9},
            "linger": linger,
            "batch": {"records": size},
            "max_in_flight": 10**6,
            "idempotence": False,
        },
        "broker": {"ack_latency": 0.0, "partitions": 1},
    }
    result = run(station(poisson(params["lambda"]), 0.0, length.of(200_000) / params["lambda"], 1000, tiers=tiers))
    hops = result.tables["hops"]
    batches = (hops["tier"] == TIERS.index("producer")) & ~np.isnan(hops["left_s"])
    records = result.tables["records"]
    sent = np.repeat(hops["started_s"][batches], hops["count"][batches])
    waited = sent - records["produced_s"][: len(sent)]
    length.agrees(waited, exact.get("mean_wait_in_batch", exact.get("mean_formation_wait_per_record")), 0.03)
    if "mean_batch_records" in exact:
        assert hops["count"][batches].mean() == pytest.approx(exact["mean_batch_records"], rel=0.01)


@pytest.mark.parametrize("key", ids("M/M(1,b)/1 bulk service"))
def test_bulk_inserts_wait_as_bailey_says(key: str, length: RunLength) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    tiers = {
        "producer": {"buffer": {"records": 10**9}, "linger": 0.0, "batch": {"records": 1}, "max_in_flight": 5},
        "broker": {"ack_latency": 0.0, "partitions": 1},
        "consumer": {"fetch_latency": 0.0, "max_poll_records": 1},
        "writer": {
            "batch_rows": params["b"], "per_insert": exponential(1 / params["mu_batch"]), "buffer": {"records": 10**9},
        },
    }  # fmt: skip
    rate = params["lambda"]
    load = rate / params["mu_batch"] / params["b"]
    result = run(station(poisson(rate), 0.0, length.of(1_000_000 if load > 0.8 else 250_000) / rate, 1000, tiers=tiers))
    records = result.tables["records"]
    done = (records["fate"] == Fate.DELIVERED) & (records["produced_s"] > 0.05 * result.ended_s)
    length.agrees((records["ended_s"] - records["produced_s"])[done], exact["W"], 0.06)


@pytest.mark.parametrize("key", ids("Capacity dip"))
def test_a_dip_in_capacity_takes_as_long_as_arithmetic_says(key: str) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    factor, dip, rate, mu = params["service_time_factor"], params["dip_s"], params["lambda"], params["mu"]
    fault = {"kind": "stall", "target": "api", "at": 10.0, "lasts": dip}
    if factor:
        fault |= {"kind": "slowdown", "factor": factor}
    scale = max(1.0, mu / 200)
    rate, mu = rate / scale, mu / scale
    duration = 10 + dip + exact["drain_s"] * 1.3 + 5
    result = run(station({"kind": "deterministic", "rate": rate}, 1 / mu, duration, faults=[fault], timeout=1.0))
    table = result.tables["attempts"]
    queued = table["started_s"] - table["sent_s"]
    first_after = np.flatnonzero(table["sent_s"] >= 10 + dip)[0]
    assert queued[first_after] == pytest.approx(exact["peak_wait_s"], rel=0.02, abs=2 / mu)
    calm_again = table["sent_s"][np.flatnonzero(queued > 2 / mu).max()] - 10 - dip
    assert calm_again == pytest.approx(exact["drain_s"], rel=0.03, abs=2 / mu)
    late = (table["outcome"] == Outcome.TIMED_OUT) & (table["sent_s"] > 10 + dip)
    last_late = table["sent_s"][late].max() - 10 - dip + 1.0 if late.any() else 0.0
    assert last_late == pytest.approx(exact["zero_goodput_after_trigger_s_timeout_1"], rel=0.05, abs=1.5)


@pytest.mark.parametrize("key", ids("Spike then recovery"))
def test_a_spike_drains_as_arithmetic_says(key: str) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    scale = max(1.0, params["mu"] / 200)
    base, peak, mu = params["lambda_base"] / scale, params["lambda_spike"] / scale, params["mu"] / scale
    fault = {"kind": "spike", "at": 5.0, "lasts": params["spike_s"], "factor": peak / base}
    duration = 5 + params["spike_s"] + exact["drain_s"] * 1.2 + 2
    result = run(station({"kind": "deterministic", "rate": base}, 1 / mu, duration, faults=[fault]))
    table = result.tables["attempts"]
    queued = table["started_s"] - table["sent_s"]
    assert np.nanmax(queued) == pytest.approx(exact["peak_latency_s"], rel=0.01, abs=2 / mu)
    calm_again = table["sent_s"][np.flatnonzero(queued > 2 / mu).max()] - 5 - params["spike_s"]
    assert calm_again == pytest.approx(exact["drain_s"], rel=0.02, abs=4 / mu)


def first_crash_s(simulation: Simulation, steps: int = 48) -> float:
    """When the process died; nothing is simulated long after that."""
    for step in range(1, steps + 1):
        simulation.advance(simulation.duration * step / steps)
        if not simulation.api.life.alive:
            break
    marks = simulation.result().tables["marks"]
    assert list(marks["kind"]) == ["crash"], "no crash in the whole run"
    return float(marks["time_s"][0])


@pytest.mark.parametrize(
    "key",
    [
        k
        for k in ids("M/M/1: mean time from empty until K")
        if CASES[k]["expected"]["mean_time"] * CASES[k]["params"]["lambda"] < 2e5
    ],
)
def test_memory_runs_out_when_the_random_walk_says(key: str) -> None:
    """The process dies at the K-th request inside: first passage from empty to K."""
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    times = []
    for replication in range(25):
        scenario = station(
            poisson(params["lambda"]),
            exponential(1 / params["mu"]),
            exact["mean_time"] * 12,
            heap=params["K"] - 1,
            record_size=1,
        )
        times.append(first_crash_s(Simulation(scenario, replication=replication)))
    FULL.agrees(times, exact["mean_time"], 0.25)


@pytest.mark.parametrize("key", [k for k in ids("N retries, independent failure") if CASES[k]["params"]["x"] == 1.0])
def test_an_outage_costs_every_attempt(key: str) -> None:
    params, exact = CASES[key]["params"], CASES[key]["expected"]
    fault = {"kind": "outage", "target": "api", "at": 0.0, "lasts": 100.0}
    retry = {"kind": "fixed", "delay": 0.05, "max_attempts": params["N_retries"] + 1}
    result = run(station(poisson(50), 0.01, 50.0, faults=[fault], retry=retry, timeout=1.0))
    requests = result.tables["requests"]
    ended = requests["outcome"] != Outcome.PENDING
    assert requests["attempts"][ended].mean() == exact["attempts_per_request"]
    assert (requests["outcome"][ended] == Outcome.REFUSED).mean() == exact["request_failure_prob"]


def test_latency_counts_from_the_intended_send() -> None:
    """Coordinated omission (Gil Tene): 100 s at 1 ms, then a 100 s freeze: mean 25 s, not 11 ms."""
    params, exact = CASES["Q295"]["params"], CASES["Q295"]["expected"]
    freeze = {"kind": "stall", "target": "api", "at": params["ok_s"], "lasts": params["freeze_s"]}
    rate = {"kind": "piecewise", "spacing": "constant", "points": [{"at": 0.0, "rate": params["rate"]}]}
    result = run(station(rate, params["service_ms"] / 1000, 215.0, 10**5, backlog=20_000, faults=[freeze]))
    born = result.tables["requests"]["born_s"]
    latency = (result.tables["requests"]["ended_s"] - born)[born <= 200]
    assert latency.mean() == pytest.approx(exact["true_mean_s"], rel=0.001)
    assert np.quantile(latency, 0.75) == pytest.approx(exact["true_p75_s"], rel=0.001)
