"""`bpsim flink-memory`, and the capacity it shows, held to jobs that were measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bpsim.cli.app import app
from bpsim.tiers.flink.capacity import in_flight, managers, remote_channels
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.units import format_seconds

SHIPPED = Path(__file__).parents[1] / "scenarios" / "flink" / "flink-conf.yaml"


def flink_memory(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["flink-memory", *arguments])


def row(output: str, label: str) -> list[str]:
    return next(line.split(label, 1)[1].split() for line in output.splitlines() if label in line)


def test_the_shipped_configuration_is_shown_line_by_line() -> None:
    found = flink_memory(str(SHIPPED))
    assert found.exit_code == 0
    assert found.output.startswith("Flink 1.20 with ")
    assert row(found.output, "process")[2] == "1,811,939,328"
    assert row(found.output, "network ")[2:5] == ["134,217,730", "taskmanager.memory.network.fraction", "0.1"]
    assert row(found.output, "network buffers")[0] == "4,096"
    assert row(found.output, "JVM overhead")[-1] == "jvm-overhead.min"
    assert "Not as it seems" not in found.output


def test_as_json_it_has_the_same_figures() -> None:
    options = (str(SHIPPED), "--version", "2.3", "--rate", "1000/s", "--record-size", "1019B", "--set", "parallelism.default=2")
    found, shown = json.loads(flink_memory(*options, "--json").output), flink_memory(*options).output
    assert (found["schema_version"], found["version"]) == (1, "2.3")
    for part in found["memory"].values():
        assert f"{part['bytes']:,}" in shown and part["from"] in shown
    assert found["in_flight"]["buffers"] == int(row(shown, "together")[0])

    assert f"Back pressured, a record or barrier takes {format_seconds(found['delays']['full_s'])}" in shown
    assert f"Debloating to {format_seconds(found['delays']['target_s'])}" in shown
    assert all(note in shown for note in found["not_as_it_seems"]) and len(found["not_as_it_seems"]) > 1


def test_what_a_version_ignores_is_said_at_its_line() -> None:
    found = flink_memory(str(SHIPPED), "--version", "2.3")
    line = next(n for n, text in enumerate(SHIPPED.read_text().splitlines(), 1) if "buffers-per-channel: 2" in text)
    assert (
        f"flink-conf.yaml:{line}:1: 'taskmanager.network.memory.buffers-per-channel': set, but 2.3 ignores it" in found.output
    )
    assert "Flink 2.3 reads config.yaml only" in found.output


def test_capacity_and_its_latency_at_a_rate() -> None:
    found = flink_memory(str(SHIPPED), "--rate", "1000/s", "--record-size", "1019B", "--set", "parallelism.default=2")
    assert row(found.output, "exclusive") == ["2", "64", "KiB", "128", "ms", "2", "for", "each", "of", "1", "remote", "channel"]
    assert row(found.output, "floating")[:3] == ["8", "256", "KiB"]
    assert row(found.output, "senders' queues")[:3] == ["12", "384", "KiB"]
    assert row(found.output, "together") == ["22", "704", "KiB", "1.41", "s"]
    assert "Debloating to 1 s makes buffers of 22.73 KiB: 1,000 ms through 1 exchange." in found.output


def test_a_target_below_the_smallest_buffer_is_out_of_reach() -> None:
    found = flink_memory(str(SHIPPED), "--rate", "4/s", "--record-size", "100B")
    assert "makes buffers of 256 B" in found.output
    assert "the target of 1 s is out of reach" in found.output


def test_local_channels_have_no_buffers_of_their_own() -> None:
    found = flink_memory(str(SHIPPED), "--set", "taskmanager.numberOfTaskSlots=4")
    assert "exclusive" not in found.output
    assert "every channel is local" in found.output
    assert row(found.output, "together")[:3] == ["16", "512", "KiB"]


def test_a_job_that_needs_more_buffers_than_there_are_is_refused_in_flinks_words() -> None:
    found = flink_memory(str(SHIPPED), "--parallelism", "100", "--set", "taskmanager.numberOfTaskSlots=25")
    assert found.exit_code == 3
    assert "IOException: Insufficient number of network buffers: required" in found.stderr
    assert "currently set to 4096 of 32768 bytes each" in found.stderr
    assert flink_memory(str(SHIPPED), "--parallelism", "100").exit_code == 0, "with one slot each"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "taskmanager:\n  memory:\n    process: {size: 4.5g}",
            "config.yaml:3:21: IllegalConfigurationException: TaskManager memory",
        ),
        ("taskmanager:\n  memory:\n    process: {size: 4.5g}", "did you mean '4608m'?"),
        ("taskmanager.memory.process.size: 4 GiB", "did you mean '4g'?"),
        (
            "taskmanager.memory.process.size: 4g\nexecution.buffer-timeout: 10 us",
            "config.yaml:2:27: IllegalArgumentException: Could",
        ),
        ("parallelism.default: 4", "need to be configured explicitly."),
        ("a: 1\na: 2", "config.yaml:2:1: Error parsing YAML configuration"),
    ],
)
def test_a_wrong_file_gets_flinks_error_with_file_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    found = flink_memory(str(file))
    assert found.exit_code == 3
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--rate", "10"), 2, "has no unit"),
        (("--record-size", "0"), 2, "must be above 0"),
        (("--version", "3.0"), 2, "1.14 to 2.3"),
        (("--set", "nonsense"), 3, "--set nonsense: not of the form key=value"),
        (("--set", "taskmanager.memory.process.size=300m"), 3, "--set taskmanager.memory.process.size=300m: Illegal"),
    ],
)
def test_wrong_arguments_are_said_in_one_line(arguments: tuple[str, ...], code: int, said: str) -> None:
    found = flink_memory(str(SHIPPED), *arguments)
    assert (found.exit_code, said in found.stderr) == (code, True)


def test_the_capacity_is_what_was_measured_to_be_in_flight() -> None:
    """Two exchanges, parallelism 2, every channel remote, no debloating: 360,448 bytes queued and 329,392 at the senders were
    measured before a subtask; flushed slices leave some buffers short of full."""
    found = in_flight(FlinkConf.of("2.3"), 2, remote=2)
    assert (found.exclusive, found.floating, found.output) == (4, 8, 12)
    assert 0.85 * found.bytes < 360_448 + 329_392 <= found.bytes


def test_a_job_is_spread_over_the_slots() -> None:
    conf = FlinkConf.of("2.3", {"taskmanager.numberOfTaskSlots": "2"})
    assert [managers(conf, p) for p in (1, 2, 3, 8)] == [1, 1, 2, 4]
    assert [remote_channels(conf, p) for p in (1, 2, 3, 8)] == [0, 0, 2, 6], "the subtask alone in its TaskManager has most"
