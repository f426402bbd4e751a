"""Who the clients are, and what they are told to do."""

from __future__ import annotations

from pydantic import Field, model_validator

from bpsim.arrivals import Arrivals
from bpsim.distributions import Distribution
from bpsim.keys import Keys
from bpsim.policies.breaker import Breaker
from bpsim.policies.retry import NoRetry, Retry
from bpsim.policies.throttle import Throttle
from bpsim.result import CRITICALITIES
from bpsim.spec import Spec
from bpsim.units import Bytes, PositiveSeconds


class Hedge(Spec):
    """A further attempt when no reply has come for a while; the first reply counts (Dean and Barroso, "The Tail at
    Scale"). A failed attempt is followed at once by the next (gRPC proposal A6)."""

    after: PositiveSeconds = Field(description="from sending one attempt to sending the next")
    max_attempts: int = Field(default=2, ge=2, le=10, description="attempts in all, the first one included")


class Criticality(Spec):
    """Shares of the requests by how much they matter (SRE book, ch. 21); they sum to 1."""

    critical_plus: float = Field(default=0.0, ge=0, le=1)
    critical: float = Field(default=0.0, ge=0, le=1)
    sheddable_plus: float = Field(default=0.0, ge=0, le=1)
    sheddable: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Criticality:
        total = sum(self.shares)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares sum to {total:g}, not to 1")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """In the order of `CRITICALITIES`."""
        return tuple(getattr(self, name) for name in CRITICALITIES)


class ClientSpec(Spec):
    """Who sends requests, how long they wait for a reply, and what they do when there is none."""

    arrivals: Arrivals
    timeout: PositiveSeconds | None = Field(
        default=None, description="how long a client waits for a reply, counted from sending; none waits for ever"
    )
    deadline: PositiveSeconds | None = Field(
        default=None, description="time a request may take with all its retries; nobody waits or tries beyond it"
    )
    retry: Retry = NoRetry()
    hedge: Hedge | None = None
    instances: int = Field(default=1, ge=1, le=100_000, description="client processes, each with its own budget and breaker")
    breaker: Breaker | None = None
    throttle: Throttle | None = None
    criticality: Criticality | None = Field(default=None, description="none: every request is `critical`")
    keys: Keys | None = Field(default=None, description="the key of each request's record; none: records have no key")
    network_delay: Distribution | None = Field(default=None, description="each way between client and API; none is no time")
    record_size: Bytes = Field(default=1000, description="bytes of one request, and of the record it becomes")

    @model_validator(mode="after")
    def _hedges_are_no_retries(self) -> ClientSpec:
        if self.hedge is not None and self.retry.kind != "none":
            raise ValueError("a client hedges or retries, not both (gRPC proposal A6); leave out hedge or retry")
        return self
