"""What a scenario asks of each tier before it is run: utilisation ρ = λ · E[S] / c (Kleinrock 1975, §2.1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from bpsim.arrivals import Closed
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
        return self.arrivals_per_s / self.capacity_per_s if self.capacity_per_s else float("inf")


def capacities(scenario: Scenario) -> dict[str, float]:
    """Records (or requests) per second that each tier can do at full speed; a tier without a limit is left out."""
    found = {}
    api, size = scenario.api, scenario.client.record_size
    if api.service.mean > 0:
        found["api"] = api.workers / api.service.mean
    if scenario.broker is not None and scenario.broker.throughput is not None:
        found["broker"] = scenario.broker.partitions * scenario.broker.throughput / size
    if scenario.consumer is not None:
        polls = scenario.consumer.fetch_latency.mean / scenario.consumer.max_poll_records
        if polls + scenario.consumer.service.mean > 0:
            found["consumer"] = 1 / (polls + scenario.consumer.service.mean)
    if scenario.flink is not None and scenario.flink.service.mean > 0:
        found["flink"] = scenario.flink.parallelism / scenario.flink.service.mean
    if scenario.writer is not None:
        rows = min(scenario.writer.batch_rows, scenario.writer.buffer.in_records(size))
        insert = scenario.writer.per_insert.mean + rows * scenario.writer.per_row.mean
        if insert > 0:
            found["writer"] = scenario.writer.connections * rows / insert
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
    for begin, end in itertools.pairwise(times):
        rate = _rate(scenario, begin, end)
        for tier, capacity in capacities(scenario).items():
            yield Load(tier, begin, end, rate, capacity * conditions(scenario.faults, tier, begin).speed)
            rate = min(rate, capacity * conditions(scenario.faults, tier, begin).speed)


def _rate(scenario: Scenario, begin: float, end: float) -> float:
    """Mean offered rate; for closed arrivals the bound users / think time (Denning and Buzen 1978)."""
    arrivals = scenario.client.arrivals
    if isinstance(arrivals, Closed):
        return arrivals.users / max(arrivals.think.mean + scenario.api.service.mean, 1e-9)
    load = conditions(scenario.faults, "client", begin).load
    return (arrivals.rate_at(begin) + arrivals.rate_before(end)) / 2 * load
