"""`bpsim flink-memory`: what a Flink configuration means, line by line, and what it lets stand between two operators."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bpsim.cli.app import Exit, fail, say
from bpsim.document import InvalidScenario, Problem, read_text
from bpsim.folder import SCHEMA_VERSION
from bpsim.tiers.flink.capacity import (
    InFlight,
    buffer_wait,
    busiest_manager,
    in_flight,
    managers,
    remote_channels,
)
from bpsim.tiers.flink.conf import BadConf, FlinkConf
from bpsim.tiers.flink.conf_file import ConfFile, default_version, parse_conf
from bpsim.tiers.flink.network import FRAMING
from bpsim.tiers.flink.pools import deploy
from bpsim.tiers.flink.values import FlinkError, shown, version_of
from bpsim.units import format_bytes, format_rate, format_seconds, parse

WIDE = 10_000
TREE = (
    ("process", "process", ""),
    ("jvm_metaspace", "├ JVM metaspace", "|- JVM metaspace"),
    ("jvm_overhead", "├ JVM overhead", "|- JVM overhead"),
    ("flink", "└ Flink", "`- Flink"),
    ("framework_heap", "  ├ framework heap", "   |- framework heap"),
    ("framework_off_heap", "  ├ framework off-heap", "   |- framework off-heap"),
    ("task_heap", "  ├ task heap", "   |- task heap"),
    ("task_off_heap", "  ├ task off-heap", "   |- task off-heap"),
    ("managed", "  ├ managed", "   |- managed"),
    ("network", "  └ network", "   `- network"),
)
"""The parts of a TaskManager's memory: name, how it is shown, and in plain letters."""


@dataclass(frozen=True)
class Load:
    """What the job has to carry: records a second in all, bytes of one."""

    rate: float
    record_bytes: int
    parallelism: int
    exchanges: int

    @property
    def bytes_per_second(self) -> float:
        """To one subtask."""
        return self.rate * (self.record_bytes + FRAMING) / self.parallelism


@dataclass(frozen=True)
class Delays:
    """Seconds that a record or barrier takes through all exchanges: when every buffer is full, on average without back
    pressure, and with debloating, which aims at `target_s` by buffers of `buffer_bytes` (None: it is off)."""

    full_s: float
    waiting_s: float
    target_s: float | None = None
    buffer_bytes: int | None = None
    debloated_s: float | None = None

    @classmethod
    def of(cls, conf: FlinkConf, load: Load, found: InFlight) -> Delays:
        """Of this job under this load."""
        speed = load.bytes_per_second
        full = load.exchanges * found.latency(speed)
        waiting = load.exchanges * buffer_wait(conf, speed, load.parallelism)
        if conf.debloating is None:
            return cls(full, waiting)
        target = conf.debloating.target_ms / 1000
        size = found.debloated_size(speed, target)
        return cls(full, waiting, target, size, load.exchanges * found.buffers * size / speed)


def flink_memory_command(
    path: Path,
    version: str | None,
    sets: tuple[str, ...],
    rate: str,
    record_size: str,
    parallelism: int | None,
    exchanges: int,
    as_json: bool,
) -> None:
    """Print the derivation, the capacity in flight, and what has no effect. Exit code 3 when Flink would not start."""
    try:
        known = version_of(version) if version else default_version(path.name)
        load = float(parse(rate, "rate", bare=False)), int(parse(record_size, "size", bare=False))
    except ValueError as error:
        fail(str(error), Exit.USAGE)
    if min(load) <= 0:
        fail("--rate and --record-size must be above 0", Exit.USAGE)
    try:
        file = parse_conf(read_text(path, str(path)), str(path), known)
        _set(file, sets)
        conf = _resolve(file, known)
    except InvalidScenario as error:
        fail(str(error), Exit.INVALID_SCENARIO)
    wanted = Load(*load, parallelism or conf.parallelism, exchanges)
    if as_json:
        say(json.dumps(_document(file, conf, wanted), indent=1, allow_nan=False))
    else:
        _print(file, conf, wanted)
    _check_that_it_fits(file, conf, wanted)


def _document(file: ConfFile, conf: FlinkConf, load: Load) -> dict[str, Any]:
    """What is printed, as data: bytes, buffers and seconds."""
    found = in_flight(conf, load.parallelism)
    counts = {name: getattr(found, name) for name in ("exclusive", "floating", "output", "buffers", "bytes")}
    return {
        "schema_version": SCHEMA_VERSION,
        "file": file.file,
        "version": shown(conf.version),
        "memory": {name: {"bytes": getattr(conf.memory, name), "from": conf.memory.reasons[name]} for name, _, _ in TREE},
        "network_buffers": {"count": conf.buffers, "bytes_each": conf.segment_size},
        "job": {
            "parallelism": load.parallelism,
            "exchanges": load.exchanges,
            "task_managers": managers(conf, load.parallelism),
        },
        "in_flight": counts,
        "delays": vars(Delays.of(conf, load, found)),
        "not_as_it_seems": _notes(file, conf),
    }


def _notes(file: ConfFile, conf: FlinkConf) -> list[str]:
    """Options that have no effect, or another than it looks, each with its place."""
    remarks = (file.problem(key, f"'{key}': {what}", at_key=True) for key, what in conf.remarks)
    return [str(note) for note in sorted([*file.passed_over, *remarks])]


def _print(file: ConfFile, conf: FlinkConf, load: Load) -> None:
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    for part in _report(file, conf, load, unicode):
        console.print(part, soft_wrap=not isinstance(part, Table))


def _set(file: ConfFile, sets: tuple[str, ...]) -> None:
    for assignment in sets:
        key, equals, text = assignment.partition("=")
        if not equals or not key or not text:
            problem = Problem(
                0, 0, "not of the form key=value", "--set taskmanager.memory.process.size=4g", f"--set {assignment}"
            )
            raise InvalidScenario([problem])
        file.override(key.strip(), text.strip(), f"--set {assignment}")


def _resolve(file: ConfFile, version: tuple[int, int]) -> FlinkConf:
    try:
        return FlinkConf.of(version, file.options, strict=True)
    except BadConf as error:
        raise InvalidScenario(file.faults(error)) from None


def _check_that_it_fits(file: ConfFile, conf: FlinkConf, load: Load) -> None:
    try:
        pool, _ = deploy(conf, busiest_manager(conf, load.parallelism, load.exchanges))
    except FlinkError as error:
        fail(f"{file.file}: {error.story}", Exit.INVALID_SCENARIO)
    if pool.warning:
        say(f"warning: {pool.warning}", sys.stderr)


def _report(file: ConfFile, conf: FlinkConf, load: Load, unicode: bool) -> Iterator[Table | Text]:
    yield Text.assemble((f"Flink {shown(conf.version)}", "bold"), f" with {file.file}\n")
    yield _memory_table(conf, unicode)
    yield Text()
    yield from _in_flight(conf, load, unicode)
    notes = _notes(file, conf)
    if notes:
        yield Text("\nNot as it seems", style="bold")
    for note in notes:
        yield Text(f"  {note}", style="yellow")


def _table(unicode: bool, *heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII, show_edge=False, pad_edge=False)
    table.add_column(heads[0], no_wrap=True)
    for head in heads[1:-1]:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column(heads[-1], overflow="fold")
    return table


def _memory_table(conf: FlinkConf, unicode: bool) -> Table:
    table = _table(unicode, "memory of a TaskManager", "", "bytes", "from")
    for name, label, plain in TREE:
        size = getattr(conf.memory, name)
        style = "bold" if name in ("process", "flink", "network") else ""
        table.add_row(label if unicode else plain or label, binary(size), f"{size:,}", conf.memory.reasons[name], style=style)
    table.add_row("network buffers", "", f"{conf.buffers:,}", f"of {binary(conf.segment_size)} each, allocated at the start")
    return table


def _in_flight(conf: FlinkConf, load: Load, unicode: bool) -> Iterator[Table | Text]:
    parallelism, found = load.parallelism, in_flight(conf, load.parallelism)
    where = f"{_count(managers(conf, parallelism), 'TaskManager')} of {_count(conf.task_slots, 'slot')}"
    yield Text.assemble(
        ("At most in flight", "bold"), f" before one of {_count(parallelism, 'subtask')}, all-to-all, on {where}"
    )
    remote = remote_channels(conf, parallelism)
    table = _table(unicode, "", "buffers", "bytes", f"at {format_rate(load.rate)} of {format_bytes(load.record_bytes)}", "")
    rows = (
        ("exclusive", found.exclusive, f"{conf.buffers_per_channel} for each of {_count(remote, 'remote channel')}"),
        ("floating", found.floating, "shared by those channels"),
        ("in the senders' queues", found.output, f"its part of {_count(parallelism, 'output pool')}"),
        ("together", found.buffers, "" if remote else "every channel is local, and reads the sender's queue"),
    )
    for label, count, which in rows:
        size = count * conf.segment_size
        if count:
            style = "bold" if label == "together" else ""
            table.add_row(label, f"{count:,}", binary(size), format_seconds(size / load.bytes_per_second), which, style=style)
    yield table
    yield Text()
    yield from (Text(line) for line in _latency(conf, load, found))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _latency(conf: FlinkConf, load: Load, found: InFlight) -> Iterator[str]:
    delays, chain = Delays.of(conf, load, found), _count(load.exchanges, "exchange")
    full, wait = format_seconds(delays.full_s), format_seconds(delays.waiting_s)
    yield f"Back pressured, a record or barrier takes {full} through {chain}; otherwise about {wait}, till its buffers leave."
    if delays.target_s is None or delays.buffer_bytes is None or delays.debloated_s is None:
        yield "Buffer debloating is off (taskmanager.network.memory.buffer-debloat.enabled)."
        return
    target, then = format_seconds(delays.target_s), format_seconds(delays.debloated_s)
    yield f"Debloating to {target} makes buffers of {binary(delays.buffer_bytes)}: {then} through {chain}."
    if delays.buffer_bytes == found.smallest:
        yield f"That is the smallest buffer (min-segment-size), so the target of {target} is out of reach."


def binary(size: float) -> str:
    """A size in the binary units that Flink's are: 134217730 -> '128 MiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
