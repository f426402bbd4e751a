"""Every shipped scenario's claims, over many seeds, and controls that must not show the effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpsim import metrics
from bpsim.experiment import Experiment, run_variants
from bpsim.output import summary_document
from bpsim.scenario_file import load
from bpsim.shipped import SMALLER

FOLDER = Path(__file__).parents[1] / "scenarios"
SHIPPED = sorted(FOLDER.glob("*.yaml"))
CHEAP = SMALLER
"""A smaller system of the same utilisation, or a shorter run, where the file's costs minutes over many seeds."""
CONTROLS = {
    "death_spiral": ("faults.0.factor=1.1", "naive.after_goodput_per_s > 0.99 * naive.after_offered_per_s"),
    "fail_fast_429": ("faults.0.factor=1.1", "block.after_goodput_per_s > 0.99 * block.after_offered_per_s"),
    "slow_database": ("faults.0.factor=1.5", "hold.during_latency_final_s_p99 < 0.5"),
    "big_buffers": ("client.arrivals.rate=6/s", "big.acked_then_lost == 0"),
    "retry_budget": ("client.arrivals.rate=24/s", "no_budget.after_goodput_per_s > 0.98 * no_budget.after_offered_per_s"),
    "gc_pause": ("faults.0.lasts=300 ms", "naive.after_goodput_per_s > 6.5"),
    "oom_crash": ("client.arrivals.rate=90/s", "heap_10_mb.crashes == 0"),
    "circuit_breaker": ("client.arrivals.rate=60/s", "breaker.held_back == 0"),
    "lifo_vs_fifo": ("client.arrivals.points.1.rate=28/s", "fifo.success_share > 0.99"),
    "codel": ("client.arrivals.points.1.rate=400/s", "deep_queue.latency_success_s_p99 < 0.2"),
    "adaptive_limit": ("faults.0.factor=1.1", "none.during_goodput_per_s > 680"),
    "coordinated_omission": ("faults.0.lasts=1 ms", "users.latency_success_s_mean < 0.002"),
    "ramp_vs_spike": ("api.contention=0 s", "ramp_naive.success_share > 0.99"),
    "debloating": ("faults.0.factor=1.1", "off.checkpoint_s_p50 < 1"),
    "checkpoint_timeout": ("faults.0.factor=1.1", "aligned.job_failures == 0"),
    "autoscaler_catchup": ("client.arrivals.points.1.rate=15/s", "on.rescales == 0"),
    "skewed_key": ("client.keys.hot_share=0.01", "skewed.delivered > 0.98 * skewed.offered"),
    "flink_upgrade": ("client.arrivals.rate=50/s", "flink_2_3.flink_latency_s_p50 < 1.1 * flink_1_20.flink_latency_s_p50"),
    "partition_and_heal": ("faults.0.lasts=1 ms", "small_buffer.success_share > 0.999"),
    "token_bucket": ("api.service.mean=20 ms", "no_limit.success_share > 0.99"),
    "slow_sql": ("faults.0.factor=20", "statement_timeout.insert_errors == 0"),
    "lag_admission": ("client.arrivals.rate=8/s", "kafka.evicted == 0"),
    "retention_loss": ("faults.0.factor=1.1", "latest.evicted + latest.skipped == 0"),
    "lag_recovery": ("faults.0.lasts=100 ms", "one.lag_max_s < 10"),
    "hot_partition": ("variants.hot.client.keys.hot_share=0.01", "hot.lag_max_s < 20"),
    "forgotten_poll": ("client.arrivals.rate=1/s", "forgets.success_share == 1"),
    "slow_lookup": ("faults.0.factor=1.1", "ordered_100.flink_latency_s_p99 < 2"),
    "broker_hold": ("faults.0.factor=1.1", "pulsar.success_share > 0.999"),
}
"""The same scenario without the trouble: what must then hold."""


ROOTS: dict[str, set[str | None]] = {
    load(FOLDER / "forgotten_poll.yaml").question: {None, "api"},
    load(FOLDER / "slow_lookup.yaml").question: {None, "flink"},
}
"""Where nothing happens to anybody, and the application, that is the API, makes a mistake (or, in one variant, none); and where
nobody waits in the variant that asks enough at once."""
EXPLAINED = 2
"""Seeds whose explanations are looked at, too."""
PARTS = 2
"""Tests that share the seeds of one scenario, so that it keeps two cores busy."""


def wrong_roots(experiment: Experiment) -> list[str]:
    """The variants in which the trouble is said to begin elsewhere than it does: in the tier of the first fault, or in the
    load when there is none."""
    wrong = []
    for name, found in experiment.explanations.items():
        faults = experiment.file.variants[name].faults
        first = {min(faults, key=lambda fault: fault.at).target} if faults else {"client"}
        truth = ROOTS.get(experiment.file.question, first)
        wrong += [f"{name}: root {found.root}, not {truth}: {found.headline}"] if found.root not in truth else []
    return wrong


def failed_claims(path: Path, seed: int) -> list[str]:
    """The claims that fail with `seed`, and the roots that are not found."""
    experiment = run_variants(load(path, CHEAP.get(path.stem, ())), seed, controls=False)
    for result in experiment.results.values():
        metrics.check(result)
    lost = wrong_roots(experiment) if seed <= EXPLAINED else []
    return lost + [f"seed {seed}: {verdict.claim} {verdict.values}" for verdict in experiment.judged if not verdict.passed]


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_claims_hold_over_seeds_and_the_root_is_found(path: Path, part: int, seeds: int) -> None:
    mine = range(1 + part, seeds + 1, PARTS)
    failed = [line for seed in mine for line in failed_claims(path, seed)]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_control_does_not_show_the_effect(path: Path) -> None:
    from bpsim.claims import parse

    change, claim = CONTROLS[path.stem]
    experiment = run_variants(load(path, (*CHEAP.get(path.stem, ()), change)), 1)
    assert not all(verdict.passed for verdict in experiment.judged), "the claims hold without their cause"
    verdict = parse(claim).check(experiment.summaries)
    assert verdict.passed, verdict
    for name, found in experiment.explanations.items():
        faults = experiment.file.variants[name].faults
        assert set(found.roots) <= ({fault.target for fault in faults} or {"client"}), found.headline


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_first_line_is_the_question(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("question:")
    assert lines[0].rstrip().endswith("?")


def test_variants_meet_the_same_arrivals() -> None:
    experiment = run_variants(load(FOLDER / "death_spiral.yaml", ("duration=100 s",)), 1)
    offered = {name: result.tables["requests"]["born_s"].tobytes() for name, result in experiment.results.items()}
    assert len(set(offered.values())) == 1
    assert summary_document(experiment)["interrupted"] is False
