"""What a scenario asks of each tier before it is run: utilisation ρ = λ · E[S] / c (Kleinrock 1975, §2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isnan, nan

from bpsim.arrivals import Closed, Piecewise
from bpsim.faults import conditions, turning_points
from bpsim.scenario import Scenario


@dataclass(frozen=True)
class Load:
    """One tier over one stretch of time. `utilisation` above 1 means that work piles up."""

    tier: str
    begin_s: float
    end_s: float
    arrivals_per_s: float
    capacity_per_s: float

    @property
    def utilisation(self) -> float:
        """λ / (c·μ); infinite when nothing gets done."""
        return self.arrivals_per_s / self.capacity_per_s if self.capacity_per_s else inf


def capacities(scenario: Scenario, now: float | None = None) -> dict[str, float]:
    """Records (or requests) per second that each tier can do with full batches: at full speed, or under the faults of
    the moment `now`. A tier without a limit is left out."""
    busy = _seconds_per_record(scenario, lambda tier: 1.0 if now is None else _speed(scenario, tier, now))
    return {tier: 1 / seconds for tier, seconds in busy.items() if seconds > 0}


def _speed(scenario: Scenario, tier: str, now: float) -> float:
    folded = conditions(scenario.faults, tier, now)
    return folded.speed / folded.work


def _seconds_per_record(scenario: Scenario, speed: Callable[[str], float]) -> dict[str, float]:
    """E[S] / c of each tier; infinite while it stands still."""

    def at_speed(tier: str, work: float) -> float:
        return work / speed(tier) if speed(tier) else inf if work else 0.0

    api, producer, broker = scenario.api, scenario.producer, scenario.broker
    consumer, flink, writer, size = scenario.consumer, scenario.flink, scenario.writer, scenario.client.record_size
    found, ack = {"api": at_speed("api", api.service.mean)}, 0.0
    if broker is not None and producer is not None:
        append = size / broker.throughput if broker.throughput else 0.0
        batch = min(producer.batch_records(size), producer.buffer_records(size))
        handled = at_speed("broker", broker.ack_latency.mean + batch * append)
        acked = handled + broker.round_trip
        ack = at_speed("broker", broker.ack_latency.mean + append) if api.reply != "on_enqueue" else 0.0
        found["api"] += ack
        at_once = 1 if producer.client == "librdkafka" else -(-broker.partitions // broker.brokers)  # batches in one request
        connections = broker.brokers * batch * min(at_once, max(1, producer.max_request // (batch * size)))
        found["producer"] = acked / producer.max_in_flight / connections
        if not broker.pipelining:
            found["producer"] = max(found["producer"], handled / connections)
        found["broker"] = at_speed("broker", append) / broker.partitions
    one_at_a_time = ack if api.handler == "async" and api.reply == "on_flush" else api.contention
    found["api"] = max(found["api"] / api.at_once, one_at_a_time)  # n in service take S + n·contention each
    if consumer is not None:
        found["consumer"] = at_speed("consumer", consumer.fetch_latency.mean / consumer.max_poll_records)
        found["consumer"] += at_speed("consumer", consumer.service.mean)
        found["consumer"] /= min(consumer.members, broker.partitions) if broker is not None else 1
    if flink is not None:
        found["flink"] = at_speed("flink", flink.seconds_per_record)
    if writer is not None:
        rows = max(1, min(writer.batch_rows, writer.buffer.in_records(size)))
        insert = at_speed("writer", writer.per_insert.mean + rows * writer.per_row.mean)
        insert *= writer.slowing(writer.connections)
        found["writer"] = max(insert / writer.connections, insert * writer.touches_hot_row(rows)) / rows
    return found


def predicted(scenario: Scenario) -> Iterator[Load]:
    """The load of each tier between the moments at which a rate or a fault changes; retries are not in it."""
    moments = {0.0, scenario.duration}
    for target in scenario.tiers:
        moments |= {m for m in turning_points(scenario.faults, target) if m < scenario.duration}
    arrivals = scenario.client.arrivals
    if not isinstance(arrivals, Closed):
        moments |= {m for m in arrivals.corners() if m < scenario.duration}
    times = sorted(moments)
    for begin, end in pairwise(times):
        rate = _rate(scenario, begin, end)
        for tier, capacity in capacities(scenario, begin).items():
            yield Load(tier, begin, end, rate, capacity)
            rate = min(rate, capacity)


@dataclass(frozen=True)
class Bottleneck:
    """The narrowest tier at full speed, and the records (or requests) a second of the whole load that it can do. `key_share`:
    of one key, if it is so narrow because all records of a key go to one subtask or partition; else NaN."""

    tier: str
    capacity_per_s: float
    key_share: float = nan


UNEVEN = 1.1
"""Of its equal share, what a subtask must get for its key to be why it is the bottleneck."""


def bottleneck(scenario: Scenario) -> Bottleneck | None:
    """None: no tier has a limit."""
    found = [*(Bottleneck(tier, able) for tier, able in capacities(scenario).items()), *_by_key(scenario)]
    return min(found, key=lambda one: one.capacity_per_s, default=None)


def _by_key(scenario: Scenario) -> Iterator[Bottleneck]:
    """Where all records of the most frequent key meet in one subtask or reader, which gets its equal share of the others."""
    keys, able = scenario.client.keys, capacities(scenario)
    if keys is None:
        return
    most, ways = float(keys.shares[0]), {}
    if scenario.flink is not None and any(operator.exchange == "hash" for operator in scenario.flink.operators):
        keyed = [operator for operator in scenario.flink.operators if operator.exchange == "hash"]
        ways["flink"] = max(keyed, key=lambda one: one.service.mean / one.parallelism).parallelism
    if scenario.consumer is not None and scenario.broker is not None:
        ways["consumer"] = min(scenario.consumer.members, scenario.broker.partitions)
    for tier, many in ways.items():
        its = many * most + 1 - most
        if tier in able and its > UNEVEN:
            yield Bottleneck(tier, able[tier] / its, most)


@dataclass(frozen=True)
class Overload:
    """A stretch of too high a load, and the highest rate meanwhile (first tries, a second)."""

    begin_s: float
    end_s: float
    rate_per_s: float


def overloads(scenario: Scenario) -> Iterator[Overload]:
    """The stretches in which more arrives, first tries alone, than the narrowest tier can do at full speed, or more than
    arrives in the end. Users who wait for their replies (closed arrivals) never bring more than is done."""
    arrivals, narrowest = scenario.client.arrivals, bottleneck(scenario)
    if narrowest is None or isinstance(arrivals, Closed):
        return
    much = narrowest.capacity_per_s
    if isinstance(arrivals, Piecewise):
        much = min(much, arrivals.points[-1].rate * (1 + 1e-9))
    corners = sorted({0.0, *(moment for moment in arrivals.corners() if moment < scenario.duration)})
    began, peak = nan, 0.0
    for begin, end in pairwise([*corners, scenario.duration]):
        high = max(arrivals.rate_at(begin), arrivals.rate_before(end))
        if high > much:
            began, peak = (begin, high) if isnan(began) else (began, max(peak, high))
        elif not isnan(began):
            yield Overload(began, begin, peak)
            began = nan
    if not isnan(began):
        yield Overload(began, scenario.duration, peak)


def _rate(scenario: Scenario, begin: float, end: float) -> float:
    """Mean offered rate; for closed arrivals the bound users / think time (Denning and Buzen 1978)."""
    arrivals = scenario.client.arrivals
    if isinstance(arrivals, Closed):
        return arrivals.users / max(arrivals.think.mean + scenario.api.service.mean, 1e-9)
    load = conditions(scenario.faults, "client", begin).load
    return (arrivals.rate_at(begin) + arrivals.rate_before(end)) / 2 * load


def with_every_retry(scenario: Scenario) -> Load | None:
    """What the narrowest tier that a caller waits for would face at full speed if every attempt failed and was tried
    again: a full retry storm. None without retries, or when users wait for their reply (closed arrivals)."""
    attempts = scenario.client.retry.max_attempts
    found = {tier: capacity for tier, capacity in capacities(scenario).items() if tier in ("api", "producer")}
    if attempts == 1 or isinstance(scenario.client.arrivals, Closed) or not found:
        return None
    narrowest = min(found, key=lambda tier: found[tier])
    highest = max(_rate(scenario, load.begin_s, load.end_s) for load in predicted(scenario))
    return Load(narrowest, 0.0, scenario.duration, highest * attempts, found[narrowest])
