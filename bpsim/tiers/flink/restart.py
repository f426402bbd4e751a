"""Flink's restart strategies: how long to wait before the job runs again, or that it does not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bpsim.tiers.flink.options import OPTIONS, RESTART, Reading
from bpsim.tiers.flink.values import LARGEST_INT


class Restarts:
    """Told of every failure of a job; answers with the delay before the next run, None when the job has failed for good."""

    def on_failure(self, now: float, draw: float) -> float | None:
        """Seconds to wait after the failure at `now`; `draw` is uniform on [0, 1), for the jitter."""
        raise NotImplementedError


@dataclass(frozen=True)
class NoRestart:
    """`none`: the first failure is the end."""

    def build(self) -> Restarts:
        """For one run."""
        return _Fixed(FixedDelay(0, 0.0))


@dataclass(frozen=True)
class FixedDelay:
    """`fixed-delay`: so many times, after the same delay."""

    attempts: int
    delay: float

    def build(self) -> Restarts:
        """For one run."""
        return _Fixed(self)


class _Fixed(Restarts):
    def __init__(self, strategy: FixedDelay) -> None:
        self._strategy = strategy
        self._count = 0

    def on_failure(self, now: float, draw: float) -> float | None:
        self._count += 1
        return self._strategy.delay if self._count <= self._strategy.attempts else None


@dataclass(frozen=True)
class FailureRate:
    """`failure-rate`: as long as not more than `most` failures fall into an interval."""

    most: int
    interval: float
    delay: float

    def build(self) -> Restarts:
        """For one run."""
        return _Rate(self)


class _Rate(Restarts):
    """FailureRateRestartBackoffTimeStrategy keeps the last `most` + 1 times; it gives up when the first of them is recent."""

    def __init__(self, strategy: FailureRate) -> None:
        self._strategy = strategy
        self._times: deque[float] = deque(maxlen=strategy.most + 1)

    def on_failure(self, now: float, draw: float) -> float | None:
        self._times.append(now)
        too_many = len(self._times) > self._strategy.most and now - self._times[0] <= self._strategy.interval
        return None if too_many else self._strategy.delay


@dataclass(frozen=True)
class ExponentialDelay:
    """`exponential-delay`: a delay that grows with every failure, and starts anew after a long enough run without one."""

    initial: float = 1.0
    most: float = 60.0
    multiplier: float = 1.5
    reset_after: float = 3600.0
    jitter: float = 0.1
    attempts: int = LARGEST_INT
    """attempts-before-reset-backoff"""
    since_restart: bool = True
    """Whether the run is measured from the restart (1.19 on), or from the failure, less the delay."""

    def build(self) -> Restarts:
        """For one run."""
        return _Exponential(self)


class _Exponential(Restarts):
    """ExponentialDelayRestartBackoffTimeStrategy."""

    def __init__(self, strategy: ExponentialDelay) -> None:
        self._strategy = strategy
        self._up_since = 0.0
        self._count = 0

    def on_failure(self, now: float, draw: float) -> float | None:
        strategy = self._strategy
        if now - self._up_since >= strategy.reset_after:
            self._count = 0
        plain = min(strategy.initial * strategy.multiplier ** min(self._count, 1000), LONGEST)
        if not strategy.since_restart:
            plain = min(plain, strategy.most)
        delay = min(plain * (1 + strategy.jitter * (2 * draw - 1)), strategy.most)
        if strategy.since_restart:
            delay = max(strategy.initial, delay)
        self._up_since = now + (delay if strategy.since_restart else plain)
        self._count += 1
        return delay if self._count <= strategy.attempts else None


LONGEST = 1e12


RestartStrategy = NoRestart | FixedDelay | FailureRate | ExponentialDelay
"""Every restart strategy."""
SPELLINGS = {"off": "none", "disable": "none", "fixeddelay": "fixed-delay", "failurerate": "failure-rate",
             "exponentialdelay": "exponential-delay"}  # fmt: skip


def restart_strategy(read: Reading, with_checkpoints: bool) -> RestartStrategy:
    """What `restart-strategy` says; without it there is no restart without checkpoints, and one after another with them."""
    given = read(f"{RESTART}.type")
    kind = given if given is None else SPELLINGS.get(given.lower(), given.lower())
    for other in READERS:
        if other != kind:
            keys = [key for key in OPTIONS if key.startswith(f"{RESTART}.{other}.")]
            read.note(keys, f"has no effect: {RESTART}.type is {kind or 'not set'}")
    if kind is None:
        if not with_checkpoints:
            return NoRestart()
        return ExponentialDelay() if read.version >= (1, 19) else FixedDelay(LARGEST_INT, 1.0)
    if kind not in READERS:
        read.refuse(f"{RESTART}.type", f"Unknown restart strategy {given}.")
        return NoRestart()
    return READERS[kind](read)


def _fixed_delay(read: Reading) -> FixedDelay:
    key = f"{RESTART}.fixed-delay"
    return FixedDelay(read(f"{key}.attempts"), read(f"{key}.delay"))


def _failure_rate(read: Reading) -> FailureRate:
    key = f"{RESTART}.failure-rate"
    names = ("max-failures-per-interval", "failure-rate-interval", "delay")
    most, interval, delay = (read(f"{key}.{name}") for name in names)
    if most <= 0:
        wrong = "Maximum number of restart attempts per time unit must be greater than 0."
        read.refuse(f"{key}.max-failures-per-interval", wrong)
    return FailureRate(most, interval, delay)


def _exponential_delay(read: Reading) -> ExponentialDelay:
    key = f"{RESTART}.exponential-delay"
    names = ("initial-backoff", "max-backoff", "backoff-multiplier", "reset-backoff-threshold", "jitter-factor",
             "attempts-before-reset-backoff")  # fmt: skip
    initial, most, multiplier, reset, jitter, attempts = (read(f"{key}.{name}") for name in names)
    checks = {
        "initial-backoff": (initial <= most, "Initial backoff cannot be higher than maximum backoff."),
        "backoff-multiplier": (multiplier > 1, "Backoff multiplier must be greater than 1."),
        "jitter-factor": (0 <= jitter <= 1, "Jitter factor must be >= 0 and <= 1."),
        "attempts-before-reset-backoff": (attempts >= 1, "The attemptsBeforeResetBackoff must be at least 1."),
    }
    for name, (right, text) in checks.items():
        if not right:
            read.refuse(f"{key}.{name}", text)
    return ExponentialDelay(initial, most, multiplier, reset, jitter, attempts, read.version >= (1, 19))


READERS: dict[str, Callable[[Reading], RestartStrategy]] = {
    "none": lambda read: NoRestart(),
    "fixed-delay": _fixed_delay,
    "failure-rate": _failure_rate,
    "exponential-delay": _exponential_delay,
}
"""The kinds of `restart-strategy.type`."""
