"""What a writer is told to do, and what its database is like."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bpsim.distributions import Constant, Distribution
from bpsim.kernel.bound import Bound
from bpsim.spec import Spec
from bpsim.units import PositiveSeconds, Seconds


class InsertRetry(Spec):
    """What becomes of an insert that failed (no connection in time, or a statement cancelled and rolled back)."""

    max_attempts: int = Field(default=3, ge=1, le=1_000_000, description="tries in all (Flink's JDBC sink: 3 retries)")
    pause: Seconds = Field(default=0.1, description="before the second try; it holds no connection meanwhile")
    factor: float = Field(default=2.0, ge=1, le=1000, description="each further pause is so many times as long")
    exhausted: Literal["drop", "crash"] = Field(
        default="crash",
        description="after the last try: drop the rows and go on (they are lost), or let the consuming process die, which "
        "reads again what it has not committed (written twice)",
    )
    restart_after: PositiveSeconds = Field(default=10.0, description="from such a crash to reading again")

    def wait(self, tries: int) -> float:
        """Seconds before the next try, after `tries` have failed."""
        return min(self.pause * self.factor ** (tries - 1), MOST_PAUSE)


MOST_PAUSE = 3600.0
"""No pause is longer: an hour."""


class WriterSpec(Spec):
    """The database writer: bulk inserts of up to `batch_rows` rows over `connections`; one takes a + b·rows."""

    connections: int = Field(default=1, ge=1, le=100_000, description="size of the connection pool")
    inserters: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="batches in hand at once, each with a connection or waiting for one; default: as many as connections",
    )
    pool_timeout: PositiveSeconds | None = Field(
        default=None, description="longest wait for a connection (HikariCP and SQLAlchemy: 30 s); none waits for ever"
    )
    statement_timeout: PositiveSeconds | None = Field(
        default=None, description="an insert that takes longer, locks included, is rolled back; none (PostgreSQL) never is"
    )
    retry: InsertRetry | None = Field(default=None, description="after a failed insert; default: InsertRetry's defaults")
    batch_rows: int = Field(default=500, ge=1, le=1_000_000)
    batch_interval: Seconds = Field(default=0.0, description="how long the first row waits for the batch to fill")
    per_insert: Distribution = Field(default=Constant(value=0.005), description="a: round trip and commit of one insert")
    per_row: Distribution = Field(default=Constant(value=0.0), description="b: time each row adds")
    contention: float = Field(
        default=0.0, ge=0, le=1, description="σ of the universal scalability law: share of an insert that runs alone"
    )
    coherency: float = Field(
        default=0.0, ge=0, le=1, description="κ of the universal scalability law: cost of each pair of inserts at work"
    )
    hot_row: float = Field(
        default=0.0, ge=0, le=1, description="share of the rows that update one and the same row: their inserts take turns"
    )
    buffer: Bound = Field(default=Bound(records=5000), description="rows waiting for an insert")

    @property
    def in_hand(self) -> int:
        """Batches that may be in hand at once."""
        return self.connections if self.inserters is None else self.inserters

    def slowing(self, at_work: int) -> float:
        """How many times as long an insert takes while `at_work` are at work: 1 + σ(N − 1) + κN(N − 1) (Gunther 2007)."""
        return 1 + self.contention * (at_work - 1) + self.coherency * at_work * (at_work - 1)

    def touches_hot_row(self, rows: int) -> float:
        """Probability that one of so many rows is the hot one."""
        return 1 - (1 - self.hot_row) ** rows

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> WriterSpec:
        if self.in_hand < self.connections:
            unused = self.connections - self.in_hand
            raise ValueError(f"{unused} connections would never be used: there are {self.in_hand} inserters")
        if self.pool_timeout is not None and self.in_hand == self.connections:
            raise ValueError("pool_timeout: nobody waits for a connection, since each inserter has one; raise inserters")
        if self.retry is not None and self.pool_timeout is None and self.statement_timeout is None:
            raise ValueError("retry: no insert ever fails; add statement_timeout or pool_timeout")
        return self
