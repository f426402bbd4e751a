"""Jobs that tests run by themselves."""

from __future__ import annotations

from typing import Any

from bpsim.scenario import Scenario
from bpsim.tiers.flink.alone import AloneResult, run_alone
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.graph import OperatorSpec

CHECKPOINTS = {"execution.checkpointing.interval": "5 s"}
DEBLOAT = {"taskmanager.network.memory.buffer-debloat.enabled": "true"}
UNALIGNED = {"execution.checkpointing.unaligned.enabled": "true"}


def line(*operators: dict[str, Any], parallelism: int = 1) -> list[OperatorSpec]:
    """A source and operators behind exchanges, each operator in TaskManagers of its own, so that all channels are remote."""
    chain = [{"name": "source"}, *operators]
    return [
        OperatorSpec.model_validate({"name": f"o{i}", "parallelism": parallelism, "slot_sharing_group": f"g{i}"} | operator)
        for i, operator in enumerate(chain)
    ]


def alone(
    operators: list[OperatorSpec],
    options: dict[str, str] | None = None,
    rate: float = 500.0,
    duration: float = 30.0,
    record_bytes: int = 1024,
    version: str = "2.3",
    **more: Any,
) -> AloneResult:
    """Run it."""
    return run_alone(operators, FlinkConf.of(version, options or {}), rate, record_bytes, duration, **more)


def through(flink: dict[str, Any], rate: float = 300.0, duration: float = 30.0, **tiers: Any) -> Scenario:
    """The whole pipeline with a Flink job in it."""
    client = {"arrivals": {"kind": "poisson", "rate": rate}} | tiers.pop("client", {})
    api = {"workers": 8, "service": 0.0001}
    consumer = {"when_full": "block"} | tiers.pop("consumer", {})
    tree = {"question": "?", "duration": duration, "client": client, "api": api, "producer": {}, "broker": {}}
    return Scenario.model_validate(tree | {"consumer": consumer, "flink": flink} | tiers)
