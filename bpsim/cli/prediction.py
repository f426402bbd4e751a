"""What `bpsim validate` says about each tier's load before a run: a line a tier, a column a stretch of time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import isinf
from typing import Any

from bpsim.scenario import Scenario
from bpsim.units import format_rate, format_seconds
from bpsim.utilisation import Load, predicted, with_every_retry

COLUMNS = 5
"""More stretches of time than this are not shown one by one."""


def prediction_lines(variants: dict[str, Scenario]) -> Iterator[str]:
    """The predictions; variants that do not differ in them are shown together."""
    said: dict[tuple[str, ...], list[str]] = {}
    for name, scenario in variants.items():
        said.setdefault(tuple(_lines(scenario)), []).append(name)
    for lines, names in said.items():
        yield ""
        yield f"{', '.join(names)}: predicted utilisation (load / capacity), retries apart"
        yield from lines


def prediction_document(variants: dict[str, Scenario]) -> dict[str, list[dict[str, Any]]]:
    """By variant, a row for each tier and stretch of time; a utilisation without a limit is null."""
    return {
        name: [
            vars(load) | {"utilisation": None if isinf(load.utilisation) else load.utilisation} for load in predicted(scenario)
        ]
        for name, scenario in variants.items()
    }


def _lines(scenario: Scenario) -> Iterator[str]:
    loads = list(predicted(scenario))
    stretches = sorted({(load.begin_s, load.end_s) for load in loads})
    tiers = list(dict.fromkeys(load.tier for load in loads))
    whole = len(stretches) > COLUMNS
    heads = ["least", "most"] if whole else [_stretch(*stretch) for stretch in stretches]
    yield "  ".join([" " * 9, *(f"{head:>16}" for head in heads), f"{'full speed':>12}"])
    for tier in tiers:
        mine = {(load.begin_s, load.end_s): load for load in loads if load.tier == tier}
        ordered = sorted(mine.values(), key=lambda load: load.utilisation)
        shown = [ordered[0], ordered[-1]] if whole else [mine[stretch] for stretch in stretches if stretch in mine]
        cells = [f"{_share(load):>16}" for load in shown]
        best = max(load.capacity_per_s for load in mine.values())
        yield "  ".join([f"{tier:<9}", *cells, f"{format_rate(best):>12}"])
    yield from _overloads(loads)
    worst = with_every_retry(scenario)
    if worst is not None and worst.utilisation > 1:
        faced = f"{worst.tier} would face {format_rate(worst.arrivals_per_s)}: {_share(worst)} at full speed"
        yield f"  If every attempt failed, then with {scenario.client.retry.max_attempts} attempts a request {faced}."


def _overloads(loads: list[Load]) -> Iterator[str]:
    """A line for each tier and stretch in which work piles up."""
    late = sorted((load for load in loads if load.utilisation > 1), key=lambda load: load.tier)
    for tier, found in groupby(late, key=lambda load: load.tier):
        spans = list(found)
        meets = f"{format_rate(spans[0].arrivals_per_s)} meet {format_rate(spans[0].capacity_per_s)}"
        when = " and ".join(_stretch(load.begin_s, load.end_s) for load in spans[:3])
        more = f" and {len(spans) - 3} times more" if len(spans) > 3 else ""
        yield f"  {tier} is overloaded {when}{more}: {meets}, so work piles up before it."


def _stretch(begin_s: float, end_s: float) -> str:
    return f"{format_seconds(begin_s)} to {format_seconds(end_s)}"


def _share(load: Load) -> str:
    return "stands still" if isinf(load.utilisation) else f"{load.utilisation:.0%}"
