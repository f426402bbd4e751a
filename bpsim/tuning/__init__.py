"""The smallest setting that meets goals, what it costs to ask for less, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bpsim.contenders import What, opened
from bpsim.designs import Span, span
from bpsim.goals import Goal, goal
from bpsim.metrics.headlines import headline
from bpsim.paired import share_interval
from bpsim.runs import Progress, place_of, untold
from bpsim.scenario_file import ScenarioFile
from bpsim.settings import as_written
from bpsim.tuning.bench import Bench, Tried, check_ends
from bpsim.tuning.search import Ladder, least, several

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FRESH", "Bench", "Ladder", "Tried", "Tuned", "check_ends", "least", "ranges", "search", "several", "tune"]

FRESH = 1_000_001
"""The first of the seeds that the search never sees."""


@dataclass(frozen=True)
class Tuned:
    """What was found.

    `found` is the smallest candidate that meets the goals (None: none does), `fresh` the same settings under seeds that the
    search never saw. `frame` has one row a candidate tried, from the smallest: its settings, `size` (where it stands in the
    ranges, 0 … 1), `meets` (share of the seeds that meet all goals), a column a goal (the same, alone), and the mean of every
    metric the goals are about.
    """

    question: str
    variant: str
    goals: tuple[Goal, ...]
    share: float
    smallest: tuple[Span, ...]
    varied: tuple[Span, ...]
    tried: tuple[Tried, ...]
    found: Tried | None
    fresh: Tried | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the goals are about."""
        return tuple(dict.fromkeys(metric for one in self.goals for metric in one.metrics))

    @property
    def exact(self) -> bool:
        """One setting: closed in on step by step. Several: searched."""
        return len(self.smallest) + len(self.varied) == 1

    @property
    def one_stretch(self) -> bool:
        """Along one setting: whether those that meet the goals are next to each other, among the tried."""
        good = [one.share() >= self.share for one in self.tried]
        return sum(now and not before for before, now in zip([False, *good], good, strict=False)) <= 1

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a candidate."""
        import pandas as pd

        return pd.DataFrame([self.row(one) for one in self.tried])

    def row(self, one: Tried) -> dict[str, Any]:
        """A candidate as plain data."""
        alone = {single.text: one.share(number) for number, single in enumerate(self.goals)}
        means = {metric: one.mean(metric) for metric in self.metrics}
        return {**one.point, "size": one.size, "meets": one.share(), **alone, **means}

    @property
    def sure(self) -> tuple[int, int, float, float]:
        """Fresh seeds that meet all goals, of how many, and the 95 % interval of that probability (Wilson)."""
        if self.fresh is None:
            return 0, 0, 0.0, 1.0
        hits = sum(all(one) for one in self.fresh.met)
        return hits, len(self.fresh.met), *share_interval(hits, len(self.fresh.met))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What was found and how sure it is, or why there is nothing to find."""
        if self.found is None:
            return tuple(self._nothing())
        settings = " and ".join(f"{path} = {text}" for path, text in self.found.point.items())
        if self.exact:
            one = self.smallest[0]
            first = f"{settings} is the smallest of {one.written} that meets every goal; the step below does not."
            if self.found.size == 0:
                first = f"{settings}, the lowest of {one.written}, meets every goal already; a lower range may do as well."
        else:
            first = f"{settings} is the smallest found in {len(self.tried)} candidates that meets every goal."
        hits, of, low, high = self.sure
        sure = f"Over {of} fresh seeds it meets them in {hits}: {hits / of:.0%} (95 % interval {low:.0%} to {high:.0%})."
        odd = () if not self.exact or self.one_stretch else (
            "What meets the goals is not one stretch of the range: between the values tried there may be a smaller one.",
        )  # fmt: skip
        return (first, sure, *self._weakest(), *odd)

    def _weakest(self) -> tuple[str, ...]:
        if self.fresh is None or self.fresh.share() == 1:
            return ()
        least_met = min(range(len(self.goals)), key=self.fresh.share)
        more = (
            ""
            if self.fresh.share() >= self.share
            else f" For a surer value search with more seeds than {len(self.found.rows) if self.found else 0}."
        )
        return (f"The goal missed most often is '{self.goals[least_met].text}'.{more}",)

    def _nothing(self) -> list[str]:
        where = " and ".join(f"{one.path} {one.written}" for one in (*self.smallest, *self.varied))
        lines = [f"Nothing from {where} meets every goal."]
        for number, single in enumerate(self.goals):
            best = max(self.tried, key=lambda one: one.share(number))
            settings = ", ".join(f"{path} = {text}" for path, text in best.point.items())
            means = ", ".join(f"{headline(name).label} {headline(name).show(best.mean(name))}" for name in self.metrics)
            often = (
                "is met"
                if best.share(number) >= self.share
                else f"is met in no more than {best.share(number):.0%} of the seeds"
            )
            lines.append(f"'{single.text}' alone {often}, first with {settings}: {means}.")
        return lines

    def _repr_html_(self) -> str:
        from html import escape

        lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.words)
        return f"<div><p><strong>{escape(self.question)}</strong></p>{lines}{self.frame.to_html(index=False)}</div>"


def ranges(texts: Sequence[str]) -> tuple[Span, ...]:
    """`PATH=low..high` each. Raises `ValueError` for what is no range."""
    found = []
    for text in texts:
        one = span(text)
        if not isinstance(one, Span):
            raise ValueError(f"'{text}' is no range; write PATH=low..high, such as api.queue.records=1..2000")
        found.append(one)
    return tuple(found)


def search(bench: Bench, varied: tuple[Span, ...], tries: int, fresh: int) -> Tuned:
    """Look for the smallest on `bench`, and try what is found with `fresh` seeds more."""
    spans = (*bench.smallest, *varied)
    found = least(bench, Ladder(spans[0], {})) if len(spans) == 1 else several(bench, spans, tries)
    again = bench.try_all([found.point], tuple(range(FRESH, FRESH + fresh)))[0] if found is not None else None
    tried = tuple(sorted(bench.tried.values(), key=lambda one: one.size))
    return Tuned(
        str(bench.written.tree["question"]),
        bench.variant,
        bench.goals,
        bench.share,
        bench.smallest,
        varied,
        tried,
        found,
        again,
    )


def tune(
    what: What,
    smallest: Mapping[str, str],
    goals: Sequence[str],
    *,
    vary: Mapping[str, str] | None = None,
    variant: str | None = None,
    seeds: int = 10,
    fresh: int = 40,
    share: float = 1.0,
    tries: int = 60,
    jobs: int | None = None,
    on: str | None = None,
    on_progress: Progress = untold,
) -> Tuned:
    """Find the smallest settings that meet goals in (a `share` of) `seeds` seeds, and how often they do in `fresh` others.

    `smallest` and `vary` map paths to ranges (`"1..2000"`, `"0.1s..5s"`, `"1..2000:log"`): the first are made small, the
    others may be anything in theirs. `goals` are claims, or short: `"p99 < 500 ms"`, `"loss < 1%"`, `"memory < 64 MB"`. With
    one setting the answer is exact; with several about `tries` candidates are tried. Raises `InvalidScenario`, `ValueError`,
    and what `bpsim.runs.measure_all` raises.

    >>> import bpsim
    >>> goals = ["p99 < 400 ms", "loss < 5%"]
    >>> found = bpsim.tune("gc_pause", {"api.workers": "1..8"}, goals, variant="naive", seeds=2, fresh=5, jobs=1)
    >>> found.words[0]
    'api.workers = 3 is the smallest of 1 to 8 that meets every goal; the step below does not.'
    >>> found.sure[:2]
    (5, 5)
    """
    file = opened(what)
    written = file.written if isinstance(file, ScenarioFile) else as_written(file)
    name = variant or next(iter(written))
    if name not in written:
        raise ValueError(f"there is no variant '{name}'; there are {', '.join(written)}")
    if not smallest or not goals:
        raise ValueError("a setting to make small and a goal are needed")
    spans = ranges([f"{path}={text}" for path, text in {**smallest, **(vary or {})}.items()])
    check_ends(written[name], name, spans, "the scenario", None)
    bench = Bench(
        written[name], name, tuple(goal(text, name) for text in goals), tuple(range(1, seeds + 1)),
        spans[: len(smallest)], share, "the scenario", None,
        place_of(on, jobs or os.cpu_count() or 1), None, on_progress,
    )  # fmt: skip
    return search(bench, spans[len(smallest) :], tries, fresh)
