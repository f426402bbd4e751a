"""Who is let in at the API's door. A policy is asked about each attempt and told, perhaps late, how requests ended."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bpsim.policies.limits import Limit, Limiter
from bpsim.policies.rolling import Rolling
from bpsim.spec import Spec
from bpsim.units import PerSecond, PositiveSeconds


class Admitter:
    """Lets everybody in; the others change what they must."""

    random = False
    """Whether `admit` looks at its `u`."""

    def admit(self, now: float, in_flight: int, u: float) -> bool:
        """Whether to let an attempt in, with `in_flight` inside and a uniform `u` in [0, 1)."""
        return True

    def update(self, now: float, rtt: float, queue_delay: float, in_flight: int, well: bool) -> None:
        """A request that was let in has left after `rtt` seconds, `queue_delay` of them in the queue."""

    def observe(self, lag: int) -> None:
        """The consumer was `lag` records behind when it was looked at."""


class TokenBucket(Spec):
    """`rate` requests a second, and up to `burst` at once."""

    kind: Literal["token_bucket"] = "token_bucket"
    rate: PerSecond
    burst: float = Field(default=1.0, ge=1, le=1e9, description="most tokens saved up; it starts full")

    def build(self) -> Admitter:
        """A full bucket."""
        return _TokenBucket(self)


class _TokenBucket(Admitter):
    def __init__(self, spec: TokenBucket) -> None:
        self._spec = spec
        self._tokens, self._filled = spec.burst, 0.0

    def admit(self, now: float, in_flight: int, u: float) -> bool:
        spec = self._spec
        self._tokens = min(spec.burst, self._tokens + (now - self._filled) * spec.rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Concurrency(Spec):
    """At most `limit` requests inside, in the queue or in service. With a `window` the limit learns from averages (Netflix's
    WindowedLimit) and not from every request."""

    kind: Literal["concurrency"] = "concurrency"
    limit: Limit
    window: PositiveSeconds | None = Field(
        default=None, description="minWindowTime: the limit sees one average of so long, once there are 10 samples (1 s there)"
    )

    def build(self) -> Admitter:
        """With the limit at its initial value."""
        return _Concurrency(self.limit.build(), self.window)


class _Concurrency(Admitter):
    SAMPLES = 10
    """A window has at least so many (WindowedLimit's windowSize)."""

    def __init__(self, limiter: Limiter, window: float | None) -> None:
        self.limiter = limiter
        self._window = window
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        self._since, self._count, self._sum, self._most, self._dropped = now, 0, 0.0, 0, False

    def admit(self, now: float, in_flight: int, u: float) -> bool:
        return in_flight < int(self.limiter.limit)

    def update(self, now: float, rtt: float, queue_delay: float, in_flight: int, well: bool) -> None:
        if self._window is None:
            self.limiter.update(rtt, in_flight, not well)
            return
        self._count += 1
        self._sum += rtt
        self._most = max(self._most, in_flight)
        self._dropped |= not well
        if now - self._since >= self._window and self._count >= self.SAMPLES:
            self.limiter.update(self._sum / self._count, self._most, self._dropped)
            self._begin(now)


class EnvoyAdmission(Spec):
    """Envoy's admission control: reject with probability ((n − s / threshold) / (n + 1))^(1 / aggression), for n requests and s
    successes in the last `window` (envoy.extensions.filters.http.admission_control.v3)."""

    kind: Literal["envoy"] = "envoy"
    threshold: float = Field(default=0.95, gt=0, le=1, description="sr_threshold: success rate below which it rejects")
    aggression: float = Field(default=1.0, ge=1, le=100)
    window: PositiveSeconds = Field(default=30.0, description="sampling_window")
    rps_threshold: float = Field(default=0.0, ge=0, le=1e9, description="requests a second below which nobody is rejected")
    most: float = Field(default=0.8, ge=0, le=1, description="max_rejection_probability")

    def build(self) -> Admitter:
        """A filter that has seen nothing."""
        return _EnvoyAdmission(self)


class _EnvoyAdmission(Admitter):
    random = True
    ENDED, WELL, SLOTS = 0, 1, 30

    def __init__(self, spec: EnvoyAdmission) -> None:
        self._spec = spec
        self._window = Rolling(spec.window, self.SLOTS, 2)

    def probability(self, now: float) -> float:
        """Of a rejection."""
        spec = self._spec
        ended, well = self._window.advance(now)
        if ended < spec.rps_threshold * spec.window:
            return 0.0
        share = max(0.0, (ended - well / spec.threshold) / (ended + 1))
        return float(min(spec.most, share ** (1 / spec.aggression)))

    def admit(self, now: float, in_flight: int, u: float) -> bool:
        return u >= self.probability(now)

    def update(self, now: float, rtt: float, queue_delay: float, in_flight: int, well: bool) -> None:
        self._window.add(now, self.ENDED)
        if well:
            self._window.add(now, self.WELL)


class Pid(Spec):
    """A PID controller that keeps the time in the queue at `target` by rejecting at random. The share rejected is
    kp·e + ki·∫e dt + kd·de/dt with e = mean delay / target − 1 over each `interval`; the integral stops where the share is at
    its bounds. Uber's Cinnamon is built so; its constants are not published, these are ours."""

    kind: Literal["pid"] = "pid"
    target: PositiveSeconds = Field(description="time in the queue to aim at")
    interval: PositiveSeconds = 0.5
    kp: float = Field(default=0.1, ge=0, le=1000)
    ki: float = Field(default=0.2, ge=0, le=1000, description="per second")
    kd: float = Field(default=0.0, ge=0, le=1000, description="seconds")
    most: float = Field(default=0.95, ge=0, le=1, description="largest share rejected")

    def build(self) -> Admitter:
        """A controller that rejects nobody yet."""
        return _Pid(self)


class _Pid(Admitter):
    random = True
    WORST = 10.0
    """Errors are cut here, so that one endless wait does not wind the controller up."""

    def __init__(self, spec: Pid) -> None:
        self._spec = spec
        self.share = 0.0
        self._integral = self._before = 0.0
        self._since, self._delays, self._count = 0.0, 0.0, 0

    def admit(self, now: float, in_flight: int, u: float) -> bool:
        return u >= self.share

    def update(self, now: float, rtt: float, queue_delay: float, in_flight: int, well: bool) -> None:
        self._delays += queue_delay
        self._count += 1
        if now - self._since >= self._spec.interval:
            self._control(now - self._since, self._delays / self._count)
            self._since, self._delays, self._count = now, 0.0, 0

    def _control(self, elapsed: float, delay: float) -> None:
        spec = self._spec
        error = min(self.WORST, delay / spec.target - 1)
        integral = self._integral + spec.ki * error * elapsed
        wanted = spec.kp * error + integral + spec.kd * (error - self._before) / elapsed
        self.share = max(0.0, min(spec.most, wanted))
        self._before = error
        self._integral = max(0.0, min(spec.most, integral))


class LagAdmission(Spec):
    """Rejects at random while the consumer lags: nobody up to `above` records of lag, everybody from `all_above` on, and in
    between a share that grows in a straight line. Lag is behind the consumer's position, as its `records-lag` is; an exporter
    that reads the group's commits sees up to a commit interval more. It closes the loop that Kafka leaves open; what it knows
    is as old as the last measurement and `signal_delay`."""

    kind: Literal["lag"] = "lag"
    above: int = Field(ge=0, le=10**12, description="records unread (behind the position) up to which everybody is let in")
    all_above: int = Field(ge=1, le=10**12, description="records of lag from which on nobody is")
    every: PositiveSeconds = Field(default=10.0, description="how often the lag is measured (a lag exporter's interval)")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> LagAdmission:
        if self.all_above <= self.above:
            raise ValueError(f"all_above ({self.all_above}) must be more than above ({self.above})")
        return self

    def build(self) -> Admitter:
        """A policy that has seen no lag."""
        return _LagAdmission(self)


class _LagAdmission(Admitter):
    random = True

    def __init__(self, spec: LagAdmission) -> None:
        self._spec = spec
        self.share = 0.0

    def admit(self, now: float, in_flight: int, u: float) -> bool:
        return u >= self.share

    def observe(self, lag: int) -> None:
        spec = self._spec
        self.share = min(1.0, max(0.0, (lag - spec.above) / (spec.all_above - spec.above)))


Admission = Annotated[TokenBucket | Concurrency | EnvoyAdmission | Pid | LagAdmission, Field(discriminator="kind")]
"""Every admission policy."""
