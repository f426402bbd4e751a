"""Checkpoints: barriers that queue or overtake, expiry and restarts, and what is read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bpsim.engine import Simulation, run
from bpsim.kernel.buffer import Sink
from bpsim.kernel.clock import Clock
from bpsim.keys import Keys
from bpsim.result import Ended, Result
from bpsim.scenario import Scenario
from bpsim.tiers.flink import FlinkJob
from bpsim.tiers.flink.alignment import Ack, Alignment
from bpsim.tiers.flink.alone import AloneResult
from bpsim.tiers.flink.buffers import Barrier, InFlight, Segment, Slice
from bpsim.tiers.flink.gate import Journal
from tests.flink_jobs import CHECKPOINTS, DEBLOAT, UNALIGNED, alone, line, through

SINK = {"name": "sink", "rate_limit": 200.0}
TWO = line(SINK | {"exchange": "hash"}, parallelism=2)
MANY_KEYS = Keys(distinct=1000)
ONE_EXCHANGE = 18.5 * 32768 / 1029 / 200
"""Seconds from a source to a sink of 200 records a second when all buffers between them are full."""


def took(result: AloneResult) -> np.ndarray:
    """Seconds of each completed checkpoint of the second half of a run."""
    done = result.checkpoints["ended"] == Ended.COMPLETED
    return (result.checkpoints["ended_s"] - result.checkpoints["triggered_s"])[done][sum(done) // 2 :]


def test_an_aligned_barrier_takes_as_long_as_the_data_before_it() -> None:
    assert took(alone(line(SINK), CHECKPOINTS, duration=40.0)).mean() == pytest.approx(ONE_EXCHANGE, rel=0.03)


def test_it_takes_that_long_on_every_exchange() -> None:
    job = line({"name": "map", "rate_limit": 200.0}, {"name": "sink", "rate_limit": 190.0})
    result = alone(job, CHECKPOINTS | {"execution.checkpointing.interval": "20 s"}, duration=160.0)
    assert took(result)[-1] == pytest.approx(2 * ONE_EXCHANGE * 200 / 190, rel=0.05)


def test_debloated_it_takes_about_the_target_on_an_exchange() -> None:
    assert took(alone(line(SINK), CHECKPOINTS | DEBLOAT, duration=60.0)).mean() == pytest.approx(1.25, rel=0.15)


def test_an_unaligned_barrier_waits_for_one_record_and_takes_the_data_along() -> None:
    """Flink's own run: 1.26 to 1.47 MB of at most 1.57 MB persisted."""
    result = alone(TWO, CHECKPOINTS | UNALIGNED, 1000.0, 40.0, keys=MANY_KEYS)
    assert (took(result) <= 0.006).all()
    persisted = result.checkpoints["persisted_bytes"][len(took(result)) :]
    assert 1.26e6 < np.median(persisted) < 1.57e6


def test_with_a_timeout_barriers_first_queue_and_then_overtake() -> None:
    options = CHECKPOINTS | UNALIGNED | {"execution.checkpointing.aligned-checkpoint-timeout": "1 s"}
    result = alone(TWO, options, 1000.0, 40.0, keys=MANY_KEYS)
    np.testing.assert_allclose(took(result), 1.0, atol=0.02)
    at_once = alone(TWO, CHECKPOINTS | UNALIGNED, 1000.0, 40.0, keys=MANY_KEYS)
    less = [np.median(r.checkpoints["persisted_bytes"]) for r in (result, at_once)]
    assert less[0] < 0.85 * less[1]


def test_aligned_fast_enough_nothing_overtakes() -> None:
    options = CHECKPOINTS | UNALIGNED | {"execution.checkpointing.aligned-checkpoint-timeout": "5 s"}
    result = alone(line(SINK), options)
    assert (result.checkpoints["persisted_bytes"] == 0).all()


def test_at_least_once_does_not_hold_back_the_faster_channel() -> None:
    """One of two sources is behind; without alignment, what the other sent after its barrier is handled at once."""
    modes = ("EXACTLY_ONCE", "AT_LEAST_ONCE")
    queues = []
    for mode in modes:
        result = alone(TWO, CHECKPOINTS | {"execution.checkpointing.mode": mode}, 1000.0, 60.0, keys=MANY_KEYS)
        queues.append(result.flink["inputQueueSize"][result.flink["vertex"] == "sink"].mean())
    assert queues[0] < 0.9 * queues[1]


def test_a_checkpoint_that_expires_is_followed_by_the_next() -> None:
    options = CHECKPOINTS | {
        "execution.checkpointing.timeout": "2 s",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
    }
    ended = alone(line(SINK), options).checkpoints["ended"]
    assert (ended[:-1] == Ended.EXPIRED).all() and len(ended) > 4


def test_an_expired_checkpoint_leaves_no_channel_blocked() -> None:
    options = CHECKPOINTS | {
        "execution.checkpointing.timeout": "2 s",
        "execution.checkpointing.tolerable-failed-checkpoints": "100",
    }
    result = alone(TWO, options, 1000.0, 60.0, keys=MANY_KEYS)
    assert (result.checkpoints["ended"] == Ended.EXPIRED).sum() > 5
    assert len(result.records["number"]) == pytest.approx(2 * 200 * 60, rel=0.03)


def test_state_takes_time_to_write() -> None:
    job = {"operators": [{"name": "source"}, {"name": "sink", "exchange": "hash", "state": "50 MB"}], "storage": "100 MB/s"}
    result = run(through(job | {"options": CHECKPOINTS}, client={"keys": {"distinct": 5}}))
    table = result.tables["checkpoints"]
    assert (table["state_bytes"] == 50e6).all()
    np.testing.assert_allclose((table["ended_s"] - table["triggered_s"])[:-1], 0.5, atol=0.01)


SLOW_SINK = [{"name": "source"}, {"name": "sink", "service": 0.005, "slot_sharing_group": "b"}]


def failing(**options: str) -> Result:
    """A job whose checkpoints need 3 s and may take 2 s."""
    conf = CHECKPOINTS | {"execution.checkpointing.timeout": "2 s"} | options
    return run(through({"operators": SLOW_SINK, "options": conf, "recovery": 1.0}, rate=300, duration=60.0))


def test_an_expired_checkpoint_restarts_the_job_and_nothing_it_did_counts() -> None:
    result = failing()
    kinds = list(result.tables["marks"]["kind"])
    assert kinds.count("job_fails") > 3 and kinds.count("restart") in (kinds.count("job_fails"), kinds.count("job_fails") - 1)
    records = result.tables["records"]
    assert records["redelivered"].max() >= kinds.count("restart") - 1, "the first records are read again after every restart"


def test_without_attempts_left_it_stays_down() -> None:
    result = failing(**{"restart-strategy.type": "none"})
    assert list(result.tables["marks"]["kind"]) == ["job_fails", "crash"]


def test_failures_that_are_tolerated_restart_nothing() -> None:
    result = failing(**{"execution.checkpointing.tolerable-failed-checkpoints": "1000"})
    assert "crash" not in result.tables["marks"]["kind"]
    assert result.tables["records"]["redelivered"].sum() == 0


def crashed(at: float, **conf: str) -> tuple[Result, Scenario]:
    scenario = through(
        {"operators": SLOW_SINK, "options": CHECKPOINTS | conf},
        rate=300,
        faults=[{"kind": "crash", "target": "flink", "at": at, "lasts": 2.0}],
    )
    return run(scenario), scenario


@pytest.mark.parametrize("at", [14.0, 17.3])
@pytest.mark.parametrize("conf", [{}, UNALIGNED, DEBLOAT])
def test_a_crash_reads_again_what_came_after_the_last_completed_checkpoint(at: float, conf: dict[str, Any]) -> None:
    result, scenario = crashed(at, **conf)
    table, records = result.tables["checkpoints"], result.tables["records"]
    before = (table["ended"] == Ended.COMPLETED) & (table["ended_s"] <= at)
    barrier = table["triggered_s"][before].max()
    again = records["redelivered"] > 0
    hops = result.tables["hops"]
    assert 0 < again.sum() <= 200 * (at - barrier) + 1, "delivered since the barrier at most"
    never = run(scenario.but(faults=())).tables["records"]["ended_s"]
    first_ends = records["ended_s"][~np.isnan(records["ended_s"])]
    assert len(first_ends) < np.sum(~np.isnan(never))
    assert len(hops["tier"]) > 0


def test_the_sooner_the_checkpoint_the_less_is_written_twice() -> None:
    often = crashed(17.3, **{"execution.checkpointing.interval": "1 s"} | UNALIGNED)[0]
    seldom = crashed(17.3, **UNALIGNED)[0]
    twice = [int(result.tables["records"]["redelivered"].sum()) for result in (often, seldom)]
    assert twice[0] < twice[1]


def test_a_job_that_dies_again_and_again_while_it_restores_keeps_every_record() -> None:
    """The ledger is checked by every run; crashes come before the restored records are through."""
    faults = [{"kind": "crash", "target": "flink", "at": 9.3, "lasts": 0.3, "times": 12, "every": 1.1}]
    conf = CHECKPOINTS | UNALIGNED | {"execution.checkpointing.interval": "1500 ms"}
    job = [{"name": "source", "parallelism": 2}, *SLOW_SINK[1:]]
    result = run(through({"operators": job, "options": conf}, rate=300, faults=faults))
    assert (result.tables["checkpoints"]["persisted_bytes"] > 0).any()
    assert result.tables["records"]["redelivered"].max() >= 2


@pytest.mark.parametrize("more", [{}, UNALIGNED])
def test_an_exactly_once_sink_writes_nothing_twice_and_everything_later(more: dict[str, str]) -> None:
    faults = [{"kind": "crash", "target": "flink", "at": at, "lasts": 2.0} for at in (13.0, 17.3, 26.0)]
    job = {"operators": SLOW_SINK, "options": CHECKPOINTS | more}
    once = run(through(job | {"exactly_once_sink": True}, rate=100, faults=faults, duration=60.0))
    least = run(through(job, rate=100, faults=faults, duration=60.0))
    twice = [int(result.tables["records"]["redelivered"].sum()) for result in (once, least)]
    assert twice[0] == 0 < twice[1]
    completed = once.tables["checkpoints"]["ended_s"][once.tables["checkpoints"]["ended"] == Ended.COMPLETED]
    ends = once.tables["records"]["ended_s"]
    assert np.isin(ends[~np.isnan(ends)], completed).all()


@pytest.mark.parametrize(
    ("flink", "said"),
    [
        ({"operators": [{"name": "a"}]}, "a source and a sink"),
        ({"operators": [{"name": "a"}, {"name": "a"}]}, "another operator called a"),
        ({"operators": [{"name": "a"}, {"name": "b", "exchange": "forward", "parallelism": 2}]}, "change of parallelism"),
        ({"operators": [{"name": "a", "exchange": "hash"}, {"name": "b"}]}, "nothing comes before it"),
        ({"operators": [{"name": "a"}, {"name": "b", "chained": False}]}, "only exchange: forward"),
        ({"operators": [{"name": "a"}, {"name": "b"}], "exactly_once_sink": True}, "nothing would ever become visible"),
        ({"operators": [{"name": "a"}, {"name": "b", "exchange": "hash"}]}, "records have no key"),
        (
            {
                "operators": [{"name": "a"}, {"name": "b"}],
                "options": CHECKPOINTS | {"execution.checkpointing.max-concurrent-checkpoints": "2"},
            },
            "one checkpoint at a time",
        ),
    ],
)
def test_a_job_that_cannot_be_is_refused(flink: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        through(flink)


TIMEOUT = UNALIGNED | {"execution.checkpointing.aligned-checkpoint-timeout": "500 ms"}
WIDE = [
    {"name": "source", "parallelism": 2},
    {"name": "map", "parallelism": 2, "exchange": "hash", "service": 0.004, "slot_sharing_group": "b"},
    {"name": "sink", "parallelism": 2, "exchange": "hash", "service": 0.006, "slot_sharing_group": "c"},
]


FAN = [
    {"name": "source"},
    {"name": "map", "parallelism": 8, "exchange": "hash", "service": 0.02, "slot_sharing_group": "b"},
    {"name": "sink", "exchange": "hash", "slot_sharing_group": "c"},
]
"""The source has more in its output than any subtask behind it has received."""


def wide(
    options: dict[str, str],
    storage: str | None = None,
    faults: Sequence[Any] = (),
    job: Sequence[Any] = WIDE,
    rate: float = 450.0,
) -> Scenario:
    """A job that is behind, so that every checkpoint finds much in flight."""
    conf = CHECKPOINTS | options | {"execution.checkpointing.interval": "4 s"}
    flink = {"operators": job, "options": conf, "exactly_once_sink": True} | ({"storage": storage} if storage else {})
    return through(flink, rate=rate, duration=24.0, client={"keys": {"distinct": 100}}, faults=faults)


@pytest.mark.parametrize(("options", "job"), [(UNALIGNED, WIDE), (TIMEOUT, WIDE), (TIMEOUT, FAN)])
def test_what_is_inside_is_kept_by_the_checkpoint_or_follows_its_barrier_and_never_both(
    options: dict[str, str], job: Sequence[Any]
) -> None:
    """Data that follows a barrier may come in before the task has done the record at hand; data that is overtaken in an output
    takes time to write, and is waited for."""
    scenario = wide(options, "400 kB/s" if job is FAN else None, job=job, rate=700 if job is FAN else 450)
    simulation, most = Simulation(scenario.but(duration=16.0)), 0
    for second in range(16):
        simulation.advance(second + 1.0)
        assert isinstance(simulation.flink, FlinkJob)
        kept, again = simulation.flink.in_flight, simulation.flink.uncommitted
        assert again is not None
        after = {record for first, end in again for record in range(first, end)}
        assert len(set(kept)) == len(kept) and not set(kept) & after
        assert {int(row[0]) for row in simulation.flink.graph.unfinished()} <= set(kept) | after
        most = max(most, len(kept))
    assert most > 500


def part(record: int) -> Slice:
    """A buffer with one record."""
    segment = Segment(100)
    segment.size, segment.records = 50, [record]
    return Slice(segment)


class Channel:
    """Two buffers have come in; a third follows the barrier as soon as the channel is let go on."""

    place = (1, 0)

    def __init__(self, first: int) -> None:
        self.journal, self.subpartition = Journal(), self
        self._parts = [part(first), part(first + 1)]
        self._next = first + 2

    @property
    def received(self) -> list[Slice]:
        return list(self._parts)

    def resume(self) -> None:
        self._parts.append(part(self._next))
        self.journal.add(self._parts[-1])

    def overtake(self, checkpoint: int) -> bool:
        return True


def aligning(channels: Sequence[Channel], said: list[Ack]) -> Alignment:
    """Of a task that reads these, and has nothing else."""
    return Alignment(
        Clock(), channels, (), InFlight, lambda checkpoint: InFlight(), lambda then: then(), lambda checkpoint: True,
        lambda checkpoint, ack: said.append(ack),
    )  # type: ignore[arg-type]  # fmt: skip


def test_what_a_channel_sends_on_after_its_barrier_is_not_kept() -> None:
    """Whether the barrier was queued behind the data when that of another channel had overtaken it, or is overtaken by both."""
    for switched in (False, True):
        said: list[Ack] = []
        channels = [Channel(0), Channel(10)]
        alignment = aligning(channels, said)
        if switched:
            alignment.switch(1)
        else:
            alignment.on_overtaking(channels[0], Barrier(1, False, True))  # type: ignore[arg-type]
            alignment.on_barrier(channels[1], Barrier(1, True))  # type: ignore[arg-type]
        assert [ack.persisted.records for ack in said] == [{(1, 0): [0, 1, 10, 11]}]


def test_a_checkpoint_that_is_over_keeps_nothing_more() -> None:
    channel = Channel(0)
    channel.journal.begin(1, [part(7)])
    aligning([channel], []).abort(1)
    channel.resume()
    assert channel.journal.close() == []


def test_in_flight_data_is_restored_in_its_order() -> None:
    crash = [{"kind": "crash", "target": "flink", "at": 12.0, "lasts": 1.0}]
    job = {"operators": SLOW_SINK, "options": CHECKPOINTS | UNALIGNED, "exactly_once_sink": True}
    simulation = Simulation(through(job, 300, 22.0, faults=crash, broker={"partitions": 1}))
    simulation.advance(22.0)
    assert isinstance(simulation.sink, Sink) and simulation.result().tables["checkpoints"]["persisted_bytes"].max() > 5e5
    records = np.frombuffer(simulation.sink.delivered).reshape(-1, 3)[:, 0]
    assert len(records) > 2000 and (np.diff(records) > 0).all()


@pytest.mark.parametrize(("options", "storage"), [(UNALIGNED, None), (TIMEOUT, "400 kB/s")])
def test_exactly_once_holds_over_several_channels(options: dict[str, str], storage: str | None) -> None:
    faults = [{"kind": "crash", "target": "flink", "at": at, "lasts": 1.0} for at in (9.1, 14.4, 19.3)]
    result = run(wide(options, storage, faults))
    records = result.tables["records"]
    assert records["redelivered"].sum() == 0 < (~np.isnan(records["ended_s"])).sum()
    assert (result.tables["checkpoints"]["persisted_bytes"] > 0).any()


def test_in_flight_data_goes_back_to_the_task_it_was_taken_from() -> None:
    simulation = Simulation(wide(UNALIGNED, faults=[{"kind": "crash", "target": "flink", "at": 17.1, "lasts": 1.0}]))
    simulation.advance(18.1)
    assert isinstance(simulation.flink, FlinkJob)
    maps, sinks = (vertex.subtasks for vertex in simulation.flink.graph.vertices[1:])
    assert min(len(subtask.unfinished) for subtask in (*maps, *sinks)) > 40
    assert all(subtask.restoring for subtask in (*maps, *sinks))
    before = len(simulation.result().tables["checkpoints"]["number"])
    while any(subtask.restoring for subtask in (*maps, *sinks)) and simulation.now < 24.0:
        simulation.advance(simulation.now + 0.1)
    assert len(simulation.result().tables["checkpoints"]["number"]) == before, "a job that initialises makes no checkpoint"
    assert 18.4 < simulation.now < 24.0


def test_a_job_that_is_one_task_completes_its_checkpoints() -> None:
    job = {"operators": [{"name": "source"}, {"name": "sink", "exchange": "forward"}], "options": CHECKPOINTS}
    ended = run(through(job)).tables["checkpoints"]["ended"]
    assert (ended[:-1] == Ended.COMPLETED).all() and len(ended) > 4
