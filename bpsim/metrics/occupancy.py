"""Who was where, when: the spans that requests, records and jobs spend in each tier, read off the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bpsim.kafka import framing
from bpsim.metrics.spans import Floats, time_in
from bpsim.result import TIERS, Fate, Result, Table, Work
from bpsim.units import parse

NOTHING = np.zeros(0)
WORKERS = {"sync": 40, "async": 1_000_000}
"""Of an API that does not say: anyio's threads, and tasks on an event loop."""
MOST_IN_FLIGHT = 1000
"""Of librdkafka's million requests in flight, those that a share of time is reckoned by."""
Spans = tuple[Floats, Floats]


@dataclass(frozen=True)
class Presence:
    """One tier: spans of what is inside, of what waits, and of its servers."""

    inside: Spans = (NOTHING, NOTHING)
    weight: Any = 1.0
    waiting: Spans = (NOTHING, NOTHING)
    waiting_weight: Any = 1.0
    busy: Spans = (NOTHING, NOTHING)
    blocked: Spans = (NOTHING, NOTHING)
    servers: int = 1
    bound: float = np.nan
    """Records that `waiting` may hold; NaN when there is no limit."""
    overhead: int = 0
    """Bytes that one takes in the process's memory beyond its size."""
    busy_weight: Any = 1.0
    """How many servers a span of `busy` takes."""


@dataclass(frozen=True)
class Occupancy:
    """The `Presence` of every tier of a run."""

    result: Result
    crash_s: float = field(init=False)

    def __post_init__(self) -> None:
        marks = self.result.tables["marks"]
        crash = marks["time_s"][marks["kind"] == "crash"]
        object.__setattr__(self, "crash_s", float(crash[0]) if len(crash) else np.nan)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record and of a request."""
        return int(parse(self.result.scenario["client"]["record_size"], "size"))

    @cached_property
    def tiers(self) -> dict[str, Presence]:
        """By tier, in the order of the pipeline."""
        there = [tier for tier in TIERS if tier in self.result.scenario]
        return {tier: getattr(self, f"_{tier}")() for tier in there}

    def _option(self, tier: str, name: str, default: int) -> int:
        return int(self.result.scenario.get(tier, {}).get(name, default))

    def _bound(self, tier: str, name: str) -> float:
        bound = self.result.scenario[tier].get(name) or {}
        limits = [float(bound["records"])] if bound.get("records") is not None else []
        if bound.get("bytes") is not None:
            limits.append(parse(bound["bytes"], "size") // self.record_bytes)
        return min(limits) if limits else np.nan

    def _rows(self, tier: str) -> Table:
        hops = self.result.tables["hops"]
        mine = hops["tier"] == TIERS.index(tier)
        return {name: column[mine] for name, column in hops.items()}

    def _marked(self, tier: str, begins: str, ends: str) -> Spans:
        marks = self.result.tables["marks"]
        mine = marks["tier"] == TIERS.index(tier)
        begin = marks["time_s"][mine & (marks["kind"] == begins)]
        end = marks["time_s"][mine & (marks["kind"] == ends)]
        return begin, np.concatenate((end, np.full(len(begin) - len(end), np.nan)))

    def _client(self) -> Presence:
        attempts = self.result.tables["attempts"]
        let_in = np.where(np.isnan(attempts["admitted_s"]), attempts["ended_s"], attempts["admitted_s"])
        turned_away = attempts["work"] == Work.TURNED_AWAY
        span = (attempts["sent_s"][~turned_away], let_in[~turned_away])
        return Presence(inside=span, waiting=span)

    def _api(self) -> Presence:
        attempts = self.result.tables["attempts"]
        came, began, served, left = (attempts[name] for name in ("admitted_s", "started_s", "served_s", "freed_s"))
        return Presence(
            inside=(came, left),
            waiting=(came, np.where(np.isnan(began), left, began)),
            busy=(began, np.where(np.isnan(served), left, served)),
            blocked=(served, left),
            overhead=self._option("api", "overhead", 0),
            servers=self._option("api", "workers", WORKERS[self.result.scenario["api"].get("handler", "sync")]),
            bound=self._bound("api", "queue"),
        )

    def _producer(self) -> Presence:
        records, rows = self.result.tables["records"], self._rows("producer")
        left = np.full(len(records["produced_s"]), np.nan)
        done = ~np.isnan(rows["left_s"])
        where = _expand(rows["first"][done], rows["count"][done])
        left[where] = np.repeat(rows["left_s"][done], rows["count"][done])
        lost = np.isin(records["fate"], (Fate.LOST_IN_CRASH, Fate.EXPIRED, Fate.REFUSED))
        left[lost] = records["ended_s"][lost]
        span = (records["produced_s"], left)
        busy = (rows["started_s"], rows["left_s"])
        servers = min(self._option("producer", "max_in_flight", 5), MOST_IN_FLIGHT)
        bound, overhead = self._producer_bound(), self._option("api", "overhead", 0)
        return Presence(span, 1.0, span, 1.0, busy, servers=servers, bound=bound, overhead=overhead)

    def _producer_bound(self) -> float:
        """Records in a full buffer, as its client reckons."""
        spec, size = self.result.scenario["producer"], self.record_bytes

        def limits(name: str) -> tuple[int | None, int | None]:
            bound = spec.get(name) or {}
            return (int(parse(bound["bytes"], "size")) if bound.get("bytes") is not None else None), bound.get("records")

        client, (batch, batch_limit), (buffer, limit) = spec.get("client", "java"), limits("batch"), limits("buffer")
        per_batch = framing.batch_records(client, batch, batch_limit, size)
        per_batch = per_batch if limit is None else max(1, min(per_batch, limit))
        held = framing.buffer_records(client, buffer, limit, batch, per_batch, size)
        return np.nan if held >= framing.UNLIMITED else float(held)

    def _broker(self) -> Presence:
        rows = self._rows("broker")
        append = rows["count"] == 0
        unread = (rows["entered_s"][~append], rows["left_s"][~append])
        count = rows["count"][~append].astype(np.float64)
        busy = (rows["started_s"][append], rows["served_s"][append])
        held = self._marked("broker", "hold_begins", "hold_ends")
        partitions = self._option("broker", "partitions", 6)
        blocked = (np.repeat(held[0], partitions), np.repeat(held[1], partitions))
        return Presence(unread, count, unread, count, busy, blocked, partitions, self._bound("broker", "retention"))

    def _consumer(self) -> Presence:
        rows = self._rows("consumer")
        count = rows["count"].astype(np.float64)
        began, served, left = _jobs(rows)
        paused = self._marked("consumer", "pause_begins", "pause_ends")
        members = self._option("consumer", "members", 1)
        waits = [np.concatenate((one, np.repeat(pause, members))) for one, pause in zip((served, left), paused, strict=True)]
        overhead, blocked, busy = self._option("consumer", "overhead", 0), (waits[0], waits[1]), (began, served)
        return Presence(
            (rows["entered_s"], rows["left_s"]), count, busy=busy, blocked=blocked, overhead=overhead, servers=members
        )

    def _flink(self) -> Presence:
        rows = self._rows("flink")
        count = rows["count"].astype(np.float64)
        busy, busy_weight = self._at_work((rows["started_s"], rows["served_s"]))
        return Presence(
            inside=(rows["entered_s"], rows["left_s"]),
            weight=count,
            waiting=_waiting(rows),
            waiting_weight=count,
            busy=busy,
            busy_weight=busy_weight,
            blocked=(rows["served_s"], rows["left_s"]) if "writer" in self.result.scenario else (NOTHING, NOTHING),
            servers=self._flink_servers,
            overhead=self._option("consumer", "overhead", 0),
            bound=self._bound("flink", "network_buffers"),
        )

    def _at_work(self, sink: Spans) -> tuple[Spans, Any]:
        """A job is as busy as its busiest task. Of the sink it is known when it worked, of the tasks before it how much of each
        second: where one of them worked more than the sink, that second counts with the difference."""
        table = self.result.tables.get("flink", {"vertex": NOTHING})
        before = table["vertex"] != table["vertex"][-1:]
        if not before.any():
            return sink, 1.0
        seconds, second = np.unique(table["time_s"][before], return_inverse=True)
        names, task = np.unique(table["vertex"][before].astype(str), return_inverse=True)
        cell, cells = task * len(seconds) + second, len(names) * len(seconds)
        worked = np.bincount(cell, table["busyTimeMsPerSecond"][before], cells) / 1000
        most = (worked / np.maximum(np.bincount(cell, minlength=cells), 1)).reshape(len(names), -1).max(axis=0)
        if self.result.ended_s > seconds[-1]:  # what came after the last look went on like the second before it
            seconds, most = np.append(seconds, self.result.ended_s), np.append(most, most[-1])
        begins = np.maximum(seconds - 1.0, np.concatenate(([0.0], seconds[:-1])))
        edges = np.unique(np.concatenate((begins, seconds)))
        servers = self._flink_servers
        by_sink = time_in(*sink, edges)[np.searchsorted(edges, seconds) - 1] / (seconds - begins)
        more = np.maximum(most * servers - by_sink, 0.0)
        spans = np.concatenate((sink[0], begins)), np.concatenate((sink[1], seconds))
        return spans, np.concatenate((np.ones(len(sink[0])), more))

    @property
    def _flink_servers(self) -> int:
        """Subtasks that records are served by: of a job those of its sink, as many as it ever had."""
        operators = self.result.scenario["flink"].get("operators")
        if not operators:
            return self._option("flink", "parallelism", 1)
        table = self.result.tables["flink"]
        of_sink = table["vertex"] == table["vertex"][-1:]
        return max(int(operators[-1]["parallelism"]), int(table["subtask"][of_sink].max(initial=0)) + 1)

    def _writer(self) -> Presence:
        rows = self._rows("writer")
        count = rows["count"].astype(np.float64)
        return Presence(
            inside=(rows["entered_s"], rows["left_s"]),
            weight=count,
            waiting=_waiting(rows),
            waiting_weight=count,
            busy=_inserts(rows, float(np.fmin(self._option("writer", "batch_rows", 1), self._bound("writer", "buffer")))),
            servers=self._option("writer", "connections", 1),
            overhead=self._option("consumer", "overhead", 0),
            bound=self._bound("writer", "buffer"),
        )


def _waiting(rows: Table) -> Spans:
    """From entering to the beginning of service, or to where rows were forgotten without any: their process died."""
    return rows["entered_s"], np.where(np.isnan(rows["started_s"]), rows["left_s"], rows["started_s"])


def _expand(first: np.ndarray[Any, Any], count: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every index of the ranges [first, first + count)."""
    offsets = np.cumsum(count) - count
    return np.repeat(first - offsets, count) + np.arange(count.sum())


def _inserts(rows: Table, batch_rows: float) -> Spans:
    """Began and served of each insert. Inserts that began and ended together, on several connections, are told apart by
    their rows: another one begins only when the one before is full."""
    known = ~np.isnan(rows["started_s"])
    began, served = rows["started_s"][known], np.where(np.isnan(rows["served_s"]), np.inf, rows["served_s"])[known]
    order = np.lexsort((served, began))
    began, served = began[order], served[order]
    news = np.ones(len(began), dtype=bool)
    news[1:] = (began[1:] != began[:-1]) | (served[1:] != served[:-1])
    first = np.flatnonzero(news)
    together = np.add.reduceat(rows["count"][known][order], first) if len(first) else first
    inserts = np.ceil(together / batch_rows).astype(np.int64)
    return np.repeat(began[first], inserts), np.repeat(np.where(np.isinf(served), np.nan, served)[first], inserts)


def _jobs(rows: Table) -> tuple[Floats, Floats, Floats]:
    """Began, served and left of each job: rows of one job share the first two, and it has left with its last row."""
    began, served, left = rows["started_s"], rows["served_s"], rows["left_s"]
    known = ~np.isnan(began)
    began, served, left = began[known], served[known], left[known]
    order = np.lexsort((np.where(np.isnan(left), np.inf, left), served, began))
    began, served, left = began[order], served[order], left[order]
    last = np.ones(len(began), dtype=bool)
    last[:-1] = (began[1:] != began[:-1]) | ((served[1:] != served[:-1]) & ~(np.isnan(served[1:]) & np.isnan(served[:-1])))
    return began[last], served[last], left[last]
