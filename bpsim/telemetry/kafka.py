"""Metrics of Kafka's clients: Java's as the JMX exporter names them by default, librdkafka's as its statistics call them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.spans import Floats
from bpsim.result import TIERS, Result
from bpsim.telemetry.exposition import Exposition
from bpsim.units import parse

PRODUCER = "kafka_producer_producer_metrics_"
CONSUMER = "kafka_consumer_consumer_fetch_manager_metrics_"
LIBRDKAFKA = "rdkafka_"
RATE_S = 60.0
"""Seconds over which Java's rates are taken (two samples of metrics.sample.window.ms)."""


def add_kafka(to: Exposition, result: Result, labels: Mapping[str, str], step: float, series: Mapping[str, Floats]) -> None:
    """The producer's buffer and the lag, of a run with these tiers. `series` is its `timeseries` in windows of `step`."""
    times = series["time_s"] + series["window_s"]
    if "producer" in result.scenario:
        mine = {"client_id": "bpsim", **labels}
        add = _add_librdkafka if result.scenario["producer"].get("client") == "librdkafka" else _add_java
        add(to, result, mine, times, series)
    if "broker.records" in series:
        mine = {"consumergroup": "bpsim", "topic": "bpsim", **labels}
        means = "records that the broker has and the group has not read"
        to.add("kafka_consumergroup_lag_sum", means, mine, times, series["broker.records"])
    if "consumer" in result.scenario:
        consumed = _passed(result, "broker", times)
        mine = {"client_id": "bpsim", **labels}
        to.add(f"{CONSUMER}records_consumed_total", "records read", mine, times, consumed)
        to.add(f"{CONSUMER}records_consumed_rate", "records read a second", mine, times, _rate(times, consumed))


def _limit(result: Result, times: Floats, name: str) -> Floats:
    """The bound of the producer's buffer, in `records` or `bytes`."""
    bound = result.scenario["producer"]["buffer"].get(name)
    if bound is None:
        return np.full(len(times), np.nan)
    return np.full(len(times), bound if name == "records" else parse(bound, "size"), np.float64)


def _add_java(to: Exposition, result: Result, labels: Mapping[str, str], times: Floats, series: Mapping[str, Floats]) -> None:
    total = _limit(result, times, "bytes")
    sent = _passed(result, "producer", times)
    blocked = series["api.blocked_share"] * Occupancy(result).tiers["api"].servers
    for name, means, values in (
        ("buffer_total_bytes", "size of the buffer", total),
        ("buffer_available_bytes", "of it, free", total * (1 - series["producer.fill"])),
        ("waiting_threads", "threads that wait for room in the buffer, on average over the window", blocked),
        ("record_send_total", "records handed to the broker", sent),
        ("record_send_rate", "records handed to the broker a second", _rate(times, sent)),
    ):
        to.add(PRODUCER + name, means, labels, times, values)


def _add_librdkafka(
    to: Exposition, result: Result, labels: Mapping[str, str], times: Floats, series: Mapping[str, Floats]
) -> None:
    for name, means, values in (
        ("msg_cnt", "messages in the queue", series["producer.waiting"]),
        ("msg_max", "messages it may hold", _limit(result, times, "records")),
        ("msg_size", "bytes in the queue", series["producer.waiting"] * Occupancy(result).record_bytes),
        ("msg_size_max", "bytes it may hold", _limit(result, times, "bytes")),
        ("txmsgs", "messages handed to the broker", _passed(result, "producer", times)),
    ):
        to.add(LIBRDKAFKA + name, means, labels, times, values)


def _passed(result: Result, tier: str, times: Floats) -> Floats:
    """Records that had left a tier by each time."""
    hops = result.tables["hops"]
    mine = hops["tier"] == TIERS.index(tier)
    left, count = hops["left_s"][mine], hops["count"][mine]
    order = np.argsort(left, kind="stable")
    upto = np.concatenate(([0.0], np.cumsum(count[order], dtype=np.float64)))
    return np.asarray(upto[np.searchsorted(left[order], times, "right")])


def _rate(times: Floats, total: Floats) -> Floats:
    """Of a total, a second, over the last minute or as long as there has been."""
    before = np.interp(times - RATE_S, times, total, left=0.0)
    return np.asarray((total - before) / np.minimum(times, RATE_S))
