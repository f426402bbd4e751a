"""Small scenarios for tests, built from Python values."""

from __future__ import annotations

from typing import Any

from bpsim.scenario import Scenario
from bpsim.tiers.client import ClientSpec

EXP = "exponential"


def exponential(mean: float) -> dict[str, Any]:
    """An exponential law."""
    return {"kind": EXP, "mean": mean}


def station(
    arrivals: dict[str, Any], service: Any, duration: float, workers: int = 1, queue: int | None = None, **rest: Any
) -> Scenario:
    """One queue: the client and the API alone. `rest` goes into the client (`timeout`, `retry`) or the API."""
    client_keys = set(ClientSpec.model_fields)
    client = {"arrivals": arrivals} | {key: value for key, value in rest.items() if key in client_keys}
    api = {"workers": workers, "service": service, "reject_time": 0.0}
    api |= {key: value for key, value in rest.items() if key not in client_keys and key not in ("faults", "tiers")}
    if queue is not None:
        api["queue"] = {"records": queue}
    return Scenario.model_validate(
        {"question": "?", "duration": duration, "client": client, "api": api, "faults": rest.get("faults", ())}
        | rest.get("tiers", {})
    )


def poisson(rate: float) -> dict[str, Any]:
    """Poisson arrivals."""
    return {"kind": "poisson", "rate": rate}


def one_by_one(service: Any, buffer: int = 10**9) -> dict[str, Any]:
    """A producer and broker that are one more single-server queue: batches of one, one in flight, `service` to the ack.
    `buffer` counts the record in service."""
    return {
        "producer": {
            "buffer": {"records": buffer}, "linger": 0.0, "batch": {"records": 1}, "max_in_flight": 1, "max_block": 1e6,
            "delivery_timeout": None, "request_timeout": 1e6,
        },
        "broker": {"ack_latency": service, "partitions": 1},
    }  # fmt: skip
