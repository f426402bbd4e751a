"""The API's door: an admission policy that learns, late, how the requests it let in have fared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from bpsim.kernel.clock import Clock
from bpsim.policies.admission import LagAdmission
from bpsim.streams import AttemptDraws, Streams, to_grid
from bpsim.tiers.api.spec import ApiSpec

if TYPE_CHECKING:
    from bpsim.tiers.client import Client

Signal = tuple[float, float, float, int, bool]
"""When it may be known, round trip, time in the queue, requests inside, whether it went well."""


class Door:
    """Asks the policy about each attempt. What it is told, of requests that ended or of the consumer's `lag`, is
    `signal_delay` old."""

    def __init__(self, clock: Clock, spec: ApiSpec, client: Client, streams: Streams, lag: Callable[[], int]) -> None:
        assert spec.admission is not None
        self.policy = spec.admission.build()
        self._clock = clock
        self._lag = lag
        self._client = client
        self._delay = to_grid(spec.signal_delay)
        self._signals: deque[Signal] = deque()
        self._luck = AttemptDraws(streams, "api.admission", lambda rng, n: rng.random(n)) if self.policy.random else None
        if isinstance(spec.admission, LagAdmission):
            self._every = to_grid(spec.admission.every)
            self._measure_lag()

    def _measure_lag(self) -> None:
        now = self._clock.now
        self._clock.call_at(now + self._delay, partial(self.policy.observe, self._lag()))
        self._clock.call_at(now + self._every, self._measure_lag)

    def admits(self, attempt: int, now: float, in_flight: int) -> bool:
        """Whether the attempt may come in."""
        signals = self._signals
        while signals and signals[0][0] <= now:
            self.policy.update(*signals.popleft())
        u = self._luck.at(self._client.request[attempt], self._client.number[attempt]) if self._luck is not None else 0.0
        return bool(self.policy.admit(now, in_flight, u))

    def ended(self, now: float, came: float, began: float, in_flight: int, well: bool) -> None:
        """A request that came at `came` and began at `began` (NaN: never) has left."""
        waited = (began if began == began else now) - came
        if self._delay:
            self._signals.append((now + self._delay, now - came, waited, in_flight, well))
        else:
            self.policy.update(now, now - came, waited, in_flight, well)
