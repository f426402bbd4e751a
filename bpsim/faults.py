"""What goes wrong, and when. A fault is a window in which its target's `Conditions` differ; conditions are folded
from the faults that are active, so overlapping faults compose and none has to restore anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bpsim.spec import Spec
from bpsim.units import PositiveSeconds, Seconds

Target = Literal["api", "broker", "consumer", "flink", "writer"]


@dataclass(frozen=True)
class Conditions:
    """How a tier may work at a moment."""

    speed: float = 1.0
    """Work done a second of time: 0.5 makes everything take twice as long, 0 nothing happens."""
    accepting: bool = True
    """Whether the tier takes anything in."""
    load: float = 1.0
    """Factor on the client's arrival rate."""


class _Fault(Spec):
    not_yet: ClassVar[dict[str, str]] = {
        "ramp": "faults begin and end at once; issue 3 brings gradual ones",
        "probability": "every request meets the fault; issue 3 brings partial failures",
    }
    at: Seconds
    lasts: PositiveSeconds

    @property
    def until(self) -> float:
        """The moment it ends, in seconds."""
        return self.at + self.lasts


class Slowdown(_Fault):
    """Everything the target does takes `factor` times as long."""

    kind: Literal["slowdown"] = "slowdown"
    target: Target
    factor: float = Field(gt=0, le=1e6)

    def change(self, now: Conditions) -> Conditions:
        return replace(now, speed=now.speed / self.factor)


class Stall(_Fault):
    """The target's process stands still (a GC pause, SIGSTOP): what arrives waits, work goes on where it was."""

    kind: Literal["stall"] = "stall"
    target: Target

    def change(self, now: Conditions) -> Conditions:
        return replace(now, speed=0.0)


class Outage(_Fault):
    """The target is away: it does nothing and takes nothing in. An API refuses connections; others make upstream wait."""

    kind: Literal["outage"] = "outage"
    target: Target

    def change(self, now: Conditions) -> Conditions:
        return replace(now, speed=0.0, accepting=False)


class Spike(_Fault):
    """The client's arrival rate is `factor` times as high."""

    kind: Literal["spike"] = "spike"
    target: Literal["client"] = "client"
    factor: float = Field(gt=0, le=1e6)

    def change(self, now: Conditions) -> Conditions:
        return replace(now, load=now.load * self.factor)


Fault = Annotated[Slowdown | Stall | Outage | Spike, Field(discriminator="kind")]
"""Every fault."""


def conditions(faults: Iterable[Fault], target: str, now: float) -> Conditions:
    """What `target` works under at `now`: the fold of every active fault. A window holds its first instant, not its last."""
    folded = Conditions()
    for fault in faults:
        if fault.target == target and fault.at <= now < fault.until:
            folded = fault.change(folded)
    return folded


def turning_points(faults: Iterable[Fault], target: str) -> list[float]:
    """The moments at which `target`'s conditions may change, in order."""
    return sorted({moment for fault in faults if fault.target == target for moment in (fault.at, fault.until)})
