"""What an API is told to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bpsim.distributions import Distribution
from bpsim.kernel.bound import Bound
from bpsim.policies.admission import Admission
from bpsim.policies.shedding import Shedding
from bpsim.spec import Spec
from bpsim.units import Bytes, PositiveSeconds, Seconds

THREADS = 40
"""Of anyio's default limiter, in which Starlette and FastAPI run `def` endpoints (facts §5.1)."""
ANY_NUMBER = 1_000_000


class WarmUp(Spec):
    """After a restart the process works at `speed` (1 = normal), and gets to 1 in a straight line (JIT, cold caches)."""

    lasts: PositiveSeconds
    speed: float = Field(gt=0, lt=1, description="share of the normal speed at first")


class ApiSpec(Spec):
    """The HTTP API: one process. `workers` handle requests one each; the rest wait in its queue."""

    handler: Literal["sync", "async"] = Field(
        default="sync",
        description="sync: each request takes one of the workers (threads) until its reply; async: any number at a time on "
        "one event loop, which a call that blocks (a full producer with on_full: block, a flush) stops for everybody",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=ANY_NUMBER,
        description="sync: requests handled at the same time; default 40, the threads that anyio gives `def` endpoints",
    )
    service: Distribution = Field(description="time a worker needs for one request, producing apart")
    contention: Seconds = Field(default=0.0, description="time that each request in service adds to one that begins")
    queue: Bound = Field(default=Bound(), description="requests that may wait for a worker")
    connections: int | None = Field(
        default=None,
        ge=1,
        le=ANY_NUMBER,
        description="uvicorn's --limit-concurrency: 503 without Retry-After when so many connections are open, the one that "
        "asks included, or so many requests inside: one less is served, and 1 turns everybody away",
    )
    backlog: int = Field(
        default=2048,
        ge=0,
        le=ANY_NUMBER,
        description="uvicorn's --backlog: connections that wait in the kernel while the process stands still (a stall, a "
        "blocked event loop); more find no answer at all",
    )
    on_full: Literal["reject", "unavailable", "drop", "block"] = Field(
        default="reject",
        description="queue full: reply 429, reply 503, say nothing, or let the client wait for a place (it may give up)",
    )
    order: Literal["fifo", "lifo", "adaptive_lifo", "critical_first"] = Field(
        default="fifo",
        description="who is next: the first or the last to come, the last to come while many wait (adaptive_lifo), or the most "
        "critical (who also takes the place of the least critical when the queue is full)",
    )
    lifo_above: int | None = Field(
        default=None, ge=0, description="adaptive_lifo: last in, first out while more wait; default: as many as workers"
    )
    expired: Literal["serve", "skip"] = Field(
        default="serve",
        description="a request whose client has stopped waiting: serve it all the same, or (the client passes its deadline on) "
        "drop it when its turn comes, and produce nothing for it",
    )
    cancellation: Literal["none", "propagated"] = Field(
        default="none", description="a client that stops waiting: the work goes on (uvicorn), or stops where it is"
    )
    shedding: Shedding | None = Field(default=None, description="what is dropped (503) when its turn comes")
    admission: Admission | None = Field(default=None, description="who is turned away at the door, whatever room there is")
    signal_delay: Seconds = Field(default=0.0, description="age of what the admission policy knows of requests that ended")
    reject_time: Seconds = Field(default=0.001, description="time until the client holds a 429, 503 or refusal")
    reject_cost: Seconds = Field(default=0.0, description="time of a worker that turning one request away takes")
    retry_after: PositiveSeconds | None = Field(default=None, description="Retry-After header of a 429 or 503")
    reply: Literal["on_enqueue", "on_ack", "on_flush"] = Field(
        default="on_enqueue",
        description="reply once the record is in the producer's buffer, after the broker's ack, or (a mistake) after a "
        "flush(), which sends at once and waits for the records of everybody before",
    )
    heap: Bytes | None = Field(
        default=None,
        description="memory of the API process (requests inside and the producer's buffer); at the limit it dies",
    )
    overhead: int = Field(default=0, ge=0, le=10**9, description="bytes that one request or record takes beyond its size")
    restart_after: PositiveSeconds | None = Field(
        default=None, description="from an out-of-memory crash to serving again; none: it stays down"
    )
    warm_up: WarmUp | None = Field(default=None, description="slow start after a restart")

    @property
    def at_once(self) -> int:
        """Requests that may be handled at the same time."""
        if self.handler == "async":
            return ANY_NUMBER
        return THREADS if self.workers is None else self.workers

    @model_validator(mode="after")
    def _an_event_loop_has_no_workers(self) -> ApiSpec:
        if self.handler == "sync":
            return self
        if self.workers is not None:
            raise ValueError("handler: async takes any number at a time; leave out workers, and use admission for a limit")
        for name in ("reject_cost", "contention"):
            if getattr(self, name):
                raise ValueError(f"{name} is time of a worker, and handler: async has none; leave it out or use handler: sync")
        if self.queue != Bound() or self.order != "fifo" or self.shedding is not None:
            raise ValueError("with handler: async nobody waits for a worker, so queue, order and shedding would do nothing")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> ApiSpec:
        if self.lifo_above is not None and self.order != "adaptive_lifo":
            raise ValueError(f"lifo_above belongs to order: adaptive_lifo; with {self.order} it would be ignored")
        if self.signal_delay and self.admission is None:
            raise ValueError("signal_delay is the age of an admission policy's signals, and there is no admission")
        if self.overhead and self.heap is None:
            raise ValueError("overhead counts against the heap, and there is none; add heap")
        if self.restart_after is not None and self.heap is None:
            raise ValueError("restart_after follows an out-of-memory crash, and there is no heap to run out of; add heap")
        return self
