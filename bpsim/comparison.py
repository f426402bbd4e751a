"""Variants or files against a baseline: the same seeds, paired differences, and what they amount to in words."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from bpsim.contenders import What, contenders
from bpsim.metrics import METRICS, summary
from bpsim.metrics.headlines import headline
from bpsim.paired import Difference, paired, together
from bpsim.result import Column, Result
from bpsim.runs import Journal, Place, Progress, grid, here, measure_all, place_of, untold
from bpsim.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

COMPARED = (
    "goodput_per_s", "success_share", "after_goodput_per_s", "recovery_time_s", "latency_success_s_p99",
    "latency_final_s_p99", "amplification", "wasted_share", "crashes", "acked_then_lost", "evicted", "duplicates",
    "lag_max_s", "api_peak_bytes",
)  # fmt: skip
"""What is compared unless other metrics are asked for, the most important first."""
ALWAYS = ("goodput_per_s", "success_share", "latency_final_s_p99", "amplification")
"""Metrics that are compared even when nothing differs in them."""
NEGLIGIBLE = 0.01
ASSUMPTIONS = (
    "Each seed is one replication, met by every variant: its differences are paired. Intervals are Student's, 95 % each, for "
    "the mean difference; they take that mean to be close to normal. 'Seen' means p < 5 % after Holm's correction over all "
    "comparisons shown; whether something happens at all is McNemar's exact test. Tiny: under 1 % of the baseline. ~: no "
    "difference seen. Pts: points of a hundred. Without ±: the same in every seed."
)


@dataclass(frozen=True)
class Comparison:
    """What came out of every seed, and how each variant differs from the baseline.

    - `frame`: one row a run: `variant`, `seed`, and every metric of `bpsim list` (NaN where there is nothing to measure).
    - `differences`: one row a variant and metric, in the units of the metric: `difference` (variant − baseline, mean over
      the `pairs` of runs in which both exist) ± `half_width` (95 %), `seen`, `p`, `p_holm`, `above` and `below` (seeds).
    - `words`: one sentence a variant. In a notebook the object shows itself as a table.
    """

    question: str
    baseline: str
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    """The compared ones, the most important first."""
    values: dict[str, dict[str, Column]]
    """By variant and metric, one number a seed."""
    found: dict[tuple[str, str], Difference]
    """By variant and metric."""
    same_arrivals: bool
    """Whether the variants met the same requests at the same times; if not, pairing by seed helps little."""

    @property
    def others(self) -> tuple[str, ...]:
        """All but the baseline."""
        return tuple(name for name in self.names if name != self.baseline)

    def mean(self, name: str, metric: str) -> float:
        """Over the seeds in which it exists; NaN when there are none."""
        real = self.values[name][metric][np.isfinite(self.values[name][metric])]
        return float(real.mean()) if len(real) else float("nan")

    def better(self, name: str, metric: str) -> int:
        """1 when `name` is seen to be better than the baseline, -1 when worse; 0 when no difference is seen, when it is
        negligible, or when more is neither."""
        one, how = self.found[name, metric], headline(metric)
        if not one.seen or self.negligible(name, metric):
            return 0
        if one.happens:
            return -how.never if one.only_other > one.only_baseline else how.never
        return how.better if one.difference > 0 else -how.better

    def negligible(self, name: str, metric: str) -> bool:
        """Whether the difference is less than `NEGLIGIBLE` of what the baseline has."""
        one = self.found[name, metric]
        return not one.happens and abs(one.difference) < NEGLIGIBLE * abs(self.mean(self.baseline, metric))

    @property
    def frame(self) -> pd.DataFrame:
        """One row a run."""
        import pandas as pd

        parts = [pd.DataFrame({"variant": name, "seed": self.seeds, **self.values[name]}) for name in self.names]
        return pd.concat(parts, ignore_index=True)

    @property
    def differences(self) -> pd.DataFrame:
        """One row a variant and metric."""
        import pandas as pd

        return pd.DataFrame(list(self.rows()))

    def rows(self) -> list[dict[str, Any]]:
        """The differences as plain data."""
        return [
            {"variant": name, "metric": metric, "baseline": self.baseline,
             "mean": self.mean(name, metric), "baseline_mean": self.mean(self.baseline, metric),
             "difference": one.difference, "half_width": one.half_width, "low": one.difference - one.half_width,
             "high": one.difference + one.half_width, "pairs": one.pairs, "above": one.above, "below": one.below,
             "only_variant": one.only_other, "only_baseline": one.only_baseline, "p": one.p, "p_holm": one.p_holm,
             "seen": one.seen}
            for (name, metric), one in self.found.items()
        ]  # fmt: skip

    @cached_property
    def words(self) -> tuple[str, ...]:
        """One sentence a variant: the first metric, then what else is better and worse."""
        return tuple(self._sentence(name) for name in self.others)

    def _sentence(self, name: str) -> str:
        mine, theirs = self.values[name], self.values[self.baseline]
        if all(np.array_equal(mine[metric], theirs[metric], equal_nan=True) for metric in METRICS):
            return f"{name} and {self.baseline} are the same to the last digit in all {len(self.seeds)} seeds."
        rest = {
            word: [headline(metric).label for metric in self.metrics[1:] if self.better(name, metric) == side]
            for word, side in (("better", 1), ("worse", -1))
        }
        also = "; ".join(f"{word}: {_some(labels)}" for word, labels in rest.items() if labels)
        return f"{self._first(name, self.metrics[0])}." + (f" Also {also}." if also else "")

    def _first(self, name: str, metric: str) -> str:
        one, how = self.found[name, metric], headline(metric)
        if one.same:
            return f"{name} vs {self.baseline}: the same {how.label} in every seed"
        if not one.seen:
            among = "" if isnan(one.difference) else f" ({how.show_gap(one.difference, one.half_width)})"
            return f"{name} vs {self.baseline}: no difference in {how.label} seen at N = {len(self.seeds)}{among}"
        if one.happens:
            mine, theirs = (one.pairs + alone for alone in (one.only_other, one.only_baseline))
            return f"{name} {how.event} ({how.label}) in {mine} of {len(self.seeds)} seeds, {self.baseline} in {theirs}"
        more, ahead = ("more", one.above) if one.difference > 0 else ("less", one.below)
        amount = how.show_gap(abs(one.difference), one.half_width)
        return f"{name} has {amount} {more} {how.label} than {self.baseline} (in {ahead} of {one.pairs} seeds)"

    def cell(self, name: str, metric: str) -> str:
        """For a table: the baseline's mean, or the difference to it and a word: better, worse, differs, tiny (under 1 % of
        the baseline), `~` (not seen)."""
        how, mean, one = headline(metric), self.mean(name, metric), self.found.get((name, metric))
        if one is None:
            return "never" if isnan(mean) and how.event == "recovers" else "-" if isnan(mean) else how.show(mean)
        side = {1: "better", -1: "worse", 0: "tiny" if self.negligible(name, metric) else "differs"}
        word = side[self.better(name, metric)] if one.seen else "~"
        if one.happens:
            count = f"in {one.pairs + one.only_other} of {len(self.seeds)}"
            return f"{count} {word}" if isnan(mean) else f"{how.show(mean)} {count} {word}"
        if one.same:
            return "same" if one.pairs else "-"
        sign = "+" if one.difference > 0 else ""
        return f"{sign}{how.show_gap(one.difference, one.half_width)} {word}"

    @property
    def table(self) -> pd.DataFrame:
        """The table people read: a row a metric, a column a variant, `cell` in each."""
        import pandas as pd

        rows = [[self.cell(name, metric) for name in self.names] for metric in self.metrics]
        return pd.DataFrame(rows, [headline(metric).label for metric in self.metrics], list(self.names))

    def _repr_html_(self) -> str:
        from html import escape

        lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.words)
        head = f"<p><strong>{escape(self.question)}</strong></p>{lines}"
        return f"<div>{head}{self.table.to_html()}<p><small>{escape(self.note)}</small></p></div>"

    @property
    def note(self) -> str:
        """How the numbers were got, and what they assume."""
        met = "the same arrivals" if self.same_arrivals else "arrivals that differ between them, so pairing gains little"
        return f"{len(self.seeds)} seeds, {met}; differences from {self.baseline}. {ASSUMPTIONS}"


def _some(labels: Sequence[str], most: int = 3) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def compare(
    *what: What,
    baseline: str | None = None,
    seeds: int | Sequence[int] = 10,
    metrics: Sequence[str] = (),
    jobs: int | None = None,
    on: str | None = None,
    on_progress: Progress = untold,
) -> Comparison:
    """Hold variants of one file, or several files or scenarios, against each other over the same seeds.

    `baseline` is the name of the one the others are held against (default: the first), `seeds` how many (1 … n) or which,
    `metrics` those to compare (default: the headlines in which there is something to see). Runs are made in `jobs` processes
    (default: one a core), or on a cluster (`on="dask://scheduler:8786"`). Raises `InvalidScenario`, `ValueError` when there is
    nothing to compare or a name is not known, and what `bpsim.runs.measure_all` raises.

    >>> import bpsim
    >>> found = bpsim.compare("gc_pause", baseline="naive", metrics=["goodput_per_s"], seeds=2, jobs=1)
    >>> found.words[3]
    'skip_expired vs naive: the same goodput in every seed.'
    >>> found.differences.shape, found.frame.shape[0]
    ((4, 17), 10)
    """
    import os

    place = place_of(on, jobs or os.cpu_count() or 1)
    chosen = tuple(range(1, seeds + 1)) if isinstance(seeds, int) else tuple(seeds)
    return hold_against(contenders(*what), baseline, chosen, metrics, place, None, on_progress)


def hold_against(
    scenarios: Mapping[str, Scenario],
    baseline: str | None,
    seeds: tuple[int, ...],
    metrics: Sequence[str] = (),
    place: Place = here,
    journal: Journal | None = None,
    on_progress: Progress = untold,
) -> Comparison:
    """`compare` for scenarios by name."""
    first = baseline or next(iter(scenarios), "")
    if len(scenarios) < 2:
        raise ValueError("there is one scenario; two are needed to compare")
    if first not in scenarios:
        raise ValueError(f"there is no '{first}' to compare with; there are {', '.join(scenarios)}")
    if len(seeds) < 2:
        raise ValueError("a difference of one seed has no interval; take two seeds or more (10 are a good start)")
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise ValueError(f"there is no metric '{unknown[0]}'; `bpsim list` shows them")
    rows = measure_all(grid(scenarios, seeds), _facts, place, journal, on_progress)
    by_name = {name: rows[i * len(seeds) : (i + 1) * len(seeds)] for i, name in enumerate(scenarios)}
    values = {name: {metric: np.array([row[metric] for row in mine]) for metric in METRICS} for name, mine in by_name.items()}
    names = (first, *(name for name in scenarios if name != first))
    compared = tuple(metrics) or tuple(metric for metric in COMPARED if _worth_showing(metric, values))
    pairs = [(name, metric) for name in names[1:] for metric in compared]
    found = together([paired(values[first][metric], values[name][metric]) for name, metric in pairs])
    met = {tuple(row[ARRIVALS] for row in mine) for mine in by_name.values()}
    question = next(iter(scenarios.values())).question
    return Comparison(question, first, names, seeds, compared, values, dict(zip(pairs, found, strict=True)), len(met) == 1)


ARRIVALS = "arrivals_crc32"


def _facts(result: Result) -> dict[str, float]:
    born = np.ascontiguousarray(result.tables["requests"]["born_s"])
    return summary(result) | {ARRIVALS: float(zlib.crc32(born.tobytes()))}


def _worth_showing(metric: str, values: Mapping[str, Mapping[str, Column]]) -> bool:
    """What always is, and what is other than nothing somewhere."""
    seen = [mine[metric][np.isfinite(mine[metric])] for mine in values.values()]
    return metric in ALWAYS or any(bool((column != 0).any()) for column in seen)
