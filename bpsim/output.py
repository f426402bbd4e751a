"""The output folder of a run: written aside, then moved into place, so there is never half of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import inf, isfinite
from pathlib import Path
from typing import Any

import yaml

from bpsim.experiment import Experiment
from bpsim.folder import SCHEMA_VERSION, put, write_manifest
from bpsim.metrics import ledger, timeseries
from bpsim.names import the
from bpsim.result import Result
from bpsim.scenario import Scenario
from bpsim.units import format_rate, format_seconds
from bpsim.utilisation import predicted
from bpsim.verdict import Verdict


def summary_document(experiment: Experiment) -> dict[str, Any]:
    """What `summary.json` holds and `--json` prints; a number that does not exist is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "question": experiment.file.question,
        "seed": experiment.seed,
        "interrupted": experiment.interrupted,
        "warnings": warnings(experiment),
        "claims": [
            {"claim": verdict.claim, "passed": verdict.passed, "values": _plain(verdict.values)}
            for verdict in experiment.judged
        ],
        "variants": {
            name: {
                "duration_s": result.duration_s,
                "simulated_s": result.ended_s,
                "verdict": verdict_document(experiment.verdicts.get(name)),
                "root": experiment.explanations[name].root,
                "headline": experiment.explanations[name].headline,
                "bookmarks": [vars(mark) for mark in experiment.explanations[name].bookmarks],
                "metrics": _plain(experiment.summaries[name]),
                "ledger": ledger(result),
                "fingerprint": result.fingerprint,
            }
            for name, result in experiment.results.items()
        },
    }


def verdict_document(verdict: Verdict | None) -> dict[str, Any] | None:
    """A verdict as `summary.json` has it."""
    if verdict is None:
        return None
    cause = {"sustained_by": verdict.sustained_by} if verdict.sustained_by else {}
    return {"state": verdict.state, "words": verdict.words, **cause, "evidence": _plain(verdict.evidence)}


def _plain(values: dict[str, float]) -> dict[str, float | str | None]:
    return {name: value if isfinite(value) else "never" if value > 0 else None for name, value in values.items()}


def write(experiment: Experiment, folder: Path, command: list[str], draw: Callable[[Path], None], force: bool = False) -> None:
    """Write everything about `experiment` to `folder`; `draw` adds what is drawn. Raises what `folder.put` raises."""

    def fill(aside: Path) -> None:
        _write_into(experiment, aside)
        draw(aside)
        runs = {name: result.provenance | {"fingerprint": result.fingerprint} for name, result in experiment.results.items()}
        facts = {"command": command, "seed": experiment.seed, "interrupted": experiment.interrupted, "runs": runs}
        write_manifest(aside, facts)

    put(folder, fill, force)


def _write_into(experiment: Experiment, folder: Path) -> None:
    import pandas as pd

    text = json.dumps(summary_document(experiment), indent=1, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    (folder / "scenario.yaml").write_text(resolved(experiment), encoding="utf-8")
    series = []
    for name, result in experiment.results.items():
        (folder / name).mkdir()
        result.save(folder / name)
        frame = pd.DataFrame(timeseries(result))
        frame.insert(0, "variant", name)
        series.append(frame)
    if series:
        pd.concat(series).to_parquet(folder / "timeseries.parquet", index=False)


def resolved(experiment: Experiment) -> str:
    """The scenario file with every default written out; running it gives the same results."""
    names = list(experiment.file.variants)
    if names == ["base"]:
        tree = _tree(experiment.file.base)
    else:
        variants = {name: scenario.model_dump(mode="json") for name, scenario in experiment.file.variants.items()}
        tree = dict(variants[names[0]])
        tree["variants"] = {
            name: {k: _with_gaps(v, tree[k]) for k, v in variant.items() if v != tree[k]} for name, variant in variants.items()
        }
        tree = {key: value for key, value in tree.items() if value is not None}
    if experiment.file.expect:
        tree["expect"] = [
            claim.text if claim.share == 1 else {"claim": claim.text, "share": claim.share} for claim in experiment.file.expect
        ]
    return _as_yaml(tree)


def resolved_scenario(scenario: Scenario) -> str:
    """One scenario as a file, with every default written out; running it gives the same results."""
    return _as_yaml(_tree(scenario))


def _tree(scenario: Scenario) -> dict[str, Any]:
    return scenario.model_dump(mode="json", exclude_none=True)


def _as_yaml(tree: dict[str, Any]) -> str:
    return str(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120))


def _with_gaps(part: Any, base: Any) -> Any:
    """`part` with null for what only `base` has, so that laid over `base` it makes `part`."""
    if not (isinstance(part, dict) and isinstance(base, dict)) or part.get("kind") != base.get("kind"):
        return part
    return {**dict.fromkeys(base), **{key: _with_gaps(value, base.get(key)) for key, value in part.items()}}


def warnings(experiment: Experiment) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = [str(remark) for remark in experiment.file.remarks]
    for name, result in experiment.results.items():
        if result.ended_s < result.duration_s:
            done, whole = format_seconds(result.ended_s), format_seconds(result.duration_s)
            found.append(f"{name}: interrupted after {done} of {whole}; every number is about that part only")
        else:
            found += _too_short(name, experiment.file.variants[name], result)
    return found


def _too_short(name: str, scenario: Scenario, result: Result) -> list[str]:
    """A run that ends with a backlog has not shown how it ends: backlog / spare capacity is the time it lacks."""
    worst, message = max(1.0, 0.01 * result.duration_s), ""
    for tier, what, backlog, coming, capacity in _backlogs(scenario, result):
        work_s = backlog / capacity if capacity else inf if backlog else 0.0
        if work_s <= worst:
            continue
        worst = work_s
        message = f"{name}: {backlog:,.0f} {what} were waiting for {the(tier)} when the run ended"
        if coming < capacity:
            lacking = format_seconds(backlog / (capacity - coming))
            message += f"; clearing them takes about {lacking} more: a longer `duration` shows how it ends"
        else:
            message += f", and {format_rate(coming)} still meet a capacity of {format_rate(capacity)}: they never clear"
    return [message] if message else []


def _backlogs(scenario: Scenario, result: Result) -> Iterator[tuple[str, str, int, float, float]]:
    """Per tier at the end: its name, what waits, how many, how many a second still come, and how many it can do.

    What comes is measured over the last tenth of the run, retries included; each tier lets through what it can.
    """
    lines = ledger(result)
    tail = 0.1 * result.ended_s
    coming = int((result.tables["attempts"]["sent_s"] > result.ended_s - tail).sum()) / tail
    for load in predicted(scenario):
        if load.end_s < scenario.duration:
            continue
        if load.tier == "api":
            yield load.tier, "attempts", lines["work"]["inside"], coming, load.capacity_per_s
        else:
            waiting = sum(lines["records"][place] for place in _UP_TO[load.tier])
            yield load.tier, "records", waiting, coming, load.capacity_per_s
        coming = min(coming, load.capacity_per_s)


_PLACES = ("in_producer", "in_broker", "in_consumer", "in_flink", "in_writer")
_UP_TO = {
    "producer": _PLACES[:1],
    "broker": _PLACES[:1],
    "consumer": _PLACES[1:3],
    "flink": _PLACES[1:4],
    "writer": _PLACES[1:5],
}
"""Where the records are that a tier has still to do."""
