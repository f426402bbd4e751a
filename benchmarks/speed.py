"""How fast bpsim is, as ratios to bare SimPy measured in the same run: `python benchmarks/speed.py [--write]`.

Measures the naive variant of `scenarios/death_spiral.yaml` (seven tiers, every table recorded), the growth of cost with
the backlog, the memory of a run of two million requests, and the start of `bpsim --help`. `--write` renews
docs/performance.md.
"""

from __future__ import annotations

import platform
import random
import subprocess
import sys
from array import array
from pathlib import Path
from time import perf_counter, process_time

import simpy

from bpsim.distributions import Constant
from bpsim.engine import Simulation
from bpsim.kernel.buffer import Buffer, Sink
from bpsim.kernel.clock import Clock, SmallLane
from bpsim.kernel.stage import Stage
from bpsim.keys import Keys
from bpsim.scenario_file import load
from bpsim.tiers.flink.alone import run_alone
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.graph import OperatorSpec

ROOT = Path(__file__).parents[1]
SPIRAL = ROOT / "scenarios" / "death_spiral.yaml"


def bare_simpy(count: int = 1_000_000) -> float:
    """Timeouts per second among 1000 processes that do nothing else."""
    env, rng = simpy.Environment(), random.Random(1)

    def wait() -> simpy.events.ProcessGenerator:
        while True:
            yield env.timeout(rng.random())

    for _ in range(1000):
        env.process(wait())
    start = perf_counter()
    env.run(until=count / 2000)
    return count / (perf_counter() - start)


def attempts_per_s(*sets: str) -> tuple[float, int]:
    """Attempts per second of wall time, result included, and attempts."""
    simulation = Simulation(load(SPIRAL, sets).variants["naive"], seed=1)
    start = perf_counter()
    simulation.advance(simulation.duration)
    attempts = len(simulation.result().tables["attempts"]["sent_s"])
    return attempts / (perf_counter() - start), attempts


def peak_memory() -> tuple[float, int]:
    """Resident megabytes at most, and requests, of a run of its own with two million requests."""
    code = (
        "from bpsim.engine import run; from bpsim.scenario_file import load; "
        f"f = load(r'{SPIRAL}', ('client.arrivals.rate=6700/s', 'api.workers=430', 'flink.parallelism=32', "
        "'writer.connections=32')); r = run(f.variants['no_retry'], 1); "
        "most = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]; "
        "print(len(r.tables['requests']['born_s']), int(most[0]) * 1024 / 1e6)"
    )
    requests, megabytes = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(megabytes), int(requests)


def flink_job_cost() -> tuple[float, float]:
    """What a Flink job with debloating costs for a record and operator, over what a plain stage costs for a record; and the
    seconds for ten minutes of four subtasks behind three exchanges at 10,000 records a second (of a minute, the start not
    counted twice)."""
    plain, records = min(plain_stage() for _ in range(3))
    short, long = (min(flink_seconds(duration) for _ in range(3)) for duration in (30.0, 60.0))
    each = (long - short) / (30.0 * 10_000) / 4
    return each / (plain / records), short + (long - short) / 30.0 * 570.0


def plain_stage(records: int = 200_000) -> tuple[float, int]:
    """Seconds for so many records through one plain stage of four servers, and their number."""
    clock, rows = Clock(), array("d")
    clock.lane = SmallLane(clock)
    inbox = Buffer(records)
    Stage(clock, 4, inbox, Sink(), lambda record: 0.0003, rows.extend)
    clock.call_at(0.0, lambda: inbox.put(0, records, 0.0))
    start = process_time()
    clock.run(until=records)
    return process_time() - start, records


def flink_seconds(duration: float) -> float:
    """Seconds for a job of a source and three operators, four subtasks each, every channel remote, debloated."""
    conf = FlinkConf.of("2.3", {"taskmanager.network.memory.buffer-debloat.enabled": "true"})
    service, exchanges = Constant(value=0.0003), ("hash", "rebalance", "hash")
    operators = [OperatorSpec(name="source", parallelism=4)] + [
        OperatorSpec(name=f"o{i}", parallelism=4, service=service, exchange=exchange, slot_sharing_group=f"o{i}")
        for i, exchange in enumerate(exchanges)
    ]
    start = process_time()
    run_alone(operators, conf, 10_000.0, 1000, duration, keys=Keys(distinct=1000))
    return process_time() - start


def help_seconds() -> float:
    """The best of five starts of `bpsim --help`."""
    times = []
    for _ in range(5):
        start = perf_counter()
        subprocess.run([sys.executable, "-m", "bpsim", "--help"], capture_output=True, check=True)
        times.append(perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure, print, and with `--write` keep."""
    pairs = [(bare_simpy(), attempts_per_s()[0]) for _ in range(5)]
    bare, spiral = (max(column) for column in zip(*pairs, strict=True))
    lengths = [[attempts_per_s(f"duration={minutes} min") for minutes in (3, 15)] for _ in range(3)]
    (short, few), (long, many) = (max(column) for column in zip(*lengths, strict=True))
    megabytes, requests = peak_memory()
    ratio, minutes = flink_job_cost()
    rows = [
        ("bare SimPy timeouts among 1000 processes", f"{bare:,.0f} /s"),
        ("death spiral, naive variant", f"{spiral:,.0f} attempts/s"),
        ("ratio of the two", f"{spiral / bare:.2f}"),
        (f"the same with {many / few:.1f} times the attempts and backlog, speed ratio", f"{long / short:.2f}"),
        (f"peak memory of a run of {requests:,} requests", f"{megabytes:,.0f} MB"),
        ("a debloated Flink job, for a record and operator, over a plain stage, for a record", f"{ratio:.2f}"),
        ("10 min of 4 subtasks behind 3 exchanges at 10,000 records/s", f"{minutes:.0f} s"),
        ("`bpsim --help`", f"{help_seconds():.2f} s"),
    ]
    lines = ["| measured | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    print("\n".join(lines))
    if "--write" in sys.argv:
        head = (
            "# Performance\n\nWritten by `python benchmarks/speed.py --write`; best of several where it matters. Trust the "
            f"ratios, not the seconds.\n\nPython {platform.python_version()}, {platform.machine()}, one core.\n\n"
        )
        (ROOT / "docs" / "performance.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
