"""`bpsim export`: what a run left behind, in a format of others."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from bpsim.cli.app import Exit, fail, say
from bpsim.metrics import timeseries
from bpsim.result import Result
from bpsim.telemetry import Exposition, add_flink, add_kafka, add_tiers
from bpsim.units import parse

MOST_LOOKS = 1_000_000
"""More times than this in one run are refused."""


def export_command(folder: Path, variants: tuple[str, ...], start: str, step: str, out: Path | None) -> None:
    """Write the OpenMetrics text of the run in `folder`, all its variants or those named."""
    try:
        seconds, begin = float(parse(step, "duration", bare=False)), _unix_time(start)
    except ValueError as error:
        fail(str(error), Exit.USAGE)
    exposition = Exposition(begin)
    for name, result in _results(folder, variants).items():
        if not 0 < seconds <= result.duration_s or result.duration_s / seconds > MOST_LOOKS:
            fail(f"--step {step} does not cut {result.duration_s:g} s into windows", Exit.USAGE)
        series, labels = timeseries(result, seconds), {"variant": name}
        add_flink(exposition, result, labels, seconds)
        add_kafka(exposition, result, labels, seconds, series)
        add_tiers(exposition, labels, series)
    _write(exposition, out)


def _write(exposition: Exposition, out: Path | None) -> None:
    try:
        with nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in exposition.lines())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        fail(f"{out}: cannot be written: {error.strerror}", Exit.USAGE)
    if out is not None:
        count = sum(len(family.series) for family in exposition.families.values())
        say(f"{out}: {len(exposition.families)} metrics, {count} series")


def _unix_time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no time such as 2026-01-01T00:00:00+00:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' does not say in which time zone; add Z, or +02:00")
    return moment.timestamp()


def _results(folder: Path, variants: tuple[str, ...]) -> dict[str, Result]:
    """By variant, from the folder of a run or of one of its variants."""
    single = (folder / "result.json").exists()
    found = (
        {folder.name: folder} if single else {path.parent.name: path.parent for path in sorted(folder.glob("*/result.json"))}
    )
    if not found:
        fail(f"{folder}: there is no result in it; `bpsim run` leaves one in its output folder", Exit.USAGE)
    unknown = [name for name in variants if name not in found]
    if unknown:
        fail(f"{folder}: there is no variant '{unknown[0]}'; known are {', '.join(found)}", Exit.USAGE)
    return {name: Result.load(path) for name, path in found.items() if not variants or name in variants}
