"""The scenario: everything that decides a run except the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field, model_validator

from bpsim.arrivals import Closed
from bpsim.faults import Fault
from bpsim.kernel.bound import Bound
from bpsim.policies.admission import LagAdmission
from bpsim.policies.retry import Immediate
from bpsim.spec import Misfits, Spec
from bpsim.tiers.api import ApiSpec
from bpsim.tiers.broker import BrokerSpec
from bpsim.tiers.client import ClientSpec
from bpsim.tiers.consumer import ConsumerSpec
from bpsim.tiers.flink import FlinkSpec
from bpsim.tiers.producer import ProducerSpec
from bpsim.tiers.writer import WriterSpec
from bpsim.units import PositiveSeconds

NEEDS = {
    "producer": ("api",),
    "broker": ("producer",),
    "consumer": ("broker",),
    "flink": ("consumer",),
    "writer": ("consumer",),
}
"""The tier that must stand before each; only Flink may be left out of the middle of the pipeline."""


Misfit = tuple[tuple[str | int, ...], str]
MOST_TRIES_AT_ONCE = 10_000
MAX_REQUESTS = 5e7
"""More requests than this in one run would not fit the memory of the machines people have."""


def no_such_tier(tier: str, tiers: Sequence[str]) -> str:
    """What is wrong with a fault on a `tier` that is not among the pipeline's."""
    return f"there is no {tier} in this pipeline ({', '.join(tiers)})"


class Scenario(Spec):
    """A pipeline, the load on it, what goes wrong, and for how long. Tiers from `producer` on may be left out from the
    end: the pipeline then ends earlier. Raises `pydantic.ValidationError` for impossible combinations."""

    question: str = Field(min_length=1, description="what this scenario is meant to answer")
    duration: PositiveSeconds = Field(description="simulated time")
    client: ClientSpec
    api: ApiSpec
    producer: ProducerSpec | None = None
    broker: BrokerSpec | None = None
    consumer: ConsumerSpec | None = None
    flink: FlinkSpec | None = None
    writer: WriterSpec | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers that are there, from the client down."""
        return tuple(name for name in ("client", "api", *NEEDS) if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _the_parts_fit_together(self) -> Scenario:
        wrong = [
            *self._missing_tiers(),
            *self._faults_that_cannot_be(),
            *self._buffers_too_small(),
            *self._times_at_odds(),
            *self._fetches_of_several_brokers(),
            *self._options_that_would_do_nothing(),
            *self._flink_jobs_that_cannot_be(),
            *self._loops_without_time(),
        ]
        if wrong:
            raise Misfits(wrong)
        return self

    def _missing_tiers(self) -> Iterator[Misfit]:
        for name, needs in NEEDS.items():
            for need in needs:
                if getattr(self, name) is not None and getattr(self, need) is None:
                    yield (name,), f"there is no {need} before it; a pipeline may end early but has no holes"

        if self.producer is not None and self.broker is None:
            yield ("producer",), "there is no broker after it, so nothing would ever leave its buffer"
        if self.producer is None and self.api.reply != "on_enqueue":
            yield ("api", "reply"), "there is no producer, so no ack would ever come; on_enqueue replies after the handler"
        if self.consumer is None and isinstance(self.api.admission, LagAdmission):
            yield ("api", "admission"), "there is no consumer, so nobody lags"

    def _faults_that_cannot_be(self) -> Iterator[Misfit]:
        for index, fault in enumerate(self.faults):
            if fault.target not in self.tiers:
                yield ("faults", index, "target"), no_such_tier(fault.target, self.tiers)
            if fault.kind == "leader_down" and self.broker is not None and fault.broker >= self.broker.brokers:
                yield ("faults", index, "broker"), f"brokers are numbered from 0, and there are {self.broker.brokers} of them"
            if fault.kind == "slow_follower" and self.broker is not None and fault.followers >= self.broker.replicas:
                what = f"a partition has {self.broker.replicas - 1} followers; raise broker.replicas"
                yield ("faults", index, "followers"), what
            if fault.kind == "slow_follower" and self.producer is not None and self.producer.acks != "all":
                yield ("faults", index), f"with acks {self.producer.acks} nobody waits for followers; set producer.acks to all"
            if fault.at >= self.duration:
                yield ("faults", index, "at"), f"the run ends at {self.duration:g} s, before this fault at {fault.at:g} s"
            patient = self.client.timeout is None and self.client.deadline is None
            if patient and fault.target == "api" and fault.kind in ("partition", "loss"):
                yield ("faults", index, "kind"), "what vanishes is missed only by a client that times out; set client.timeout"
            if fault.target == "client" and isinstance(self.client.arrivals, Closed):
                yield ("faults", index), "a spike raises an arrival rate, and closed arrivals have none; add users instead"

    def _buffers_too_small(self) -> Iterator[Misfit]:
        size = self.client.record_size
        for path, bound in self.bounds.items():
            if path not in ("api.queue", "producer.buffer") and bound.in_records(size) < 1:
                yield tuple(path.split(".")), f"not one record of {size} bytes fits"
        if self.broker is not None and self.broker.overflow == "hold_producer" and self.producer is not None:
            if self.broker.retention == Bound():
                yield ("broker", "overflow"), "hold_producer needs a bound: retention: {bytes: …} says when it holds"
            keep, batch = self.broker.retention.in_records(size), self.producer.batch_records(size)
            if keep < batch:
                held = f"holds {keep} records, and a whole batch of {batch} (producer.batch) would never be let in"
                yield ("broker", "retention"), held
        if self.producer is not None and self.producer.buffer_records(size) < 1:
            yield ("producer", "buffer"), "not one batch fits (Kafka: there is a hard limit on memory allocations); see batch"
        if self.api.heap is not None and self.api.heap < size:
            yield ("api", "heap"), f"not one request of {size} bytes fits"

    def _flink_jobs_that_cannot_be(self) -> Iterator[Misfit]:
        operators = self.flink.operators if self.flink is not None else ()
        hashed = [number for number, operator in enumerate(operators) if operator.exchange == "hash" and number]
        if hashed and self.client.keys is None:
            yield ("flink", "operators", hashed[0], "exchange"), "records have no key to hash; say which: client: {keys: {…}}"
        if operators and operators[-1].async_sink is not None and self.writer is not None:
            yield ("flink", "operators", len(operators) - 1, "async_sink"), "it has its own destination; leave out the writer"
        if self.flink is not None and self.flink.exactly_once_sink and self.writer is not None:
            yield ("flink", "exactly_once_sink"), "the writer commits its own inserts; leave out the writer"
        if operators and self.consumer is not None and self.consumer.heap is not None:
            what = "a Flink job holds records in network buffers, which are bounded; it cannot run out of heap by them"
            yield ("consumer", "heap"), what

    def _fetches_of_several_brokers(self) -> Iterator[Misfit]:
        if self.broker is None or self.consumer is None or self.broker.brokers == 1:
            return
        if (self.consumer.fetch_min or 0) > self.client.record_size:
            what = f"each of {self.broker.brokers} brokers would let its own fetch wait, which is not modelled; have one broker"
            yield ("consumer", "fetch_min"), what

    def _options_that_would_do_nothing(self) -> Iterator[Misfit]:
        client, api = self.client, self.api
        if client.instances > 1 and client.retry.budget is None and client.breaker is None and client.throttle is None:
            yield ("client", "instances"), "instances differ by their budget, breaker or throttle, and there is none of these"
        if api.order == "critical_first" and client.criticality is None:
            yield ("api", "order"), "all requests matter alike; say which share is critical: client: {criticality: {…}}"
        if client.keys is not None and self.producer is None:
            yield ("client", "keys"), "keys choose a partition, and there is no producer"
        if client.criticality is not None and api.order != "critical_first":
            yield ("client", "criticality"), f"nobody looks at it with api.order {api.order}; set it to critical_first"
        tells = api.on_full in ("reject", "unavailable") or (api.on_full == "block" and api.admission is not None)
        if api.reject_cost and not tells:
            yield ("api", "reject_cost"), f"with on_full: {api.on_full} nobody is turned away with a reply"
        if api.warm_up is not None and api.restart_after is None and not self._crashes("api"):
            yield ("api", "warm_up"), "the API never restarts: it has no restart_after, and no crash is among the faults"
        if api.cancellation == "propagated" and client.timeout is None and client.deadline is None and client.hedge is None:
            yield ("api", "cancellation"), "clients wait for ever, so there is nothing to cancel; set client.timeout"
        if api.expired == "skip" and client.timeout is None and client.deadline is None:
            yield ("api", "expired"), "clients wait for ever, so nothing expires; set client.timeout or client.deadline"

    def _crashes(self, target: str) -> bool:
        return any(fault.kind == "crash" and fault.target == target for fault in self.faults)

    def _loops_without_time(self) -> Iterator[Misfit]:
        retry, api = self.client.retry, self.api
        if retry.max_attempts > MOST_TRIES_AT_ONCE and isinstance(retry, Immediate):
            if api.reject_time == 0:
                yield ("api", "reject_time"), "clients that try again for ever, at once, would do so in no time; give it a time"
            if api.service.mean == 0 and any(fault.kind == "errors" for fault in self.faults):
                yield ("api", "service"), "clients that try again for ever, at once, would do so in no time; give it a time"

    def _times_at_odds(self) -> Iterator[Misfit]:
        timeout = self.client.timeout
        if timeout is not None and self.api.reject_time >= timeout:
            yield ("api", "reject_time"), f"{self.api.reject_time:g} s is not below the client's timeout of {timeout:g} s"
        if not isinstance(self.client.arrivals, Closed):
            expected = self.client.arrivals.curve(self.faults, self.duration).total
            if expected > MAX_REQUESTS:
                yield ("client", "arrivals"), f"{expected:.3g} requests in one run are more than {MAX_REQUESTS:.0e}"

    @property
    def bounds(self) -> dict[str, Bound]:
        """The bound of every buffer that is there, by path."""
        found: dict[str, Bound] = {"api.queue": self.api.queue}
        if self.producer is not None:
            found["producer.buffer"] = self.producer.buffer
        if self.flink is not None and not self.flink.operators:
            found["flink.network_buffers"] = self.flink.network_buffers
        if self.writer is not None:
            found["writer.buffer"] = self.writer.buffer
        return found
