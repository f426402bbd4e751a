"""Service record by record: the kernel against Lindley's and Kiefer and Wolfowitz's recursions, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpsim.engine import Simulation, Standstill, run
from bpsim.kernel.buffer import Buffer, Sink
from bpsim.kernel.clock import Clock, SmallLane
from bpsim.kernel.servers import TimedServers
from bpsim.kernel.stage import Stage
from bpsim.result import TIERS, Fate
from bpsim.streams import on_grid
from tests.pipelines import exponential, poisson, station


def serve(arrivals: np.ndarray, work: np.ndarray, count: int, batch: int, room: int = 1 << 40) -> np.ndarray:
    """(started, served) of each record when `batch` records travel to the stage together, at the last one's arrival."""
    clock = Clock()
    clock.lane = SmallLane(clock)
    rows: dict[int, tuple[float, ...]] = {}
    inbox, sink = Buffer(room), Sink()
    Stage(clock, count, inbox, sink, lambda record: float(work[record]), lambda row: rows.update({int(row[0]): row}))
    for first in range(0, len(arrivals), batch):
        end = min(first + batch, len(arrivals))
        clock.call_at(float(arrivals[end - 1]), lambda a=first, b=end: inbox.put(a, b, clock.now))
    clock.run(until=float(arrivals[-1] + work.sum() + 1))
    return np.array([rows[record][3:5] for record in range(len(arrivals))])


def recursion(arrivals: np.ndarray, work: np.ndarray, count: int) -> np.ndarray:
    """Kiefer and Wolfowitz 1955: the next record goes to the server that is free first (Lindley 1952 for one)."""
    free = np.zeros(count)
    times = np.zeros((len(arrivals), 2))
    for record, (arrival, demand) in enumerate(zip(arrivals, work, strict=True)):
        server = int(free.argmin())
        begin = max(arrival, free[server])
        free[server] = begin + demand
        times[record] = begin, free[server]
    return times


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("batch", [1, 2, 64])
def test_every_record_of_a_batch_has_its_own_start_and_end(count: int, batch: int) -> None:
    rng = np.random.default_rng(count)
    arrivals = on_grid(np.cumsum(rng.standard_exponential(1000) / count))
    work = on_grid(rng.standard_exponential(1000) * 0.8)
    together = arrivals[np.minimum(np.arange(1000) // batch * batch + batch - 1, 999)]
    np.testing.assert_array_equal(serve(arrivals, work, count, batch), recursion(together, work, count))


def test_the_size_of_a_transport_changes_no_metric_beyond_noise() -> None:
    """Half as many records a poll, again and again: the same waits, within the noise of the arrivals."""
    means = []
    for poll in (64, 32, 16, 1):
        tiers: dict[str, Any] = {
            "producer": {"linger": 0.0},
            "broker": {"ack_latency": 0.0, "partitions": 1},
            "consumer": {"fetch_latency": 0.0, "max_poll_records": poll, "service": exponential(0.002)},
            "flink": {"service": exponential(0.006), "parallelism": 4, "network_buffers": {"records": 100}},
            "writer": {"batch_rows": 1, "connections": 4, "per_insert": exponential(0.006)},
        }
        records = run(station(poisson(400), 0.0, 100.0, 100, tiers=tiers)).tables["records"]
        done = records["fate"] == Fate.DELIVERED
        means.append((records["ended_s"] - records["produced_s"])[done][1000:38_000])
    noise = np.array([part.mean() for part in np.array_split(means[0], 20)]).std(ddof=1) / np.sqrt(20)
    for other in means[1:]:
        assert abs(other.mean() - means[0].mean()) < noise
        assert abs(np.quantile(other, 0.99) - np.quantile(means[0], 0.99)) < 10 * noise


def test_a_blocked_server_keeps_its_record_until_there_is_room() -> None:
    """Two one-record buffers and a slow end: the log of what happened, by hand."""
    clock = Clock()
    clock.lane = SmallLane(clock)
    log: list[tuple[float, ...]] = []
    inbox, middle, sink = Buffer(10), Buffer(1), Sink()
    Stage(clock, 1, inbox, middle, lambda record: 1.0, log.append)
    Stage(clock, 1, middle, sink, lambda record: 3.0, log.append)
    clock.call_at(0.0, lambda: inbox.put(0, 4, 0.0))
    clock.run(until=20)
    assert sorted(log, key=lambda row: (row[5], row[0])) == [
        (0, 1, 0.0, 0.0, 1.0, 1.0),
        (1, 1, 0.0, 1.0, 2.0, 2.0),
        (0, 1, 1.0, 1.0, 4.0, 4.0),
        (2, 1, 0.0, 2.0, 3.0, 4.0),  # served at 3, held until the buffer's record moved on at 4
        (1, 1, 2.0, 4.0, 7.0, 7.0),
        (3, 1, 0.0, 4.0, 5.0, 7.0),
        (2, 1, 4.0, 7.0, 10.0, 10.0),
        (3, 1, 7.0, 10.0, 13.0, 13.0),
    ]


def test_work_is_rescaled_when_the_speed_changes() -> None:
    clock = Clock()
    ends: list[tuple[float, str]] = []
    servers = TimedServers(clock, lambda job: ends.append((clock.now, job)))
    servers.begin(0.0, 4.0, "a")
    clock.call_at(1.0, lambda: servers.set_speed(1.0, 0.5))
    clock.call_at(2.0, lambda: servers.begin(2.0, 1.0, "b"))
    clock.call_at(3.0, lambda: servers.set_speed(3.0, 0.0))
    clock.call_at(10.0, lambda: servers.set_speed(10.0, 1.0))
    clock.run(until=30)
    # a: 1 s at full speed, 1 s of work in two at half, 2 s left from 10; b: 0.5 s of work from 2 to 3, 0.5 s left.
    assert ends == [(10.5, "b"), (12.0, "a")]


def test_flink_rows_are_records() -> None:
    tiers = {"producer": {}, "broker": {}, "consumer": {}, "flink": {"service": exponential(0.001)}}
    hops = run(station(poisson(500), 0.001, 5.0, 10, tiers=tiers)).tables["hops"]
    assert (hops["count"][hops["tier"] == TIERS.index("flink")] >= 1).all()
    begun = (hops["tier"] == TIERS.index("flink")) & ~np.isnan(hops["started_s"])
    assert (hops["count"][begun] == 1).all()


def test_a_standstill_says_who_waits_for_whom() -> None:
    tiers = {"producer": {}, "broker": {}, "consumer": {}, "flink": {"service": 0.001}, "writer": {"connections": 1}}
    arrivals = {"kind": "piecewise", "points": [{"at": 0.0, "rate": 100}, {"at": 1.0, "rate": 1e-6}]}
    simulation = Simulation(station(arrivals, 0.001, 60.0, 10, tiers=tiers), 1)
    simulation.advance(0.5)
    assert simulation.writer is not None
    simulation.writer.inbox.on_item = lambda: None
    with pytest.raises(Standstill, match=r"yet there wait: writer \(\d+\) for the end"):
        simulation.advance(60.0)


LINES = [
    case
    for case in json.loads((Path(__file__).parent / "data" / "queueing.json").read_text())
    if case["name"].startswith("Saturated exponential line") and case["params"]["buffer_between"] > 0
]


@pytest.mark.parametrize("case", LINES, ids=lambda case: case["id"])
def test_a_saturated_line_of_any_length_has_the_throughput_of_its_chain(case: dict[str, Any]) -> None:
    """Blocking after service, two to six stations with `buffer_between` places (Hunt 1956, Hillier and Boling 1967)."""
    params = case["params"]
    rates = params.get("mus", [params.get("mu", 1.0)] * params.get("stations", 0))
    count, rng, clock = 60_000, np.random.default_rng(1), Clock()
    clock.lane = SmallLane(clock)
    sink = Sink()
    boxes = [Buffer(count), *(Buffer(params["buffer_between"]) for _ in rates[1:]), sink]
    for rate, inbox, outbox in zip(rates, boxes, boxes[1:], strict=False):
        work = on_grid(rng.standard_exponential(count) / rate).tolist()
        Stage(clock, 1, inbox, outbox, work.__getitem__, lambda row: None)
    clock.call_at(0.0, lambda: boxes[0].put(0, count, 0.0))
    clock.run(until=1e9)
    times = np.frombuffer(sink.delivered).reshape(-1, 3)[:, 2]
    assert len(times) == count
    batches = np.diff(times[1000::2000])
    mean, error = batches.mean() / 2000, batches.std(ddof=1) / 2000 / np.sqrt(len(batches))
    exact = 1 / case["expected"]["throughput"]
    assert error < 0.005 * exact
    assert abs(mean - exact) < 4 * error
