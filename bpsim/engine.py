"""Scenario + seed -> Result, on SimPy."""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np

from bpsim.distributions import Distribution
from bpsim.faults import Conditions, Fault
from bpsim.kernel.buffer import Buffer, Sink
from bpsim.kernel.clock import Clock
from bpsim.kernel.hops import Hops
from bpsim.kernel.ledger import check_attempts
from bpsim.names import the
from bpsim.records import record_table
from bpsim.result import TIERS, Fate, Result, Table
from bpsim.scenario import Scenario
from bpsim.streams import AttemptDraws, Streams, to_grid
from bpsim.tiers.api import Api, inside, outside
from bpsim.tiers.broker import Broker
from bpsim.tiers.client import NEW_REQUEST, Client, attempt_table, request_table
from bpsim.tiers.consumer import Consumer
from bpsim.tiers.flink import Flink, FlinkJob, FlinkSpec
from bpsim.tiers.flink.jobgraph import Surroundings
from bpsim.tiers.flink.keygroups import key_router
from bpsim.tiers.front import Front
from bpsim.tiers.job import Job
from bpsim.tiers.producer import Producer
from bpsim.tiers.writer import InsertRetry, Writer
from bpsim.trouble import Hands, Trouble
from bpsim.utilisation import overloads


class Standstill(AssertionError):
    """Nothing is left to happen, yet records wait: somebody was not told. A bug in the model."""


class Simulation:
    """A run that can be advanced in steps. `run` does it in one."""

    def __init__(self, scenario: Scenario, seed: int = 1, replication: int = 0, variant: str = "base") -> None:
        self.scenario = scenario
        self.seed = seed
        self.replication = replication
        self.variant = variant
        self.clock = Clock()
        self.hops = Hops()
        self.streams = Streams(seed, replication)
        self.duration = to_grid(scenario.duration)
        self._marks: list[tuple[float, int, str, float]] = []
        self._wall = 0.0
        self._build()
        hands = Hands(self._mark, self._crash, self._restart, self._change)
        self.trouble = Trouble(self.clock, scenario.faults, hands)

    def _build(self) -> None:
        """From the end of the pipeline to its beginning, so that each tier knows where to put what it is done with."""
        scenario, clock, row = self.scenario, self.clock, self.hops.row
        size = scenario.client.record_size
        self.sink: Buffer = Sink()
        self.writer = self.flink = self.consumer = self.broker = self.producer = self.job = None
        outbox: Buffer = self.sink
        if scenario.writer is not None:
            row_time = self._demand("writer.row", scenario.writer.per_row)
            self.writer = Writer(clock, scenario.writer, self.streams, size, row_time, row["writer"], self._marker("writer"))
            self.sink, outbox = self.writer.done, self.writer.inbox
        if scenario.flink is not None:
            self.flink = self._flink(scenario.flink, outbox)
            outbox = self.flink.inbox
        if scenario.broker is not None:
            mark = self._marker("broker")
            dedups = scenario.producer is not None and scenario.producer.idempotence
            self.broker = Broker(clock, scenario.broker, self.streams, size, row["broker"], mark, dedups)
        if scenario.consumer is not None and self.broker is not None:
            work = self._demand("consumer.service", scenario.consumer.service)
            mark = self._marker("consumer")
            spec = scenario.consumer if scenario.flink is None else scenario.consumer.but(max_poll_interval=None)  # it assigns
            self.consumer = Consumer(clock, spec, self.streams, self.broker, size, outbox, work, row["consumer"], mark)
            parts = [tier for tier in (self.consumer, self.flink, self.writer) if tier is not None]
            assert isinstance(self.sink, Sink)
            self.job = Job(clock, scenario.consumer, size, self.broker, parts, self.sink, mark)
            self.consumer.on_read, self.consumer.on_lost = self.job.note_read, self.job.lose
            self.consumer.on_given_back = self.job.give_back
            if isinstance(self.flink, FlinkJob):
                self.job.follow(self.flink)
            if self.writer is not None and scenario.writer is not None:
                self.writer.on_exhausted = partial(self.job.die, (scenario.writer.retry or InsertRetry()).restart_after)
        self.client = Client(clock, scenario.client, self.streams, scenario.faults, self.duration)
        if scenario.producer is not None and self.broker is not None:
            request_of, keys = self.client.request.__getitem__, scenario.client.keys
            self.producer = Producer(
                clock, scenario.producer, self.broker, size, self.streams, keys, request_of, row["producer"]
            )
        mark = self._marker("api")
        self.api = Api(clock, scenario.api, self.streams, self.client, self.producer, scenario.producer, mark, self._lag)
        clock.lane = self.front = Front(clock, self.client, self.api)

    def _flink(self, spec: FlinkSpec, outbox: Buffer) -> Flink | FlinkJob:
        clock, scenario, row = self.clock, self.scenario, self.hops.row["flink"]
        size = scenario.client.record_size
        if not spec.operators:
            return Flink(clock, spec, size, outbox, self._demand("flink.service", spec.service), row)
        assert scenario.consumer is not None
        rows, exactly_once = self.hops.rows["flink"], spec.exactly_once_sink
        around = Surroundings(self.streams, size, self._in_flink, outbox, rows, self._router(), exactly_once)
        batch = scenario.consumer.max_poll_records
        assert scenario.broker is not None
        partitions, mark = scenario.broker.partitions, self._marker("flink")
        return FlinkJob(clock, spec, self.streams, batch, around, row, mark, partitions, self._lag)

    def _in_flink(self, name: str, law: Distribution) -> Callable[[int], float] | float:
        return to_grid(law.mean) if law.scv == 0 else self._demand(f"flink.{name}", law)

    def _router(self) -> Callable[[list[int], int], list[int]]:
        """Where the keys of records live: their requests', so that every attempt of one goes the same way."""
        if self.scenario.client.keys is None:
            return lambda records, parallelism: [0] * len(records)
        where = key_router(self.streams, self.scenario.client.keys)

        def route(records: list[int], parallelism: int) -> list[int]:
            assert self.producer is not None
            request, attempt = self.client.request, self.producer.attempt
            return where([request[attempt[record]] for record in records], parallelism)

        return route

    def _demand(self, name: str, law: Any) -> Callable[[int], float]:
        """Work by record: it belongs to the request and attempt the record comes from."""
        draws = AttemptDraws(self.streams, name, law.sample)

        def demand(record: int) -> float:
            assert self.producer is not None
            attempt = self.producer.attempt[record]
            return draws.at(self.client.request[attempt], self.client.number[attempt])

        return demand

    def _lag(self) -> int:
        """Records that the consumer has not read: the end of the log less its position."""
        return self.broker.log.held if self.broker is not None else 0

    def _marker(self, tier: str) -> Callable[[str, float], None]:
        return partial(self._mark, tier)

    def _mark(self, tier: str, kind: str, value: float) -> None:
        self._marks.append((self.clock.now, TIERS.index(tier), kind, value))

    def _crash(self, target: str) -> None:
        if target == "api":
            self.api.life.crash(self.now)
        elif self._is_job(target) and self.job is not None:
            self.job.crash()
        else:
            self._marker(target)("crash", 0.0)
            if target == "writer" and self.writer is not None:
                self.writer.crash()

    def _is_job(self, target: str) -> bool:
        """Whether it dies with everything between broker and database: a Flink job fails over as a whole."""
        return target == "consumer" or (target == "flink" and isinstance(self.flink, FlinkJob))

    def _restart(self, target: str) -> None:
        if target == "api":
            self.api.life.restart()
        elif self._is_job(target) and self.job is not None:
            self.job.restart()
        else:
            self._marker(target)("restart", 0.0)

    def _change(self, target: str, now: Conditions) -> None:
        getattr(self, target).set_conditions(now)
        if target == "api":
            self.client.link.set_conditions(now)

    def apply(self, fault: Fault) -> int:
        """Have `fault` happen in this run, from now on or later; returns its number. The result's scenario lists it, so the
        same run can be had again from the beginning. Raises `pydantic.ValidationError` when it does not fit the scenario,
        and `ValueError` when it is over already or the run was not made for it."""
        if to_grid(fault.at) < self.now:
            raise ValueError(f"it is {self.now:g} s already; a fault cannot begin at {fault.at:g} s")
        cuts = fault.target == "api" and fault.kind in ("partition", "loss")
        if cuts and not self.client.link.acts:
            raise ValueError(f"this run has no network between client and API to take a {fault.kind}; set client.network_delay")
        self.scenario = self.scenario.but(faults=(*self.scenario.faults, fault))
        number = self.trouble.add(fault)
        self._arrive_anew(fault)
        return number

    def lift(self, number: int) -> None:
        """End the fault of that number now. Raises `ValueError` for one that has not begun, or that comes again or with
        ramps."""
        fault = self.trouble.faults[number]
        ramped = fault.kind == "slowdown" and (fault.ramp_up > 0 or fault.ramp_down > 0)
        if self.now <= fault.at or fault.times > 1 or ramped:
            raise ValueError(f"the {fault.kind} of {the(fault.target)} cannot be lifted at {self.now:g} s")
        if fault.until <= self.now:
            return
        shorter = fault.but(lasts=self.now - fault.at)
        faults = [*self.scenario.faults]
        faults[number] = shorter
        self.scenario = self.scenario.but(faults=tuple(faults))
        self.trouble.replace(number, shorter)
        self._arrive_anew(shorter)

    def _arrive_anew(self, changed: Fault) -> None:
        """A spike changes who is still to come; it is the same people, sooner or later."""
        if changed.target == "client":
            self.client.draw_arrivals(self.scenario.faults, self.front.arrived)
            self.front.look_again()

    @property
    def now(self) -> float:
        """Simulated seconds done."""
        return float(self.clock.now)

    @property
    def events(self) -> int:
        """Events processed so far, in the lane and in SimPy's calendar."""
        return self.front.events + self.clock.events

    @property
    def rows(self) -> int:
        """Attempts and records so far: what the tables, and their memory, grow with."""
        return self.client.count + (len(self.producer.attempt) if self.producer is not None else 0)

    def advance(self, until: float) -> None:
        """Simulate up to `until` (at most the scenario's duration)."""
        until = min(to_grid(until), self.duration)
        if until > self.clock.now:
            start = perf_counter()
            gc.disable()  # the model makes millions of small objects and no cycles: a tenth of the time
            try:
                self.clock.run(until=until)
            finally:
                gc.enable()
            self._wall += perf_counter() - start
            self.clock.over = until == self.duration
            self._look_for_a_standstill()

    def _look_for_a_standstill(self) -> None:
        if self.producer is not None:
            self.producer.rest()
        dead = self.consumer is not None and not self.consumer.alive
        if dead or not self.front.idle or not self.clock.nothing_scheduled:
            return
        places = {name: len(tier.unfinished()) for name, tier in self._tiers_with_rows().items()}
        names = [*places, "the end"]
        waits = [f"{name} ({count}) for {names[i + 1]}" for i, (name, count) in enumerate(places.items()) if count]
        if self.scenario.consumer is not None and waits:
            raise Standstill(f"at {self.now:g} s no event is left, yet there wait: {', '.join(waits)}")

    def result(self) -> Result:
        """The tables as they stand now; the ledger is checked. Raises `LedgerError` when it does not balance."""
        if isinstance(self.flink, FlinkJob):
            self.flink.graph.settle()
        requests = request_table(self.client)
        attempts = attempt_table(self.client) | self.api.columns()
        retries = sum(1 for _, row, _ in self.client.orbit if row != NEW_REQUEST)
        check_attempts(attempts, requests, inside(self.api), outside(self.api), self.client.link.travelling(), retries)
        return Result(
            scenario=self.scenario.model_dump(mode="json", exclude_none=True),
            seed=self.seed,
            replication=self.replication,
            variant=self.variant,
            duration_s=self.duration,
            ended_s=self.now,
            tables={
                "requests": requests,
                "attempts": attempts,
                "records": self._records(attempts),
                "hops": self._hops(),
                "marks": self._mark_table(),
                **(self.flink.tables() if isinstance(self.flink, FlinkJob) else {}),
            },
            provenance=self._provenance(len(requests["born_s"]), len(attempts["sent_s"])),
            overloads=[(one.begin_s, one.end_s) for one in overloads(self.scenario)],
        )

    def _tiers_with_rows(self) -> dict[str, Any]:
        names = ("producer", "broker", "consumer", "flink", "writer")
        return {name: tier for name in names if (tier := getattr(self, name)) is not None}

    def _hops(self) -> Table:
        unfinished = {name: tier.unfinished() for name, tier in self._tiers_with_rows().items()}
        return self.hops.table(self.scenario.client.record_size, unfinished)

    def _records(self, attempts: Table) -> Table:
        assert isinstance(self.sink, Sink)
        further = {Fate.IN_WRITER: self.writer, Fate.IN_FLINK: self.flink, Fate.IN_CONSUMER: self.consumer}
        inside = {fate: tier.unfinished() for fate, tier in further.items() if tier is not None}
        table = record_table(self.producer, self.broker, self.job, self.sink, inside)
        size = np.broadcast_to(np.int64(self.scenario.client.record_size), len(table["attempt"]))
        return table | {"request": attempts["request"][table["attempt"]], "size_bytes": size}

    def _mark_table(self) -> Table:
        marks = sorted(self._marks, key=lambda mark: mark[0])
        return {
            "time_s": np.array([mark[0] for mark in marks], dtype=np.float64),
            "tier": np.array([mark[1] for mark in marks], dtype=np.uint8),
            "kind": np.array([mark[2] for mark in marks], dtype=object),
            "value": np.array([mark[3] for mark in marks], dtype=np.float64),
        }

    def _provenance(self, requests: int, attempts: int) -> dict[str, Any]:
        packages = {name: version(name) for name in ("bpsim", "numpy", "simpy")}
        return {
            "versions": packages | {"python": platform.python_version()},
            "engine": "simpy",
            "events": self.events,
            "requests": requests,
            "attempts": attempts,
            "wall_s": self._wall,
        }


def run(scenario: Scenario, seed: int = 1, replication: int = 0, variant: str = "base") -> Result:
    """Run `scenario` to its end. The same scenario, seed and replication give the same tables on any machine."""
    simulation = Simulation(scenario, seed, replication, variant)
    simulation.advance(scenario.duration)
    return simulation.result()
