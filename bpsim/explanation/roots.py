"""Who started it: from each sign of trouble along the waits to the tier that nobody made wait.

A tier whose servers are blocked waits for the tier after it, so the blame goes there; one that is saturated or late while it
is not blocked has its own reason: a fault that is active there, or more work than it can do. The producer's requests in
flight end with the broker's ack, so what it waits for is the broker; readers make a broker wait only if it holds its
producers back, and make it fall behind in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from bpsim.explanation.causes import Cause, causes
from bpsim.metrics.bookmarks import out_of_memory
from bpsim.metrics.harm import NEAR_S, harm
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.pressure import Kind, Stretch, pressed
from bpsim.metrics.spans import level_at, time_in
from bpsim.result import TIERS, Outcome, Result, Work
from bpsim.scenario import Scenario

STILL = ("stall", "outage", "crash", "partition", "lock", "disk_full", "rebalance")
"""Faults that stop a tier: whoever is there, or before it, waits."""


@dataclass(frozen=True)
class Root:
    """A cause that had consequences: the first of them, and when (seconds)."""

    cause: Cause
    since_s: float


@dataclass
class Signs:
    """What a run shows of trouble, and the causes it might have."""

    scenario: Scenario
    result: Result
    causes: list[Cause] = field(init=False)
    stretches: list[Stretch] = field(init=False)
    harm: list[Stretch] = field(init=False)
    apart: list[Stretch] = field(init=False)
    """Harm so small beside the rest, and so far from any cause, that it is not part of the trouble."""
    occupancy: Occupancy = field(init=False)

    def __post_init__(self) -> None:
        self.causes = [cause for cause in causes(self.scenario) if cause.begin_s < self.result.ended_s]
        self.occupancy = Occupancy(self.result)
        self.stretches = pressed(self.result, self.occupancy)
        found = harm(self.result)
        self.harm, self.apart = found.trouble, found.apart

    def there(self, tier: str, moment: float, *kinds: Kind) -> bool:
        """Whether `tier` is under pressure (of these kinds, or any) about `moment`."""
        return any(
            one.begin_s - NEAR_S <= moment <= one.end_s + NEAR_S and (not kinds or one.kind in kinds)
            for one in self.stretches
            if one.tier == tier
        )

    def active(self, tier: str, moment: float) -> Cause | None:
        """The last cause to begin of those that act on `tier` about `moment`."""
        mine = [
            one for one in self.causes if one.tier == tier and one.begin_s <= moment + NEAR_S and moment <= one.end_s + NEAR_S
        ]
        return mine[-1] if mine else None

    def after(self, tier: str) -> str | None:
        """The next tier of this pipeline."""
        there = self.scenario.tiers
        later = there[there.index(tier) + 1 :]
        return later[0] if later else None


def roots(signs: Signs) -> list[Root]:
    """The causes with consequences, each once, in the order of the first of these."""
    found: dict[str, Root] = {}
    for cause, moment in sorted(_traced(signs), key=lambda pair: pair[1]):
        if cause.path not in found:
            found[cause.path] = Root(cause, max(moment, cause.begin_s))
    return sorted(found.values(), key=lambda root: (root.since_s, root.cause.begin_s))


def _traced(signs: Signs) -> Iterator[tuple[Cause, float]]:
    """Every sign of trouble as (its cause, when)."""
    for one in signs.harm:
        yield _blame_for_users(signs, one.begin_s), one.begin_s
    for one in signs.stretches:
        if one.kind != "saturated":
            yield _of_stretch(signs, one), one.begin_s
        elif signs.active(one.tier, one.begin_s) or signs.active("client", one.begin_s):  # or all are busy by chance
            yield _blame(signs, one.tier, one.begin_s), one.begin_s
    for moment, _ in out_of_memory(signs.result):
        yield _blame(signs, "producer" if signs.there("producer", moment) else "api", moment), moment
    for cause in signs.causes:
        if cause.kind == "fault" and _left_traces(signs, cause):
            yield cause, cause.begin_s


def _of_stretch(signs: Signs, one: Stretch) -> Cause:
    below = signs.after(one.tier)
    late = one.tier == "broker" and one.kind == "behind"
    return _blame(signs, below if late and below is not None else one.tier, one.begin_s)


def _blame_for_users(signs: Signs, moment: float) -> Cause:
    """What made users notice: what the reply waits for, or the API turning them away by its own rules."""
    for tier in ("api", "producer"):
        if signs.there(tier, moment) or signs.active(tier, moment):
            return _blame(signs, tier, moment)
    waits = signs.scenario.api.reply == "on_ack" or signs.there("producer", moment)
    if waits and (cause := signs.active("broker", moment)) is not None:
        return cause
    if all(cause.begin_s > moment for cause in signs.causes) and _turns_away_idle(signs, moment):
        forgets = signs.scenario.producer is not None and signs.scenario.producer.forgets_poll
        return Cause("api", "policy", "producer.forgets_poll" if forgets else "api.admission", moment, np.inf)
    return _own(signs, "api", moment)


def _turns_away_idle(signs: Signs, moment: float) -> bool:
    """Whether most of those that fail are turned away by an API that has workers to spare when they come. What is shed has
    waited in the queue, behind workers that were all busy."""
    attempts, api = signs.result.tables["attempts"], signs.occupancy.tiers["api"]
    failed = (attempts["ended_s"] >= moment) & (attempts["ended_s"] < moment + NEAR_S) & (attempts["outcome"] != Outcome.OK)
    rejected = np.isin(attempts["outcome"], (Outcome.REJECTED, Outcome.UNAVAILABLE)) & (attempts["work"] != Work.SHED)
    spare = level_at(*api.busy, attempts["sent_s"][failed & rejected]) < api.servers
    return bool(failed.any() and spare.sum() > 0.5 * failed.sum())


def _blame(signs: Signs, tier: str, moment: float) -> Cause:
    """The reason for trouble of `tier` at `moment`: that of the tier it waits for, or its own."""
    below = WAITS_FOR[tier](signs, moment)
    return _own(signs, tier, moment) if below is None else _blame(signs, below, moment)


def _own(signs: Signs, tier: str, moment: float) -> Cause:
    """A fault of the tier, or more work than it can do; what comes when neither is there is what is left of the last cause."""
    cause = signs.active(tier, moment) or signs.active("client", moment)
    if cause is not None:
        return cause
    earlier = [one for one in signs.causes if one.begin_s <= moment]
    return earlier[-1] if earlier else Cause("client", "load", "client.arrivals", moment, np.inf)


def _when_blocked(tier: str) -> Callable[[Signs, float], str | None]:
    return lambda signs, moment: signs.after(tier) if signs.there(tier, moment, "blocked") else None


def _broker(signs: Signs, moment: float) -> str | None:
    holds = signs.scenario.broker is not None and signs.scenario.broker.overflow == "hold_producer"
    return signs.after("broker") if holds and signs.there("broker", moment, "blocked", "full") else None


WAITS_FOR: dict[str, Callable[[Signs, float], str | None]] = {
    "client": lambda signs, moment: "api",
    "api": _when_blocked("api"),
    "producer": lambda signs, moment: signs.after("producer"),
    "broker": _broker,
    "consumer": _when_blocked("consumer"),
    "flink": _when_blocked("flink"),
    "writer": lambda signs, moment: None,
}
"""The tier that each waits for at a moment; None: nobody makes it wait."""


def _left_traces(signs: Signs, cause: Cause) -> bool:
    """Whether a fault left facts of its own kind: errors, lost messages, work that stood still."""
    fault = signs.scenario.faults[int(cause.path.rpartition(".")[2])]
    attempts = signs.result.tables["attempts"]
    meanwhile = (attempts["sent_s"] >= cause.begin_s) & (attempts["sent_s"] < cause.end_s)
    if fault.kind == "errors":
        return bool((attempts["outcome"][meanwhile] == Outcome.ERROR).any())
    if fault.kind == "loss":
        gone = (attempts["work"] == Work.VANISHED) | (attempts["outcome"] == Outcome.TIMED_OUT)
        return bool(gone[meanwhile].any())
    span = np.array([cause.begin_s, min(cause.end_s, signs.result.ended_s)])
    if fault.kind not in STILL or span[1] <= span[0]:
        return False
    before = TIERS[TIERS.index(cause.tier) - 1]
    held = [signs.occupancy.tiers[tier] for tier in (cause.tier, before) if tier in signs.occupancy.tiers]
    return any(time_in(*tier.inside, span, tier.weight)[0] > 0 for tier in held)
