"""The OpenMetrics text format with timestamps, as `promtool tsdb create-blocks-from openmetrics` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isinf

import numpy as np

from bpsim.metrics.spans import Floats


@dataclass
class Family:
    """One metric: what it means, and its series as (labels, times, values)."""

    means: str
    series: list[tuple[str, Floats, Floats]] = field(default_factory=list)


class Exposition:
    """Families of gauges, by name. Counts are gauges too, as in Flink's and Kafka's exporters, whose names they bear."""

    def __init__(self, start: float = 0.0) -> None:
        self.start = start
        """Unix time of the simulated second 0."""
        self.families: dict[str, Family] = {}

    def add(self, name: str, means: str, labels: Mapping[str, str], times: Floats, values: Floats) -> None:
        """A series. Values that are NaN are left out: nothing was there to be measured."""
        values = np.asarray(values, np.float64)
        there = ~np.isnan(values)
        if there.any():
            text = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
            self.families.setdefault(name, Family(means)).series.append((text, times[there], values[there]))

    def lines(self) -> Iterator[str]:
        """The whole text, line by line."""
        for name, family in sorted(self.families.items()):
            yield f"# HELP {name} {_escaped(family.means)}"
            yield f"# TYPE {name} gauge"
            for labels, times, values in family.series:
                head = f"{name}{{{labels}}}"
                for time, value in zip((times + self.start).tolist(), values.tolist(), strict=True):
                    yield f"{head} {_number(value)} {time:.3f}"
        yield "# EOF"


def _number(value: float) -> str:
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
