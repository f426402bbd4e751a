"""What goes wrong, and when. A fault is a window in which its target's `Conditions` differ; conditions are folded
from the faults that are active, so overlapping faults compose and none has to restore anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bpsim.spec import Spec
from bpsim.units import BytesPerSecond, PositiveSeconds, Seconds

Target = Literal["api", "broker", "consumer", "flink", "writer"]
STEPS = 20
"""A gradual change is made in so many steps."""


@dataclass(frozen=True)
class Conditions:
    """How a tier may work at a moment."""

    speed: float = 1.0
    """Work done a second of time: 0.5 makes everything take twice as long, 0 nothing happens."""
    accepting: bool = True
    """Whether the tier takes anything in."""
    away: frozenset[int] = frozenset()
    """Brokers that do not answer, while the others do."""
    writable: bool = True
    """Whether a log can be appended to."""
    slow_followers: int = 0
    """How many followers of every partition copy slowly."""
    copying: float = inf
    """Bytes a second that such a follower copies from each leader."""
    reachable: bool = True
    """Whether messages to and from the tier before it arrive."""
    locked: bool = False
    """Whether what begins has to wait for a lock."""
    loss: float = 0.0
    """Share of the messages on that link that vanish."""
    errors: float = 0.0
    """Share of the requests handled that end in an error."""
    load: float = 1.0
    """Factor on the client's arrival rate."""
    work: float = 1.0
    """Factor on the work of every request that begins."""


class _Fault(Spec):
    at: Seconds
    lasts: PositiveSeconds
    times: int = Field(default=1, ge=1, le=10_000, description="how often it comes")
    every: PositiveSeconds | None = Field(default=None, description="from one beginning to the next, when it comes again")

    @model_validator(mode="after")
    def _comes_again_after_a_while(self) -> _Fault:
        if self.times > 1 and (self.every is None or self.every <= self.lasts):
            raise ValueError(f"it comes {self.times} times, so 'every' must say how far apart: more than the {self.lasts:g} s")
        if self.times == 1 and self.every is not None:
            raise ValueError("'every' says how far apart, and it comes once; add times: 2 or more")
        return self

    @property
    def windows(self) -> list[tuple[float, float]]:
        """Begin and end of each time it comes, in seconds."""
        begins = [self.at + k * (self.every or 0.0) for k in range(self.times)]
        return [(begin, begin + self.lasts) for begin in begins]

    @property
    def until(self) -> float:
        """The moment it ends for the last time, in seconds."""
        return self.windows[-1][1]

    def moments(self) -> list[float]:
        """When conditions change."""
        return [moment for window in self.windows for moment in window]

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        """`now` with this fault in it, `elapsed` seconds after it began."""
        raise NotImplementedError


class Slowdown(_Fault):
    """Everything the target does takes `factor` times as long; with a ramp it gets there, or ends, little by little."""

    kind: Literal["slowdown"] = "slowdown"
    target: Target
    factor: float = Field(gt=0, le=1e6)
    ramp_up: Seconds = Field(default=0.0, description="time from normal to `factor`, at the beginning of the window")
    ramp_down: Seconds = Field(default=0.0, description="time from `factor` back to normal, at the end of the window")

    @model_validator(mode="after")
    def _ramps_fit_the_window(self) -> Slowdown:
        if self.ramp_up + self.ramp_down > self.lasts:
            raise ValueError(f"ramps of {self.ramp_up + self.ramp_down:g} s do not fit into {self.lasts:g} s")
        return self

    def moments(self) -> list[float]:
        up = [self.ramp_up * step / STEPS for step in range(STEPS)] if self.ramp_up else []
        down = [self.lasts - self.ramp_down * step / STEPS for step in range(STEPS + 1)] if self.ramp_down else []
        return sorted({*super().moments(), *(begin + step for begin, _ in self.windows for step in (*up, self.ramp_up, *down))})

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        share = 1.0
        if elapsed < self.ramp_up:  # the middle of each step stands for it
            share = (int(elapsed / self.ramp_up * STEPS + 1e-6) + 0.5) / STEPS
        elif self.ramp_down and self.lasts - elapsed <= self.ramp_down * (1 + 1e-9):
            share = (int((self.lasts - elapsed) / self.ramp_down * STEPS - 1e-6) + 0.5) / STEPS
        return replace(now, speed=now.speed / (1 + (self.factor - 1) * share))


class SlowRequests(_Fault):
    """Every request that the API begins meanwhile takes `factor` times as long, to its end (a bad query plan, a slow callee);
    those under way are not touched. A `slowdown` changes the speed of everything at once."""

    kind: Literal["slow_requests"] = "slow_requests"
    target: Literal["api"] = "api"
    factor: float = Field(gt=0, le=1e6)

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, work=now.work * self.factor)


class ColdCache(_Fault):
    """The target's cache is empty: everything takes `factor` times as long at first and warms up in a straight line."""

    kind: Literal["cold_cache"] = "cold_cache"
    target: Target
    factor: float = Field(gt=1, le=1e6)

    def moments(self) -> list[float]:
        return [begin + self.lasts * step / STEPS for begin, _ in self.windows for step in range(STEPS + 1)]

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        left = 1 - (int(elapsed / self.lasts * STEPS + 1e-6) + 0.5) / STEPS
        return replace(now, speed=now.speed / (1 + (self.factor - 1) * left))


class Stall(_Fault):
    """The target's process stands still (a GC pause, SIGSTOP): what arrives waits, work goes on where it was."""

    kind: Literal["stall"] = "stall"
    target: Target

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, speed=0.0)


class Outage(_Fault):
    """The target is away: it does nothing and takes nothing in. An API refuses connections; others make upstream wait."""

    kind: Literal["outage"] = "outage"
    target: Target

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, speed=0.0, accepting=False)


class Crash(_Fault):
    """The target's process dies and is back, cold, when the window ends. An API loses what it had in memory; a consumer
    or Flink job reads again what it had not committed; a database rolls back the inserts under way, which are tried
    again; the broker's log is durable."""

    kind: Literal["crash"] = "crash"
    target: Target

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, speed=0.0, accepting=False)


class Partition(_Fault):
    """The link to the target from the tier before it is cut: nothing passes, either way. Requests and replies vanish
    before the API; connections further down hold what they carry until it heals (TCP retransmits)."""

    kind: Literal["partition"] = "partition"
    target: Literal["api", "broker", "consumer", "writer"]

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, reachable=False)


class Loss(_Fault):
    """A `share` of the requests to the API, and of the replies, vanishes: their clients wait until they time out."""

    kind: Literal["loss"] = "loss"
    target: Literal["api"] = "api"
    share: float = Field(gt=0, le=1)

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, loss=1 - (1 - now.loss) * (1 - self.share))


class Errors(_Fault):
    """A `share` of the requests that the API handles ends in a 500."""

    kind: Literal["errors"] = "errors"
    target: Literal["api"] = "api"
    share: float = Field(gt=0, le=1)

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, errors=1 - (1 - now.errors) * (1 - self.share))


class Lock(_Fault):
    """Somebody holds a lock on the table: inserts that begin take a connection and wait; those under way finish."""

    kind: Literal["lock"] = "lock"
    target: Literal["writer"] = "writer"

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, locked=True)


class DiskFull(_Fault):
    """The broker's disk is full: it refuses to append (producers try again and again), and still lets itself be read."""

    kind: Literal["disk_full"] = "disk_full"
    target: Literal["broker"] = "broker"

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, writable=False)


class LeaderDown(_Fault):
    """One broker of several is away, and nobody takes over the partitions it leads."""

    kind: Literal["leader_down"] = "leader_down"
    target: Literal["broker"] = "broker"
    broker: int = Field(
        default=0, ge=0, le=10_000, description="which one, from 0; it leads partition p if p mod brokers is that"
    )

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, away=now.away | {self.broker})


class SlowFollower(_Fault):
    """Some followers of every partition copy slowly or not at all. With acks=all the producer waits for them until they are in
    sync no more (replica.lag.time.max.ms); then nobody does, unless fewer than min.insync.replicas are left."""

    kind: Literal["slow_follower"] = "slow_follower"
    target: Literal["broker"] = "broker"
    followers: int = Field(default=1, ge=1, le=32_766, description="of every partition")
    throughput: BytesPerSecond | None = Field(
        default=None, description="what each copies from a leader; none: nothing (it is dead, or hangs)"
    )

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        slow = max(now.slow_followers, self.followers)
        return replace(now, slow_followers=slow, copying=min(now.copying, self.throughput or 0.0))


class Rebalance(_Fault):
    """The consumer's group rebalances (eager protocol): what was fetched is handled, nothing is fetched."""

    kind: Literal["rebalance"] = "rebalance"
    target: Literal["consumer"] = "consumer"

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, accepting=False)


class Spike(_Fault):
    """The client's arrival rate is `factor` times as high."""

    kind: Literal["spike"] = "spike"
    target: Literal["client"] = "client"
    factor: float = Field(gt=0, le=1e6)

    def change(self, now: Conditions, elapsed: float) -> Conditions:
        return replace(now, load=now.load * self.factor)


Fault = Annotated[
    Slowdown
    | SlowRequests
    | ColdCache
    | Stall
    | Outage
    | Crash
    | Partition
    | Loss
    | Errors
    | Lock
    | DiskFull
    | LeaderDown
    | SlowFollower
    | Rebalance
    | Spike,
    Field(discriminator="kind"),
]
"""Every fault."""


def conditions(faults: Iterable[Fault], target: str, now: float) -> Conditions:
    """What `target` works under at `now`: the fold of every active fault. A window holds its first instant, not its last."""
    folded = Conditions()
    for fault in faults:
        if fault.target == target:
            for begin, end in fault.windows:
                if begin <= now < end:
                    folded = fault.change(folded, now - begin)
    return folded


def turning_points(faults: Iterable[Fault], target: str) -> list[float]:
    """The moments at which `target`'s conditions may change, in order."""
    return sorted({moment for fault in faults if fault.target == target for moment in fault.moments()})
