"""How large the queue is, how fast the broker, and how many requests the limiter lets through."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields

PREFIX = "FAIL_FAST_"


@dataclass(frozen=True)
class Settings:
    """With one request in flight a broker `broker_rtt_ms` away takes `batch_messages` per round trip, and no more."""

    queue_messages: int = 12
    batch_messages: int = 5
    linger_ms: int = 5
    broker_rtt_ms: int = 250
    limit_per_s: float = 40.0
    limit_burst: int = 10

    @property
    def capacity_per_s(self) -> float:
        """Messages a second that the broker takes."""
        return 1000 * self.batch_messages / self.broker_rtt_ms

    def environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {PREFIX + name.upper(): str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_environment(cls) -> Settings:
        """What the environment says, and the defaults for the rest."""
        kinds = {field.name: float if field.name == "limit_per_s" else int for field in fields(cls)}
        said = {name: os.environ.get(PREFIX + name.upper()) for name in kinds}
        return cls(**{name: kinds[name](text) for name, text in said.items() if text is not None})
