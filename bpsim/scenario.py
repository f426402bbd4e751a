"""The scenario: everything that decides a run except the seed."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from bpsim.arrivals import Closed
from bpsim.faults import Fault
from bpsim.spec import Spec
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
