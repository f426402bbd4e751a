"""The output folder of a run: written aside, then moved into place, so there is never half of one."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from bpsim.experiment import Experiment
from bpsim.metrics import ledger, timeseries
from bpsim.units import format_seconds

SCHEMA_VERSION = 1


class OutputExists(FileExistsError):
    """The output folder is there already and may not be replaced."""


def summary_document(experiment: Experiment) -> dict[str, Any]:
    """What `summary.json` holds and `--json` prints; a number that does not exist is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "question": experiment.file.question,
        "seed": experiment.seed,
        "interrupted": experiment.interrupted,
        "claims": [
            {"claim": verdict.claim, "passed": verdict.passed, "values": _plain(verdict.values)}
            for verdict in experiment.verdicts
        ],
        "variants": {
            name: {
                "simulated_s": result.ended_s,
                "metrics": _plain(experiment.summaries[name]),
                "ledger": ledger(result),
                "fingerprint": result.fingerprint,
            }
            for name, result in experiment.results.items()
        },
    }


def _plain(values: dict[str, float]) -> dict[str, float | str | None]:
    return {name: value if isfinite(value) else "never" if value > 0 else None for name, value in values.items()}


def write(experiment: Experiment, folder: Path, command: list[str], draw: Callable[[Path], None], force: bool = False) -> None:
    """Write everything about `experiment` to `folder`; `draw` adds the figures.

    Raises `OutputExists` when the folder is there and `force` is not given, and `OSError` when writing fails; in both
    cases nothing is left behind and an older folder is untouched.
    """
    if folder.exists() and not force:
        raise OutputExists(str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _write_into(experiment, aside, command)
        draw(aside / "figures")
        _write_manifest(experiment, aside, command)
        aside.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            folder.rename(old / folder.name)
            aside.rename(folder)
            shutil.rmtree(old)
        else:
            aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _write_into(experiment: Experiment, folder: Path, command: list[str]) -> None:
    import pandas as pd

    text = json.dumps(summary_document(experiment), indent=1)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    (folder / "scenario.yaml").write_text(resolved(experiment), encoding="utf-8")
    (folder / "figures").mkdir()
    series = []
    for name, result in experiment.results.items():
        (folder / name).mkdir()
        result.save(folder / name)
        frame = pd.DataFrame(timeseries(result))
        frame.insert(0, "variant", name)
        series.append(frame)
    pd.concat(series).to_parquet(folder / "timeseries.parquet", index=False)


def resolved(experiment: Experiment) -> str:
    """The scenario file with every default written out; running it gives the same results."""
    names = list(experiment.file.variants)
    if names == ["base"]:
        tree = experiment.file.base.model_dump(mode="json", exclude_none=True)
    else:
        variants = {name: scenario.model_dump(mode="json") for name, scenario in experiment.file.variants.items()}
        tree = dict(variants[names[0]])
        tree["variants"] = {name: {k: v for k, v in variant.items() if v != tree[k]} for name, variant in variants.items()}
        tree = {key: value for key, value in tree.items() if value is not None}
    if experiment.file.expect:
        tree["expect"] = [claim.text for claim in experiment.file.expect]
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)


def _write_manifest(experiment: Experiment, folder: Path, command: list[str]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "seed": experiment.seed,
        "interrupted": experiment.interrupted,
        "runs": {name: result.provenance for name, result in experiment.results.items()},
        "files": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def warnings(experiment: Experiment) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = []
    for name, result in experiment.results.items():
        values = experiment.summaries[name]
        if result.ended_s < result.duration_s:
            done, whole = format_seconds(result.ended_s), format_seconds(result.duration_s)
            found.append(f"{name}: interrupted after {done} of {whole}; every number is about that part only")
        found += _too_short(name, values, result.ended_s)
    return found


def _too_short(name: str, values: dict[str, float], ended_s: float) -> list[str]:
    """A run that ends with work still inside has not shown how it ends."""
    inside, delivered = values["still_inside"], values["delivered"]
    if not delivered or inside < 0.02 * delivered:
        return []
    rate = delivered / ended_s
    return [
        f"{name}: {inside:,.0f} records were still on their way at the end, {format_seconds(inside / rate)} of work; "
        "a longer `duration` shows whether they arrive"
    ]
