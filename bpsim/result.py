"""What a run leaves behind: columnar tables of facts, and where they came from. Conclusions are drawn in `metrics`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Column = np.ndarray[Any, Any]
Table = dict[str, Column]

TIERS = ("client", "api", "producer", "broker", "consumer", "flink", "writer")
"""The seven tiers from the user to the database; a tier's code in a table is its index here."""
CRITICALITIES = ("critical_plus", "critical", "sheddable_plus", "sheddable")
"""How much a request matters (SRE book, ch. 21), the most first; without classes every request is `critical`."""


class Outcome(IntEnum):
    """How an attempt ended for the client; a request's outcome is that of its last attempt."""

    PENDING = 0
    """Still waiting (or, for a request, between two attempts) when the run ended: censored."""
    OK = 1
    """A reply within the client's timeout."""
    REJECTED = 2
    """429: the API's queue, or with `fail_fast` the producer's buffer, was full, or its admission policy said no."""
    TIMED_OUT = 3
    """The client stopped waiting; whatever the server did for it is wasted."""
    REFUSED = 4
    """No connection: the API is down."""
    PRODUCE_FAILED = 5
    """503: the producer's buffer stayed full for `max_block`."""
    RESET = 6
    """The API process died while the client waited."""
    UNAVAILABLE = 7
    """503: turned away, or dropped from the queue, with `on_full: unavailable`, too many connections, CoDel or a more
    critical request."""
    ERROR = 8
    """500: the handler failed."""
    BREAKER_OPEN = 9
    """Not sent: the client's circuit breaker was open."""
    THROTTLED = 10
    """Not sent: the client's adaptive throttle held it back."""
    SUPERSEDED = 11
    """Another attempt of the same hedged request was answered first."""


class Work(IntEnum):
    """What became of an attempt on the server's side."""

    OUTSIDE = 0
    """On the network, or waiting to be let in (`on_full: block`), when the run ended."""
    INSIDE = 1
    """Queued, served, blocked or awaiting the broker's ack when the run ended."""
    DONE = 2
    """Served, and the client was still there to hear it."""
    WASTED = 3
    """Served, but the client had stopped waiting."""
    TURNED_AWAY = 4
    """Rejected or refused at the door, or dropped there without a word: never handled."""
    LEFT = 5
    """The client gave up before it was let in: no work was done."""
    FAILED = 6
    """Served, but it came to nothing: the record could not be produced (429 or 503 after the work), or a 500."""
    LOST = 7
    """Inside the API process when it died."""
    SHED = 8
    """Let in and dropped from the queue unserved: expired, too long in the queue, or pushed out by a more critical one."""
    CANCELLED = 9
    """The client stopped waiting and the server stopped working on it (`cancellation: propagated`)."""
    NOT_SENT = 10
    """Held back by the client itself."""
    VANISHED = 11
    """Lost on the network before it reached the API, or found no place in its backlog of connections."""
    REPLYING = 12
    """Served, and the reply was on the network when the run ended."""


class Fate(IntEnum):
    """Where a record ended. `IN_*`: it was alive in that tier when the run ended."""

    IN_PRODUCER = 0
    IN_BROKER = 1
    IN_CONSUMER = 2
    IN_FLINK = 3
    IN_WRITER = 4
    DELIVERED = 5
    """Left the last tier: committed in the database."""
    EVICTED = 6
    """Deleted by the broker's retention before anybody read it."""
    LOST_IN_CRASH = 7
    """In the producer's memory when the API process died."""
    DROPPED = 8
    """Given up by the writer after its last try: never in the database."""
    EXPIRED = 9
    """Given up by the producer (`delivery_timeout`, `retries`) before the broker had it."""
    REFUSED = 10
    """The broker had no room and said so (`overflow: reject_publish`)."""
    SKIPPED = 11
    """Passed over by a consumer whose position had been deleted (`auto.offset.reset: latest`)."""


class Ended(IntEnum):
    """How a Flink checkpoint ended."""

    IN_PROGRESS = 0
    COMPLETED = 1
    EXPIRED = 2
    """It took longer than `execution.checkpointing.timeout`."""
    ABORTED = 3
    """The job failed meanwhile."""


@dataclass(frozen=True)
class Result:
    """One run: its tables, the scenario that was run, and its provenance.

    Tables are dictionaries of equally long numpy columns; a time is in simulated seconds, a size in bytes, and a
    time that never came is NaN.

    - `requests` (row = request): `born_s` intended first send, `ended_s` final outcome, `outcome` (`Outcome`),
      `attempts` made so far, `criticality` (index in `CRITICALITIES`), `size_bytes`.
    - `attempts` (row = attempt, in order of sending): `request`, `number` (0 = first try), `sent_s`, `admitted_s`
      entered the API, `started_s` a worker took it, `served_s` its handler was done, `freed_s` it had left the process
      (later than `served_s` when producing blocked its worker or the reply waited for the ack; without a `served_s` when
      it was shed, cancelled, lost, or only a rejection), `ended_s` the client's outcome, `outcome` (`Outcome`), `work`
      (`Work`).
    - `records` (row = record, in the order in which batches left the producer): `attempt`, `request`, `produced_s`,
      `size_bytes`, `fate` (`Fate`), `ended_s` (first) delivered, evicted, lost or given up, `redelivered` further times it was
      written to the
      database because a crashed consumer read it again.
    - `hops` (row = records `first` … `first + count − 1` passing one tier together): `tier` (index in `TIERS`), `first`,
      `count`, `size_bytes`, `entered_s`, `started_s` service began, `served_s` service ended, `left_s` room was found
      downstream. A time still to come is NaN. Rows with `count` 0 are work that hands nothing on: the broker's
      appends, which occupy a partition, and the fetches of a consumer that then handles records one by one.
    - `flink` (only with a Flink job; row = subtask and second): `time_s`, `vertex` (operators of the task), `subtask`, then
      Flink's metrics under its own names; times in ms per second sum to 1000, a gauge of what the subtask lacks is NaN.
    - `checkpoints` (only with a Flink job; row = checkpoint): `number`, `triggered_s`, `ended_s`, `ended` (`Ended`), longest
      `start_delay_s` and `alignment_s` of a subtask, `state_bytes`, `persisted_bytes` of in-flight data (unaligned).
    - `side_sinks` (only with such sinks in a Flink job; row = copy of a record that a sink beside the last operator has
      written): `operator`, `record`, `entered_s` the job, `started_s`, `written_s`.
    - `marks` (row = something that happened): `time_s`, `tier`, `kind`, `value`. Kinds: `fault_begins` and `fault_ends`
      (value = number of the fault), `crash` (bytes held) and `restart` of a process, `job_fails` of a Flink job
      (checkpoints that failed in a row), `rescale` of one by its autoscaler (subtasks of its widest task from now on),
      `pause_begins` and `pause_ends` of the consumer (unread records), `evicted` from its group for not polling (number of the
      member), `rebalance` (members in the group), `hold_begins` and `hold_ends` of the broker (unread records), `throttled` by
      a quota (seconds), `disk_full` (number of the broker), `isr_shrinks` and `isr_expands` of its partitions (replicas in
      sync), `offset_reset` of a reader whose next record is gone (records deleted unread), `pool_timeout`,
      `statement_timeout` and `dropped` of the writer (rows).
    """

    scenario: dict[str, Any]
    """The resolved scenario, as plain data."""
    seed: int
    replication: int
    variant: str
    duration_s: float
    """Simulated seconds asked for."""
    ended_s: float
    """Simulated seconds done; less than `duration_s` when the run was interrupted."""
    tables: dict[str, Table]
    provenance: dict[str, Any] = field(default_factory=dict)
    """Versions, wall time and event counts; never part of `fingerprint`."""
    places: dict[str, str] = field(default_factory=dict)
    """Where the scenario's parts stand: path (`faults.0.factor`) -> `file:line`; see `document.places`."""
    overloads: Sequence[tuple[float, float]] = ()
    """When more arrives than can be done, or than in the end: (begin, end) in seconds; see `utilisation.overloads`."""

    def place(self, path: str) -> str:
        """Where `path`, or the nearest part around it that was written down, stands: `file:line`; the path itself for a
        scenario that came from no file."""
        part = path
        while part and part not in self.places:
            part = part.rpartition(".")[0]
        return self.places.get(part, path)

    def frame(self, name: str) -> pd.DataFrame:
        """Table `name` as a DataFrame, codes replaced by their lower-case names."""
        import pandas as pd

        codes: dict[str, type[IntEnum]] = {"outcome": Outcome, "work": Work, "fate": Fate, "ended": Ended}
        columns: dict[str, Any] = dict(self.tables[name])
        for column, enum in codes.items():
            if column in columns:
                names = [member.name.lower() for member in enum]
                columns[column] = pd.Categorical.from_codes(columns[column], categories=pd.Index(names))
        if name in ("hops", "marks"):
            columns["tier"] = pd.Categorical.from_codes(columns["tier"], categories=pd.Index(TIERS))
        return pd.DataFrame(columns)

    def _repr_html_(self) -> str:
        from html import escape

        outcomes = self.tables["requests"]["outcome"]
        counts = {outcome.name.lower().replace("_", " "): int((outcomes == outcome).sum()) for outcome in Outcome}
        ends = "".join(f"<tr><td>{name}</td><td>{number:,}</td></tr>" for name, number in counts.items() if number)
        sizes = ", ".join(f"{name} ({len(next(iter(table.values()), ())):,} rows)" for name, table in self.tables.items())
        head = f"<strong>{escape(self.variant)}</strong>, seed {self.seed}, {self.ended_s:,g} s simulated"
        return f"<div><p>{head}</p><table><tr><th>requests</th><th></th></tr>{ends}</table><p>frame(…): {sizes}</p></div>"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every table: equal for the same scenario and seed, on any machine."""
        digest = hashlib.sha256()
        for name, table in sorted(self.tables.items()):
            for column, values in sorted(table.items()):
                digest.update(f"{name}.{column}:{len(values)};".encode())
                text = values.dtype.kind in "UO"
                plain = "\n".join(values).encode() if text else np.ascontiguousarray(values).tobytes()
                digest.update(plain)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write `result.json` and one Parquet file a table into `folder`, which must exist."""
        for name in self.tables:
            self.frame(name).to_parquet(folder / f"{name}.parquet", index=False)
        head = {key: getattr(self, key) for key in _HEAD}
        (folder / "result.json").write_text(json.dumps(head | {"schema_version": 1}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Result:
        """Read what `save` wrote. Raises `FileNotFoundError` when a file is missing."""
        head = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        tables = {name: _read_table(folder / f"{name}.parquet") for name in TABLES}
        extra = [name for name in OF_A_FLINK_JOB if (folder / f"{name}.parquet").exists()]
        tables |= {name: _read_table(folder / f"{name}.parquet") for name in extra}
        return cls(tables=tables, **{key: head[key] for key in _HEAD if key in head})


TABLES = ("requests", "attempts", "records", "hops", "marks")
OF_A_FLINK_JOB = ("flink", "checkpoints", "side_sinks")
_HEAD = ("scenario", "seed", "replication", "variant", "duration_s", "ended_s", "provenance", "places", "overloads")


def _read_table(path: Path) -> Table:
    import pandas as pd

    frame = pd.read_parquet(path)
    table: Table = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            table[str(name)] = column.cat.codes.to_numpy().astype(np.uint8)
        else:
            table[str(name)] = column.to_numpy()
    return table
