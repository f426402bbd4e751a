"""The autoscaler of Flink's Kubernetes operator: from what the vertices did lately to how parallel they should be
(ScalingMetricEvaluator.java, JobVertexScaler.java, ScalingExecutor.java)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, inf, isfinite, isnan, nan

from pydantic import Field, model_validator

from bpsim.spec import Spec
from bpsim.units import Seconds


class AutoscalerSpec(Spec):
    """Options `job.autoscaler.*`, with the operator's defaults; a job that is rescaled starts anew from its last checkpoint."""

    utilization_target: float = Field(default=0.7, gt=0, le=1, description="share of time a vertex should be busy")
    utilization_max: float | None = Field(default=None, gt=0, le=1, description="scale up above it; none: target + 0.3")
    utilization_min: float | None = Field(default=None, ge=0, le=1, description="scale down below it; none: target - 0.3")
    metrics_window: Seconds = Field(default=900.0, gt=0, description="how far back it looks; it acts on full windows only")
    stabilization_interval: Seconds = Field(default=300.0, description="after a start, what is not yet looked at")
    control_interval: Seconds = Field(default=60.0, gt=0, description="from one look at the job to the next")
    catch_up_duration: Seconds = Field(default=1800.0, description="in which a backlog should be gone; 0: backlog is ignored")
    restart_time: Seconds = Field(default=300.0, description="how long it expects a restart to take; recovery is the truth")
    scale_up_max_factor: float = Field(default=100_000.0, gt=0, description="most that parallelism grows by, as a share of it")
    scale_down_max_factor: float = Field(default=0.6, gt=0, le=1, description="most that it shrinks by, as a share of it")
    scale_down_interval: Seconds = Field(default=3600.0, description="how long scaling down waits, for the most ever asked for")
    vertex_min_parallelism: int = Field(default=1, ge=1)
    vertex_max_parallelism: int = Field(default=200, ge=1, le=32_768)
    backlog_lag_threshold: Seconds = Field(
        default=300.0, description="with more seconds of backlog, full utilization is borne and nothing is scaled down"
    )
    observed_lag_threshold: Seconds = Field(
        default=30.0, description="with more seconds of backlog, a source's true rate can be observed"
    )
    observed_switch_threshold: float = Field(
        default=0.15, ge=0, description="the observed rate counts when that of the busy time is larger by this share"
    )
    observed_min_observations: int = Field(default=2, ge=1, description="fewer do not count")
    effectiveness_detection: bool = Field(
        default=False, description="whether scaling up again is blocked when the last time brought little"
    )
    effectiveness_threshold: float = Field(
        default=0.1, ge=0, le=1, description="little: a smaller share of the increase that was expected"
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> AutoscalerSpec:
        low, high = self.bounds
        if not low <= self.utilization_target <= high:
            raise ValueError(f"utilization_target {self.utilization_target:g} is not between its bounds, {low:g} and {high:g}")
        if self.vertex_min_parallelism > self.vertex_max_parallelism:
            raise ValueError("vertex_min_parallelism is larger than vertex_max_parallelism")
        if self.effectiveness_threshold != 0.1 and not self.effectiveness_detection:
            raise ValueError("effectiveness_threshold has no effect without effectiveness_detection")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Utilizations between which nothing is done."""
        low, high = self.utilization_min, self.utilization_max
        target = self.utilization_target
        return max(0.0, target - 0.3) if low is None else low, min(1.0, target + 0.3) if high is None else high


@dataclass(frozen=True)
class Seen:
    """One vertex, at one look."""

    busy: float
    """Share of the time since the last look, of its busiest subtask."""
    back_pressured: float
    """The same, as a mean over its subtasks."""
    records_in: int
    """Worked through since the job started."""
    records_out: int


@dataclass(frozen=True)
class Look:
    """All vertices at one moment, from the source on; `lag`: records it has not read."""

    time: float
    lag: int
    vertices: tuple[Seen, ...]


@dataclass(frozen=True)
class VertexSpec:
    """What does not change with its parallelism."""

    max_parallelism: int
    """Its key groups."""
    spread: int | None = None
    """What its parallelism should divide: the partitions of a source, the key groups behind a hash exchange."""
    inputs: tuple[tuple[int, float], ...] = ()
    """(vertex it reads from, share of what that sends); none: all of the one before it."""


@dataclass(frozen=True)
class Evaluated:
    """Rates of a vertex, records a second."""

    true_rate: float
    """It could process if it were always busy."""
    target: float
    """Comes in."""
    catch_up: float
    """On top of it, to work off the backlog in time."""

    def capacity(self, utilization: float, spec: AutoscalerSpec, with_restart: bool) -> float:
        """It needs to be busy for that share of its time (getTargetProcessingCapacity); rounded, as there."""
        if utilization == 0:
            return inf
        restart = self.target * spec.restart_time / spec.catch_up_duration if with_restart and spec.catch_up_duration else 0.0
        return floor(self.catch_up + restart + self.target / utilization + 0.5)


def evaluate(looks: Sequence[Look], spec: AutoscalerSpec, vertices: Sequence[VertexSpec]) -> list[Evaluated]:
    """Every vertex over a window."""
    found: list[Evaluated] = []
    first, last = looks[0], looks[-1]
    span = last.time - first.time
    for number, (before, now) in enumerate(zip(first.vertices, last.vertices, strict=True)):
        rate = (now.records_in - before.records_in) / span
        if number == 0:
            target = max(0.0, rate + (last.lag - first.lag) / span)
            catch_up = last.lag / spec.catch_up_duration if spec.catch_up_duration else 0.0
        else:
            target = catch_up = 0.0
            for sender, share in vertices[number].inputs or ((number - 1, 1.0),):
                ratio = share * _output_ratio(first.vertices[sender], last.vertices[sender])
                target, catch_up = target + found[sender].target * ratio, catch_up + found[sender].catch_up * ratio
        busy = sum(look.vertices[number].busy for look in looks[1:]) / (len(looks) - 1)
        observed = _observed(looks, spec) if number == 0 else nan
        found.append(Evaluated(_true_rate(rate, busy, observed, spec), target, catch_up))
    return found


def _output_ratio(before: Seen, now: Seen) -> float:
    taken = now.records_in - before.records_in
    return (now.records_out - before.records_out) / taken if taken else 1.0


def _true_rate(rate: float, busy: float, observed: float, spec: AutoscalerSpec) -> float:
    of_busy_time = rate / busy if rate and busy else inf
    if isnan(observed) or (isfinite(of_busy_time) and of_busy_time <= observed * (1 + spec.observed_switch_threshold)):
        return of_busy_time
    return observed


def _observed(looks: Sequence[Look], spec: AutoscalerSpec) -> float:
    """What a source with a backlog did while nothing held it back; NaN when that was not seen often enough."""
    seen = list(_observations(looks, spec))
    return sum(seen) / len(seen) if len(seen) >= spec.observed_min_observations else nan


def _observations(looks: Sequence[Look], spec: AutoscalerSpec) -> Iterator[float]:
    for before, look in pairwise(looks):
        source = look.vertices[0]
        rate = (source.records_in - before.vertices[0].records_in) / (look.time - before.time)
        if look.lag >= spec.observed_lag_threshold * rate and source.back_pressured < 1:
            yield rate / (1 - source.back_pressured)


def aligned(wanted: int, current: int, least: int, most: int, spread: int) -> int:
    """The parallelism that shares `spread` partitions or key groups out evenly: the next larger divisor, else the smallest
    that gives nobody more, and never a step in the other direction (JobVertexScaler.scale, EVENLY_SPREAD)."""
    if wanted == current:
        return current
    up = wanted > current
    for larger in range(wanted, min(spread, most if up else min(current, most)) + 1):
        if spread % larger == 0:
            return larger
    fewer = next((p for p in range(wanted, 0, -1) if spread // p > spread // wanted), 0)
    found = max(fewer + 1 if fewer == 0 or spread % fewer else fewer, least)
    return found if (found > current) == up and found != current else current


class Autoscaler:
    """Told what a job did; answers with the parallelism of all its vertices when the job is to be rescaled."""

    def __init__(self, spec: AutoscalerSpec, vertices: Sequence[VertexSpec]) -> None:
        self._spec = spec
        self._vertices = vertices
        self._looks: list[Look] = []
        self._since = 0.0
        self._waiting: dict[int, list[tuple[float, int, bool]]] = {}
        """By vertex, what scaling down was asked for: (when, parallelism, whether out of bounds)."""
        self._scaled_up: dict[int, tuple[int, float, float]] = {}
        """By vertex, the last time: (new parallelism, true rate before, and expected)."""

    def on_start(self, now: float) -> None:
        """The job runs, maybe again: what was before counts no more."""
        self._since = now
        self._looks = []

    def look(self, look: Look, current: Sequence[int]) -> list[int] | None:
        """Parallelism from now on, or None: leave it."""
        spec = self._spec
        if look.time < self._since + spec.stabilization_interval:
            return None
        self._looks.append(look)
        if look.time - self._looks[0].time < spec.metrics_window:
            return None
        self._looks = [one for one in self._looks if one.time >= look.time - spec.metrics_window]
        return self._decide(look.time, list(current)) if len(self._looks) > 1 else None

    def _decide(self, now: float, current: list[int]) -> list[int] | None:
        found = evaluate(self._looks, self._spec, self._vertices)
        changes: dict[int, tuple[int, bool]] = {}
        for number, vertex in enumerate(found):
            change = self._change(number, vertex, current[number], now)
            if change is not None:
                changes[number] = change
        if not any(outside for _, outside in changes.values()):
            return None
        for number, (parallelism, _) in changes.items():
            if parallelism > current[number]:
                expected = found[number].true_rate * self._factor(found[number])
                self._scaled_up[number] = parallelism, found[number].true_rate, expected
            else:
                self._scaled_up.pop(number, None)
        self._waiting.clear()
        return [changes[number][0] if number in changes else now_is for number, now_is in enumerate(current)]

    def _factor(self, vertex: Evaluated) -> float:
        spec = self._spec
        factor = vertex.capacity(spec.utilization_target, spec, True) / vertex.true_rate
        return min(max(factor, 1 - spec.scale_down_max_factor), 1 + spec.scale_up_max_factor)

    def _wanted(self, number: int, vertex: Evaluated, current: int) -> int:
        spec, fixed = self._spec, self._vertices[number]
        least = min(current, spec.vertex_min_parallelism)
        most = min(fixed.max_parallelism, max(current, spec.vertex_max_parallelism))
        wanted = min(max(ceil(self._factor(vertex) * current), least), most)
        return wanted if fixed.spread is None else aligned(wanted, current, least, most, fixed.spread)

    def _change(self, number: int, vertex: Evaluated, current: int, now: float) -> tuple[int, bool] | None:
        """(parallelism, whether the vertex is out of bounds), or None."""
        wanted, outside = self._wanted(number, vertex, current), self._is_outside(vertex)
        if wanted >= current:
            self._waiting.pop(number, None)
            return None if wanted == current or self._was_in_vain(number, vertex, current) else (wanted, outside)
        asked = self._waiting.setdefault(number, [])
        asked.append((now, wanted, outside))
        start = now - self._spec.scale_down_interval
        if start < asked[0][0]:
            return None if self._spec.scale_down_interval else (wanted, outside)
        recent = [(parallelism, out) for when, parallelism, out in asked if when >= start]
        return max(recent, key=lambda one: one[0])

    def _is_outside(self, vertex: Evaluated) -> bool:
        """Whether its true rate is out of what the bounds of its utilization ask for."""
        spec = self._spec
        low, high = (0.0, 1.0) if self._works_off_a_backlog else spec.bounds
        least, most = vertex.capacity(high, spec, False), vertex.capacity(low, spec, True)
        return not least <= vertex.true_rate <= most

    @property
    def _works_off_a_backlog(self) -> bool:
        first, last = self._looks[0], self._looks[-1]
        rate = (last.vertices[0].records_in - first.vertices[0].records_in) / (last.time - first.time)
        return last.lag > self._spec.backlog_lag_threshold * rate

    def _was_in_vain(self, number: int, vertex: Evaluated, current: int) -> bool:
        """Whether scaling up to what it is now brought too little to do it again (detectIneffectiveScaleUp)."""
        parallelism, before, expected = self._scaled_up.get(number, (0, 0.0, 0.0))
        if not self._spec.effectiveness_detection or parallelism != current:
            return False
        return vertex.true_rate - before < self._spec.effectiveness_threshold * (expected - before)
