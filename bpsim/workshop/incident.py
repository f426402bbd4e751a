"""Incidents: what the dashboards showed, and which tier it began in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan

from bpsim.engine import run
from bpsim.explanation import Explanation, explain
from bpsim.metrics import timeseries
from bpsim.metrics.spans import Floats
from bpsim.result import Result
from bpsim.scenario_file import loads
from bpsim.units import format_seconds
from bpsim.workshop.material import incidents

STEP_S = 10.0
HEAD = ("from", "offered", "answered", "p99")


@dataclass(frozen=True)
class Incident:
    """A run that went wrong. What is behind it is known only to `story`."""

    name: str
    result: Result

    @classmethod
    def of(cls, name: str, seed: int) -> Incident:
        """The incident of that name, on one of its days. Raises `KeyError`."""
        path = incidents()[name]
        file = loads(path.read_text(encoding="utf-8"), (), path.name)
        return cls(name, replace(run(file.base, seed), places=file.places.get("base", {})))

    @cached_property
    def series(self) -> dict[str, Floats]:
        """`metrics.timeseries` every ten seconds."""
        return timeseries(self.result, STEP_S)

    @property
    def tiers(self) -> tuple[str, ...]:
        """From the client down."""
        return tuple(name for name in self.result.scenario if f"{name}.waiting" in self.series)

    def table(self) -> Iterator[tuple[str, ...]]:
        """A row every ten seconds: time, requests offered and answered a second, p99 to the final outcome, and for each tier
        behind the client how busy and how blocked its servers were (percent), and how many waited before it."""
        series, tiers = self.series, self.tiers[1:]
        yield (*HEAD, *tiers)
        for row, begin in enumerate(series["time_s"]):
            p99 = float(series["latency_final_s_p99"][row])
            cells = [
                "/".join(_number(100 * float(series[f"{tier}.{share}_share"][row])) for share in ("busy", "blocked"))
                + f"/{_number(float(series[f'{tier}.waiting'][row]))}"
                for tier in tiers
            ]
            rates = [_number(float(series[f"{name}_per_s"][row])) for name in ("offered", "goodput")]
            yield (f"{begin:.0f} s", *rates, "-" if isnan(p99) else format_seconds(p99), *cells)

    @property
    def story(self) -> Explanation:
        """The answer."""
        return explain(self.result)


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.0f}"
