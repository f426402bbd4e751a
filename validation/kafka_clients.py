"""librdkafka's producer against its mock broker, as measured, and the same configuration simulated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bpsim.result import TIERS, Column, Outcome, Result
from bpsim.scenario import Scenario
from validation.rows import Effort, Row, near, run

DATA = Path(__file__).parent / "data" / "kafka"
ANYTHING = 1e-6
"""A handler that takes no time to speak of, in seconds."""


def measured(name: str) -> dict[str, Any]:
    """What was run, its summary, and series by second."""
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


def mock(conf: dict[str, Any], rate: float, size: int, rtt: float, duration: float, partitions: int = 1, **rest: Any) -> Result:
    """A loop that produces `rate` messages a second and polls, against a mock broker: a round trip, and no limit of its own."""
    tree: dict[str, Any] = {
        "question": "?",
        "duration": duration,
        "client": {"arrivals": {"kind": "deterministic", "rate": rate}, "record_size": size},
        "api": {"workers": 1_000_000, "service": ANYTHING, "reject_time": 0.0},
        "producer": {"client": "librdkafka"} | conf,
        "broker": {"partitions": partitions, "round_trip": rtt, "ack_latency": 0.0, "pipelining": True},
    }
    return run(Scenario.model_validate(tree | rest), 1)


def delivered(result: Result) -> tuple[Column, Column]:
    """When each message was acknowledged, and how long after it had been produced; in the order of acknowledgement."""
    hops, records = result.tables["hops"], result.tables["records"]
    mine = (hops["tier"] == TIERS.index("producer")) & ~np.isnan(hops["served_s"])
    first, count = hops["first"][mine], hops["count"][mine]
    records_of = np.concatenate([np.arange(a, a + n) for a, n in zip(first, count, strict=True)])
    when = np.repeat(hops["left_s"][mine], count)
    order = np.argsort(when, kind="stable")
    return when[order], (when - records["produced_s"][records_of])[order]


def first_full(result: Result) -> float:
    """When `produce` first failed with `BufferError`."""
    attempts = result.tables["attempts"]
    return float(attempts["ended_s"][attempts["outcome"] == Outcome.REJECTED].min())


def by_second(real: dict[str, Any], result: Result, seconds: Iterable[int]) -> Iterator[Row]:
    """Median and p99 of the time to delivery of what was delivered in some seconds."""
    when, waited = delivered(result)
    for second in seconds:
        inside = 1e3 * waited[(when >= second) & (when < second + 1)]
        for name, level in (("p50", 0.5), ("p99", 0.99)):
            there = real[f"{name}_ms"][str(second)]
            found = float(np.quantile(inside, level))
            yield near(f"{name} of the time to delivery, second {second}", there, found, 0.05 * there, "5 %", " ms")


def full(effort: Effort) -> list[Row]:
    """A queue of 1000 messages that drains slower than it fills."""
    found = measured("kafka_full_msgs")
    params, real = found["params"], found["summary"]
    result = mock(params["conf"], params["rate"], params["msg_bytes"], params["rtt_ms"] / 1e3, params["dur"])
    when, _ = delivered(result)
    steady = float(((when > 10) & (when <= 20)).sum()) / 10
    accepted = float(len(result.tables["records"]["fate"]))
    return [
        near("time until full", real["t_first_full"], first_full(result), 0.05 * real["t_first_full"], "5 %", " s"),
        near("delivered per second", real["delivered_per_s_steady"], steady, 1.0, "a batch in 10 s", "/s"),
        near("messages accepted", real["sent"], accepted, 0.05 * real["sent"], "5 %"),
        *by_second(found, result, (3, 8, 16, 24)),
    ]


def throughput(effort: Effort) -> list[Row]:
    """Requests in flight times batch over round trip, with the framing of records in batches that are bounded in bytes."""
    found = measured("kafka_throughput")
    return [_saturated(line, found["params"]["msg_bytes"]) for line in found["summary"]]


def _saturated(line: dict[str, Any], size: int) -> Row:
    """Messages delivered between the third and the seventh second. The loop that produces as fast as it can takes up to 5 ms of
    a round trip on the same two cores; a window may hold a round of batches more or less at each end."""
    conf: dict[str, Any] = {"max.in.flight": line["max_in_flight"], "linger.ms": 0, "queue.buffering.max.messages": 4000}
    bound = {"batch.num.messages": line["batch_msgs"]} if "batch_msgs" in line else {"batch.size": line["batch_bytes"]}
    rtt, expected = line["rtt_ms"] / 1e3, line["theory_inflight_x_batch_over_rtt"]
    result = mock(conf | bound, max(600, 2.5 * expected), size, rtt, 7.0, line["partitions"])
    when, _ = delivered(result)
    found = float(((when > 3) & (when <= 7)).sum()) / 4
    batch = f"{line['batch_msgs']}" if "batch_msgs" in line else f"{line['batch_bytes']} B"
    claim = f"{line['max_in_flight']} × {batch} in flight, {line['rtt_ms']} ms, {line['partitions']} partitions"
    within = expected * 0.005 / (rtt + 0.005) + 2 * expected * rtt / 4
    return near(claim, line["delivered_per_s"], found, within, "5 ms a round trip, one round at each end", "/s")


def latency(effort: Effort) -> list[Row]:
    """Linger and round trip add up."""
    found = measured("kafka_latency")
    params, rows = found["params"], []
    for line in found["summary"]:
        conf = {"linger.ms": line["linger_ms"]}
        result = mock(conf, line["rate"], params["msg_bytes"], line["rtt_ms"] / 1e3, params["dur"])
        when, waited = delivered(result)
        settled = 1e3 * waited[when > 1.5]
        claim = f"mean at {line['rate']}/s, linger {line['linger_ms']} ms, round trip {line['rtt_ms']} ms"
        rows.append(
            near(claim, line["mean"], float(settled.mean()), 2 + 0.05 * line["mean"], "2 ms of a process and 5 %", " ms")
        )
    return rows


def stall(effort: Effort) -> list[Row]:
    """The broker's process stands still for 15 s."""
    found = measured("kafka_stall15_q2000")
    params, real = found["params"], found["summary"]
    faults = [{"kind": "stall", "target": "broker", "at": 10.0, "lasts": 15.0}]
    rtt = params["broker_rtt_ms"] / 1e3
    result = mock(params["conf"], params["rate"], 1000, rtt, params["dur"], faults=faults)
    when, _ = delivered(result)
    outcome = result.tables["attempts"]["outcome"]
    refused = float((outcome == Outcome.REJECTED).sum())
    after, there = float(((when >= 25) & (when < 26)).sum()), found["delivered"]["25"]
    return [
        near("time until full", real["t_first_full"], first_full(result), 0.05 * real["t_first_full"], "5 %", " s"),
        near("messages refused", real["full"], refused, 0.05 * real["full"], "5 %"),
        near("messages accepted", real["sent"], len(outcome) - refused, 0.05 * real["sent"], "5 %"),
        near("delivered in the second after it", there, after, 0.05 * there, "5 %"),
        *by_second(found, result, (25,)),
    ]


def clients(effort: Effort) -> list[Row]:
    """Every run."""
    return full(effort) + throughput(effort) + latency(effort) + stall(effort)
