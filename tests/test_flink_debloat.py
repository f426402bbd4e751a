"""Buffer debloating, held to sequences that released versions of Flink computed (tests/data/flink/deb-*.txt)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bpsim.tiers.flink.debloat import BufferDebloater, BufferSizeEma, Debloating, ThroughputMeter, WholeBufferSizeEma

DATA = Path(__file__).parent / "data" / "flink"
CASES = {"A": (100_000, 18), "B": (1_000_000, 18), "C": (10_000_000, 18), "D": (0, 0), "E": (50_000, 100)}
"""What the golden lines were computed with: bytes per second, buffers in use."""
VERSIONS = {"1.20.5": (1, 20), "2.3.0": (2, 3)}


def golden(release: str) -> dict[str, list[str]]:
    lines = (DATA / f"deb-{release}.txt").read_text().splitlines()
    return {line.split(":")[0]: line.split(":", 1)[1].split() for line in lines if ":" in line}


def sequence(release: str, case: str) -> list[str]:
    return next(values for name, values in golden(release).items() if re.match(rf"{case} thr", name))


@pytest.mark.parametrize("release", VERSIONS)
def test_a_buffer_size_shrinks_and_grows_as_in_flink(release: str) -> None:
    lines = golden(release)
    down, up = lines["EMA from max with desired=0"], lines["EMA then desired=inf"]
    ema = (BufferSizeEma if VERSIONS[release] >= (2, 0) else WholeBufferSizeEma)(32768, 256, 32768, 20)
    assert [ema.next(0, 1) for _ in down] == [int(value) for value in down]
    assert [ema.next(2**62, 1) for _ in up] == [int(value) for value in up]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("release", VERSIONS)
def test_a_debloater_announces_what_flink_announces(release: str, case: str) -> None:
    debloater = BufferDebloater(Debloating(VERSIONS[release]))
    found = []
    expected = sequence(release, case)
    for _ in expected:
        size = debloater.recalculate(*CASES[case])
        found.append(f"{'-' if size is None else f'*{size}'}/{debloater.estimated_ms}")
    assert found == expected
    assert len(found) >= 40


def test_1_15_follows_the_rules_of_1_20() -> None:
    old, new = (BufferDebloater(Debloating(version)) for version in ((1, 15), (1, 20)))
    assert [old.recalculate(100_000, 18) for _ in range(60)] == [new.recalculate(100_000, 18) for _ in range(60)]


def test_1_14_takes_the_wish_at_once_and_announces_changes_of_half() -> None:
    debloater = BufferDebloater(Debloating((1, 14), smallest=1024, threshold_percentages=50))
    assert debloater.announced == 32768
    assert debloater.recalculate(200_000, 10) is None, "20,000 is within half of 32,768"
    assert debloater.recalculate(100_000, 10) == 10_000
    assert debloater.recalculate(10**9, 10) == 32768, "the largest is always announced"
    assert debloater.recalculate(0, 10) == 1024, "and so is the smallest"
    assert debloater.estimated_ms == 1024 * 10 * 1000


def test_1_14_smooths_the_throughput_over_its_samples() -> None:
    meter = Debloating((1, 14), samples=3).meter()
    found = []
    for second, received in enumerate((1000, 2000, 0, 501)):
        meter.incoming(second, received)
        found.append(meter.calculate(second + 1))
    assert found == [1000, 1500, 750, 626], "half of each change, cut off, the first taken as it is"


def test_the_first_size_is_the_largest_before_2_0_and_the_starting_size_from_then_on() -> None:
    assert [Debloating(version).first_size for version in ((1, 14), (1, 20), (2, 0), (2, 3))] == [32768, 32768, 1024, 1024]


def test_a_throughput_counts_only_the_time_with_input() -> None:
    meter = ThroughputMeter()
    meter.incoming(10.0, 500)
    meter.pause(10.1)
    meter.pause(10.15)
    meter.incoming(10.4, 500)
    assert meter.calculate(10.5) == 5000
    meter.incoming(10.55, 300)
    assert meter.calculate(10.6) == 3000, "the measurement goes on from the last calculation"


def test_a_throughput_stays_while_nothing_arrives() -> None:
    meter = ThroughputMeter()
    meter.incoming(0.0, 100)
    meter.pause(0.1)
    assert meter.calculate(0.2) == 1000
    assert meter.calculate(0.4) == 1000


def test_waiting_for_output_lowers_the_throughput() -> None:
    meter = ThroughputMeter()
    meter.incoming(0.0, 100)
    meter.calculate(0.2)
    assert meter.calculate(0.4) == 0


def test_a_throughput_is_seen_in_whole_milliseconds() -> None:
    meter = ThroughputMeter()
    meter.incoming(0.0, 10)
    assert meter.calculate(0.0004) == 0, "no millisecond has passed"
    meter.incoming(0.0004, 10)
    assert meter.calculate(0.0031) == 3333
