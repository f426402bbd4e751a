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
from pathlib import Path
from time import perf_counter

import simpy

from bpsim.engine import Simulation
from bpsim.scenario_file import load

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
    pairs = [(bare_simpy(), attempts_per_s()[0]) for _ in range(3)]
    bare, spiral = (max(column) for column in zip(*pairs, strict=True))
    short, few = attempts_per_s("duration=3 min")
    long, many = attempts_per_s("duration=15 min")
    megabytes, requests = peak_memory()
    rows = [
        ("bare SimPy timeouts among 1000 processes", f"{bare:,.0f} /s"),
        ("death spiral, naive variant", f"{spiral:,.0f} attempts/s"),
        ("ratio of the two", f"{spiral / bare:.2f}"),
        (f"the same with {many / few:.1f} times the attempts and backlog, speed ratio", f"{long / short:.2f}"),
        (f"peak memory of a run of {requests:,} requests", f"{megabytes:,.0f} MB"),
        ("`bpsim --help`", f"{help_seconds():.2f} s"),
    ]
    lines = ["| measured | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    print("\n".join(lines))
    if "--write" in sys.argv:
        head = (
            "# Performance\n\nWritten by `python benchmarks/speed.py --write`; best of three where it matters. Trust the "
            f"ratios, not the seconds.\n\nPython {platform.python_version()}, {platform.machine()}, one core.\n\n"
        )
        (ROOT / "docs" / "performance.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
