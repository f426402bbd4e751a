"""Flink's configuration: values, options and memory, held to what released versions said (tests/data/flink)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from bpsim.tiers.flink.conf import BadConf, Checkpointing, FlinkConf
from bpsim.tiers.flink.memory import divide
from bpsim.tiers.flink.options import OPTIONS, Reading
from bpsim.tiers.flink.restart import ExponentialDelay, FailureRate, FixedDelay, NoRestart
from bpsim.tiers.flink.values import FlinkError, Version, duration_ns, human, memory_size, version_of

DATA = Path(__file__).parent / "data" / "flink"
DEBLOAT = "taskmanager.network.memory.buffer-debloat"
FAULTY = "Could not parse value '{}' for key '{}'."


def parsed(release: str, kind: str) -> Iterator[tuple[str, str]]:
    for line in (DATA / f"conf-parse-{release}.txt").read_text().splitlines():
        match = re.fullmatch(rf"{kind} '(.*)' (?:-> |ERR )(.*)", line)
        if match:
            yield match[1], match[2]


def nanoseconds(iso: str) -> int:
    hours, minutes, seconds = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", iso).groups()
    whole, _, part = (seconds or "0").partition(".")
    return (int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(whole)) * 10**9 + int(part.ljust(9, "0") or 0)


@pytest.mark.parametrize("release", ["1.20.5", "2.3.0"])
def test_durations_are_read_as_flink_reads_them(release: str) -> None:
    cases = list(parsed(release, "dur"))
    assert len(cases) == 26
    for text, said in cases:
        try:
            assert duration_ns(text, version_of(release)) == nanoseconds(said), text
        except FlinkError as error:
            assert f"{error.java}: {error}" == said


@pytest.mark.parametrize("release", ["1.20.5", "2.3.0"])
def test_memory_sizes_are_read_and_shown_as_in_flink(release: str) -> None:
    cases = list(parsed(release, "mem"))
    assert len(cases) == 20
    for text, said in cases:
        try:
            size = memory_size(text)
            assert [str(size), human(size)] == [said.split(" | ")[0], said.split(" | ")[2]]
        except FlinkError as error:
            assert f"{error.java}: {error}" == said


def memory_cases(release: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    for block in re.split(r"\n(?! {4})", (DATA / f"mem-{release}.txt").read_text().rstrip("\n")):
        head, *lines = block.split("\n")
        yield dict(part.split("=", 1) for part in head.split(" ; ") if part), [line.strip() for line in lines]


def memory_lines(version: Version, options: dict[str, str]) -> list[str]:
    try:
        found = divide(Reading(version, options))
    except FlinkError as error:
        return [f"ERR {error.java}: {error}", *(f"cause: {text}" for text in error.chain[1:])]
    return [
        f"process={found.process} flink={found.flink} taskHeap={found.task_heap} taskOff={found.task_off_heap} "
        f"network={found.network} managed={found.managed} metaspace={found.jvm_metaspace} overhead={found.jvm_overhead} "
        f"buffers={found.buffers}"
    ]


@pytest.mark.parametrize("release", ["1.14.6", "1.17.2", "1.20.5", "2.3.0"])
def test_memory_is_divided_as_flink_divides_it(release: str) -> None:
    cases = list(memory_cases(release))
    assert len(cases) == 39
    for options, said in cases:
        assert memory_lines(version_of(release), options) == said, options


def test_fractions_are_taken_of_every_last_byte() -> None:
    """Beyond 2**53 a product of doubles would be off; Java multiplies BigDecimals."""
    flink = 30_000_000_000_000_026
    found = divide(Reading((2, 3), {"taskmanager.memory.flink.size": str(flink)}))
    with localcontext(prec=60):
        assert found.managed == int(Decimal(flink) * Decimal("0.4000000059604645"))
    assert found.managed != int(flink * 0.4000000059604645)


@pytest.mark.parametrize("release", ["1.14.6", "1.15.4", "1.16.3", "1.17.2", "1.18.1", "1.19.3", "1.20.5", "2.0.2", "2.3.0"])
def test_options_have_the_names_and_defaults_of_every_version(release: str) -> None:
    version = version_of(release)
    rows = [line.split("\t") for line in (DATA / "options.tsv").read_text().splitlines()]
    found = {key: (default, older) for row_release, key, default, older in rows if row_release == release}
    checked = 0
    for option in OPTIONS.values():
        names = option.names_in(version)
        if not names or names[0] not in found:
            assert not set(option.names[max(option.names)]) & set(found) or not names, option.key
            continue
        default, older = found[names[0]]
        mine = option.default(version)
        said = None if default == "null" else default
        if said is not None and said.startswith("PT"):
            assert option.parse(mine, version) == nanoseconds(said) / 1e9, option.key
        elif option.key.endswith("tolerable-failed-checkpoints"):
            assert (mine, said or "0") == ("0", "0")
        else:
            assert (mine and option.parse(mine, version)) == (said and option.parse(said, version)), option.key
        assert set(older.split(",")) - {""} <= set(names), option.key
        checked += 1
    assert checked >= 30, f"{checked=}"


def test_options_that_were_removed_are_constants_in_2_x() -> None:
    names = ("buffers-per-channel", "floating-buffers-per-gate", "max-buffers-per-channel", "max-overdraft-buffers-per-gate")
    options = {f"taskmanager.network.memory.{name}": "4" for name in names}
    old, new = FlinkConf.of("1.20", options), FlinkConf.of("2.3", options)
    mine = ("buffers_per_channel", "floating_buffers_per_gate", "max_buffers_per_channel", "max_overdraft_buffers_per_gate")
    assert [getattr(old, name) for name in mine] == [4, 4, 4, 4]
    assert [getattr(new, name) for name in mine] == [2, 8, 10, 20]
    assert old.remarks == ()
    assert (
        dict(new.remarks)["taskmanager.network.memory.buffers-per-channel"] == "set, but 2.3 ignores it; it is always 2 there"
    )
    assert len(new.remarks) == 4


@pytest.mark.parametrize(
    ("version", "key", "text", "remark"),
    [
        ("1.14", "taskmanager.memory.starting-segment-size", "1kb", "set, but 1.14 ignores it: it came with 2.0"),
        ("1.15", "execution.buffer-timeout.interval", "1s",
         "set, but 1.15 ignores it; here it is called 'execution.buffer-timeout'"),
        ("2.0", "taskmanager.network.netty.num-arenas", "4", "set, but 2.0 ignores it: known from 1.14 to 1.20"),
        ("2.3", "taskmanager.memory.network.size", "1gb",
         "Flink has no such option and ignores it; did you mean 'taskmanager.memory.network.min'?"),
        ("2.3", "taskmanger.memory.process.size", "1gb",
         "Flink has no such option and ignores it; did you mean 'taskmanager.memory.process.size'?"),
        ("2.3", f"{DEBLOAT}.target", "1s", f"has no effect: {DEBLOAT}.enabled is false"),
        ("2.3", "restart-strategy.fixed-delay.delay", "1s", "has no effect: restart-strategy.type is not set"),
        ("2.3", "execution.checkpointing.timeout", "1s", "has no effect without execution.checkpointing.interval"),
    ],
)  # fmt: skip
def test_an_option_without_effect_is_remarked(version: str, key: str, text: str, remark: str) -> None:
    assert FlinkConf.of(version, {key: text}).remarks == ((key, remark),)


@pytest.mark.parametrize("key", ["jobmanager.rpc.address", "state.backend.type", "taskmanager.network.retries", "rest.port"])
def test_options_that_flink_has_and_the_model_does_not_need_pass_in_silence(key: str) -> None:
    assert FlinkConf.of("2.3", {key: "1"}).remarks == ()


@pytest.mark.parametrize(
    ("key", "text", "version", "said"),
    [
        (f"{DEBLOAT}.enabled", "yes", "2.3",
         "Unrecognized option for boolean: yes. Expected either true or false(case insensitive)"),
        (f"{DEBLOAT}.samples", "2.5", "2.3", 'For input string: "2.5"'),
        ("execution.checkpointing.mode", "ONCE", "2.3",
         "Could not parse value for enum class org.apache.flink.streaming.api.CheckpointingMode. "
         "Expected one of: [[EXACTLY_ONCE, AT_LEAST_ONCE]]"),
        ("execution.buffer-timeout", "PT1S", "1.20", "text does not start with a number"),
        ("heartbeat.interval", "10 s", "1.14", 'For input string: "10 s"'),
        ("taskmanager.memory.network.fraction", "10%", "2.3", 'For input string: "10%"'),
    ],
)  # fmt: skip
def test_a_wrong_value_gets_flinks_error(key: str, text: str, version: str, said: str) -> None:
    with pytest.raises(BadConf) as caught:
        FlinkConf.of(version, {key: text})
    (fault,) = caught.value.faults
    assert fault.key == key
    assert fault.root == said
    assert any(line.startswith("Could not parse value") for line in fault.chain)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"taskmanager.memory.segment-size": "2kb"}, "Minimum memory segment size is 4096"),
        ({"taskmanager.memory.segment-size": "5000"}, "Memory segment size must be a power of 2."),
        ({f"{DEBLOAT}.target": "0"}, "must be above 0 ms"),
        ({f"{DEBLOAT}.enabled": "true", "taskmanager.memory.min-segment-size": "2kb"}, "1024 bytes must lie between"),
        ({"execution.checkpointing.interval": "1 ms"}, "must be at least 10 ms"),
        ({"execution.checkpointing.interval": "1 s", "execution.checkpointing.unaligned": "true",
          "execution.checkpointing.max-concurrent-checkpoints": "2"},
         "maxConcurrentCheckpoints can't be > 1 if UnalignedCheckpoints enabled"),
        ({"taskmanager.network.memory.read-buffer.required-per-gate.max": "0"}, "At least one buffer is required"),
        ({"taskmanager.numberOfTaskSlots": "0"}, "must be at least 1"),
        ({"parallelism.default": "-1"}, "must be at least 1"),
        ({"restart-strategy": "sometimes"}, "Unknown restart strategy sometimes."),
    ],
)  # fmt: skip
def test_values_that_flink_refuses_are_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(BadConf, match=re.escape(said)):
        FlinkConf.of("2.3", options)


def test_every_fault_is_reported_at_once() -> None:
    wrong = {"execution.checkpointing.interval": "soon", f"{DEBLOAT}.enabled": "1", "taskmanager.memory.process.size": "4.5g"}
    with pytest.raises(BadConf) as caught:
        FlinkConf.of("2.3", wrong)
    assert {fault.key for fault in caught.value.faults} == set(wrong)


def test_without_a_memory_size_the_size_that_flink_ships_holds_and_strictly_flinks_error() -> None:
    assert FlinkConf.of("2.3").buffers == 4096
    with pytest.raises(BadConf, match="need to be configured explicitly"):
        FlinkConf.of("2.3", {}, strict=True)


def test_an_older_key_is_still_read_and_the_newer_one_wins() -> None:
    old, new = "execution.buffer-timeout", "execution.buffer-timeout.interval"
    assert FlinkConf.of("2.3", {old: "50 ms"}).buffer_timeout == 0.05
    assert FlinkConf.of("2.3", {old: "50 ms", new: "20 ms"}).buffer_timeout == 0.02
    assert FlinkConf.of("1.14", {old: "-1"}).buffer_timeout is None
    assert FlinkConf.of("1.16", {"execution.buffer-timeout.enabled": "false"}).buffer_timeout is None


def test_the_number_of_buffers_of_old_counts_when_nothing_newer_is_set() -> None:
    old = {"taskmanager.network.numberOfBuffers": "3000"}
    assert FlinkConf.of("1.20", old).buffers == 3000
    assert FlinkConf.of("1.20", {**old, "taskmanager.memory.network.max": "1gb"}).buffers == 4096
    assert FlinkConf.of("2.0", old).buffers == 4096


def test_checkpoints_are_off_without_an_interval() -> None:
    assert FlinkConf.of("2.3").checkpointing is None
    assert FlinkConf.of("2.3", {"execution.checkpointing.interval": "1 min"}).checkpointing == Checkpointing(60.0)


def test_unaligned_checkpoints_need_exactly_once() -> None:
    options = {"execution.checkpointing.interval": "1s", "execution.checkpointing.unaligned": "true"}
    on = FlinkConf.of("2.3", {**options, "execution.checkpointing.aligned-checkpoint-timeout": "30 s"}).checkpointing
    assert on == Checkpointing(1.0, unaligned=True, aligned_timeout=30.0)
    off = FlinkConf.of("2.3", {**options, "execution.checkpointing.mode": "at_least_once"})
    assert off.checkpointing == Checkpointing(1.0, exactly_once=False)
    assert [key for key, _ in off.remarks] == ["execution.checkpointing.unaligned"]


def test_the_default_restart_strategy_is_that_of_the_version() -> None:
    checkpoints = {"execution.checkpointing.interval": "1s"}
    assert FlinkConf.of("1.18", checkpoints).restart == FixedDelay(2**31 - 1, 1.0)
    assert FlinkConf.of("1.19", checkpoints).restart == ExponentialDelay(1.0, 60.0, 1.5, 3600.0, 0.1)
    assert FlinkConf.of("2.3").restart == NoRestart()
    chosen = FlinkConf.of("1.18", {**checkpoints, "restart-strategy": "exponentialdelay"}).restart
    assert chosen == ExponentialDelay(1.0, 300.0, 2.0, 3600.0, 0.1, since_restart=False)


def test_a_fixed_delay_restarts_so_many_times() -> None:
    restarts = FixedDelay(2, 5.0).build()
    assert [restarts.on_failure(float(now), 0.5) for now in range(3)] == [5.0, 5.0, None]
    assert NoRestart().build().on_failure(0.0, 0.5) is None


def test_a_failure_rate_gives_up_at_one_failure_more_than_allowed_in_an_interval() -> None:
    restarts = FailureRate(2, 60.0, 1.0).build()
    assert [restarts.on_failure(now, 0.5) for now in (0.0, 30.0, 61.0, 91.0, 92.0)] == [1.0, 1.0, 1.0, 1.0, None]


def test_an_exponential_delay_grows_to_its_maximum_and_starts_anew_after_a_good_run() -> None:
    restarts = ExponentialDelay(1.0, 3.0, 1.5, 100.0, 0.1).build()
    assert [restarts.on_failure(now, 0.5) for now in (0.0, 2.0, 5.0, 10.0, 200.0)] == [1.0, 1.5, 2.25, 3.0, 1.0]


def test_the_jitter_of_an_exponential_delay_has_no_effect_below_the_first_delay_from_1_19_on() -> None:
    assert ExponentialDelay().build().on_failure(0.0, 0.0) == 1.0
    assert ExponentialDelay(since_restart=False).build().on_failure(0.0, 0.0) == pytest.approx(0.9)
    assert ExponentialDelay().build().on_failure(0.0, 1.0) == pytest.approx(1.1)


def test_an_exponential_delay_ends_after_its_attempts() -> None:
    restarts = ExponentialDelay(attempts=1).build()
    assert [restarts.on_failure(now, 0.5) for now in (0.0, 5.0)] == [1.0, None]


@pytest.mark.parametrize("text", ["1.13", "2.4", "two", ""])
def test_versions_whose_rules_are_not_known_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"1\.14 to 2\.3"):
        version_of(text)
