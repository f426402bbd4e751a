"""The scenario: everything that decides a run except the seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field, model_validator

from bpsim.arrivals import Closed
from bpsim.faults import Fault
from bpsim.kernel.bound import Bound
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
MAX_REQUESTS = 5e7
"""More requests than this in one run would not fit the memory of the machines people have."""


class Scenario(Spec):
    """A pipeline, the load on it, what goes wrong, and for how long. Tiers from `producer` on may be left out from the
    end: the pipeline then ends earlier. Raises `pydantic.ValidationError` for impossible combinations."""

    not_yet: ClassVar[dict[str, str]] = {"network": "loss and partitions between tiers come with issue 3"}

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
        if self.producer is None and self.api.reply == "on_ack":
            yield ("api", "reply"), "there is no producer, so no ack would ever come; on_enqueue replies after the handler"

    def _faults_that_cannot_be(self) -> Iterator[Misfit]:
        for index, fault in enumerate(self.faults):
            if fault.target not in self.tiers:
                have = ", ".join(self.tiers)
                yield ("faults", index, "target"), f"there is no {fault.target} in this pipeline ({have})"
            if fault.at >= self.duration:
                yield ("faults", index, "at"), f"the run ends at {self.duration:g} s, before this fault at {fault.at:g} s"
            if fault.target == "client" and isinstance(self.client.arrivals, Closed):
                yield ("faults", index), "a spike raises an arrival rate, and closed arrivals have none; add users instead"

    def _buffers_too_small(self) -> Iterator[Misfit]:
        size = self.client.record_size
        for path, bound in self.bounds.items():
            if path != "api.queue" and bound.in_records(size) < 1:
                yield tuple(path.split(".")), f"not one record of {size} bytes fits"
        if self.broker is not None and self.broker.overflow == "hold_producer" and self.producer is not None:
            if self.broker.retention == Bound():
                yield ("broker", "overflow"), "hold_producer needs a bound: retention: {bytes: …} says when it holds"
            keep, batch = self.broker.retention.in_records(size), self.producer.batch.in_records(size)
            if keep < max(1, batch):
                held = f"holds {keep} records, and a whole batch of {max(1, batch)} (producer.batch) would never be let in"
                yield ("broker", "retention"), held
        if self.api.heap is not None and self.api.heap < size:
            yield ("api", "heap"), f"not one request of {size} bytes fits"

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
        if self.flink is not None:
            found["flink.network_buffers"] = self.flink.network_buffers
        if self.writer is not None:
            found["writer.buffer"] = self.writer.buffer
        return found
