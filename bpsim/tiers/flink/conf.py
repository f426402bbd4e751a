"""A Flink configuration as one version understands it: what a user's file or inline keys mean, with every default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from bpsim.tiers.flink.debloat import Debloating
from bpsim.tiers.flink.memory import FLINK, MANAGED, PROCESS, TASK_HEAP, Memory, divide, segment_size
from bpsim.tiers.flink.options import CHECKPOINTING, DEBLOAT, MEMORY, NETWORK, Reading, remarks
from bpsim.tiers.flink.restart import RestartStrategy, restart_strategy
from bpsim.tiers.flink.values import LARGEST_INT, FlinkError, Version, version_of

SHIPPED_SIZE = "1728m"
"""taskmanager.memory.process.size in the file that Flink ships."""


class BadConf(ValueError):
    """A configuration with which Flink would not start. `faults` has all that is wrong."""

    def __init__(self, faults: list[FlinkError]) -> None:
        self.faults = faults
        super().__init__("; ".join(": ".join(dict.fromkeys((str(fault), fault.root))) for fault in faults))


@dataclass(frozen=True)
class Checkpointing:
    """`execution.checkpointing.*` of a job that makes checkpoints. Seconds."""

    interval: float
    timeout: float = 600.0
    exactly_once: bool = True
    """Whether channels whose barrier has come are blocked until all have (mode)."""
    max_concurrent: int = 1
    min_pause: float = 0.0
    tolerable_failures: int = 0
    unaligned: bool = False
    """Whether barriers may overtake data: at once, or `aligned_timeout` after the checkpoint was triggered."""
    aligned_timeout: float = 0.0


@dataclass(frozen=True)
class FlinkConf:
    """One TaskManager's and job's options for one version, resolved: bytes, seconds, counts.

    `FlinkConf.of("2.3", {"taskmanager.memory.segment-size": "16kb"})` reads options by Flink's own rules and raises `BadConf`
    with Flink's messages; without arguments it is version 2.3 with every default. What was removed in 2.x has the constant
    that took its place, so the attributes mean the same for every version. `remarks` is what a user should know
    about options that have no effect, by key.
    """

    version: Version
    memory: Memory
    """How the TaskManager's memory is divided; `memory.buffers` is the number of network buffers."""
    segment_size: int
    """Bytes of a network buffer."""
    smallest_segment: int
    """Bytes below which debloating does not shrink a buffer."""
    buffers_per_channel: int
    """Exclusive buffers of a remote input channel."""
    floating_buffers_per_gate: int
    max_buffers_per_channel: int
    """Buffers of one subpartition beyond which its task is back pressured."""
    hard_channel_limit: bool
    """Up to 1.15 the limit blocks in the middle of a record; later only before the next."""
    max_overdraft_buffers_per_gate: int
    required_buffers_per_gate: int
    """read-buffer.required-per-gate.max: a gate with more channels than this has fewer exclusive buffers."""
    buffers_request_timeout: float
    buffer_timeout: float | None
    """execution.buffer-timeout: 0 flushes after every record, None never."""
    debloating: Debloating | None
    """None when it is off."""
    capacity_covers_record: bool
    """1.15 on: a debloated buffer is at least as large as the record that opens it."""
    enlarges_last_buffer: bool
    """1.19 on (FLINK-33077): without a free buffer, the last is enlarged beyond the debloated size."""
    checkpointing: Checkpointing | None
    """None without execution.checkpointing.interval."""
    restart: RestartStrategy
    heartbeat_interval: float
    heartbeat_timeout: float
    source_queue_capacity: int
    """Batches between a source's fetcher and its task (source.reader.element.queue.capacity)."""
    parallelism: int
    """parallelism.default"""
    task_slots: int
    remarks: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, version: str | Version = "2.3", options: Mapping[str, str] | None = None, strict: bool = False) -> FlinkConf:
        """Resolve options (Flink's keys and texts). Raises `BadConf`, and `ValueError` for a version that is not known.

        Without a memory size, which Flink would refuse (and `strict` does), that of the file it ships is taken.
        """
        known = version_of(version) if isinstance(version, str) else version
        return _Resolution(known, dict(options or {}), strict).resolve()

    @cached_property
    def buffers(self) -> int:
        """Network buffers of the TaskManager."""
        return self.memory.buffers


class _Resolution:
    """One configuration on its way to a `FlinkConf`."""

    def __init__(self, version: Version, options: dict[str, str], strict: bool) -> None:
        self.version = version
        notes = list(remarks(version, options))
        if not strict and not has_memory_size(version, options):
            options = {**options, PROCESS: SHIPPED_SIZE}
        self.read = Reading(version, options, notes=notes)

    def resolve(self) -> FlinkConf:
        read = self.read
        conf = {
            "segment_size": (segment := self._segment_size()),
            "smallest_segment": read(f"{MEMORY}.min-segment-size"),
            "buffers_per_channel": read(f"{NETWORK}.buffers-per-channel"),
            "floating_buffers_per_gate": read(f"{NETWORK}.floating-buffers-per-gate"),
            "max_buffers_per_channel": read(f"{NETWORK}.max-buffers-per-channel"),
            "max_overdraft_buffers_per_gate": read(f"{NETWORK}.max-overdraft-buffers-per-gate"),
            "required_buffers_per_gate": read(REQUIRED) or LARGEST_INT,
            "buffers_request_timeout": read(f"{NETWORK}.buffers-request-timeout"),
            "buffer_timeout": self._buffer_timeout(),
            "debloating": self._debloating(segment),
            "checkpointing": (checkpoints := self._checkpointing()),
            "restart": restart_strategy(read, checkpoints is not None),
            "heartbeat_interval": read("heartbeat.interval"),
            "heartbeat_timeout": read("heartbeat.timeout"),
            "source_queue_capacity": read("source.reader.element.queue.capacity"),
            "parallelism": read("parallelism.default"),
            "task_slots": read("taskmanager.numberOfTaskSlots"),
        }
        for key, (least, text) in LEAST.items():
            if (value := read(key)) is not None and value < least:
                read.refuse(key, text)
        memory = self._memory()
        if read.faults or memory is None:
            raise BadConf(read.faults)
        return FlinkConf(
            version=self.version,
            memory=memory,
            hard_channel_limit=self.version < (1, 16),
            capacity_covers_record=self.version >= (1, 15),
            enlarges_last_buffer=self.version >= (1, 19),
            remarks=tuple(read.notes),
            **conf,
        )

    def _segment_size(self) -> int:
        try:
            return segment_size(self.read)
        except FlinkError as error:
            self.read.fail(error, error.key)
            return 32 * 1024

    def _memory(self) -> Memory | None:
        try:
            return divide(self.read)
        except FlinkError as error:
            self.read.fail(error, error.key)
            return None

    def _buffer_timeout(self) -> float | None:
        interval: float = self.read("execution.buffer-timeout.interval")
        return interval if self.read("execution.buffer-timeout.enabled") and interval >= 0 else None

    def _debloating(self, segment: int) -> Debloating | None:
        read = self.read
        found = Debloating(
            version=self.version,
            largest=segment,
            smallest=read(f"{MEMORY}.min-segment-size"),
            start=read(f"{MEMORY}.starting-segment-size"),
            target_ms=int(read(f"{DEBLOAT}.target") * 1000),
            period=read(f"{DEBLOAT}.period"),
            samples=read(f"{DEBLOAT}.samples"),
            threshold_percentages=read(f"{DEBLOAT}.threshold-percentages"),
        )
        for key, wrong in _impossible(found):
            read.refuse(key, wrong)
        if read(f"{DEBLOAT}.enabled"):
            return found
        names = ("target", "period", "samples", "threshold-percentages")
        read.note([f"{DEBLOAT}.{name}" for name in names], f"has no effect: {DEBLOAT}.enabled is false")
        return None

    def _checkpointing(self) -> Checkpointing | None:
        read = self.read
        names = ("timeout", "max-concurrent-checkpoints", "min-pause", "tolerable-failed-checkpoints", "unaligned.enabled",
                 "aligned-checkpoint-timeout", "mode")  # fmt: skip
        interval = read(f"{CHECKPOINTING}.interval")
        timeout, concurrent, pause, failures, unaligned, aligned, mode = (read(f"{CHECKPOINTING}.{name}") for name in names)
        if interval is None:
            read.note([f"{CHECKPOINTING}.{name}" for name in names], f"has no effect without {CHECKPOINTING}.interval")
            return None
        if unaligned and mode != "EXACTLY_ONCE":
            read.note([f"{CHECKPOINTING}.unaligned.enabled"], "has no effect: unaligned needs mode EXACTLY_ONCE")
            unaligned = False
        elif not unaligned:
            why = f"has no effect without {CHECKPOINTING}.unaligned"
            read.note([f"{CHECKPOINTING}.aligned-checkpoint-timeout"], why)
        found = Checkpointing(interval, timeout, mode == "EXACTLY_ONCE", concurrent, pause, failures, unaligned, aligned)
        for name, wrong in _impossible_checkpoints(found):
            read.refuse(f"{CHECKPOINTING}.{name}", wrong)
        return found


REQUIRED = f"{NETWORK}.read-buffer.required-per-gate.max"
LEAST: dict[str, tuple[int, str]] = {
    "parallelism.default": (1, "must be at least 1"),
    "taskmanager.numberOfTaskSlots": (1, "must be at least 1"),
    "source.reader.element.queue.capacity": (1, "must be at least 1"),
    REQUIRED: (1, f"At least one buffer is required for each gate, please increase the value of {REQUIRED}."),
    f"{NETWORK}.buffers-per-channel": (0, "must be at least 0"),
    f"{NETWORK}.floating-buffers-per-gate": (0, "must be at least 0"),
    f"{NETWORK}.max-buffers-per-channel": (1, "must be at least 1"),
    f"{NETWORK}.max-overdraft-buffers-per-gate": (0, "must be at least 0"),
}
"""The smallest value that makes sense, and what is said of smaller ones."""


def has_memory_size(version: Version, options: Mapping[str, str]) -> bool:
    """Whether there is a size from which Flink can derive the others."""
    read = Reading(version, options)
    return read.is_set(PROCESS) or read.is_set(FLINK) or (read.is_set(TASK_HEAP) and read.is_set(MANAGED))


def _impossible(found: Debloating) -> Iterator[tuple[str, str]]:
    """What Flink refuses with a bare IllegalArgumentException: (key, in words)."""
    if found.target_ms <= 0:
        yield f"{DEBLOAT}.target", "must be above 0 ms"
    if found.samples <= 0:
        yield f"{DEBLOAT}.samples", "must be above 0"
    if not 0 < found.smallest <= found.largest:
        limits = f"{found.smallest} bytes must lie between 1 and segment-size, {found.largest} bytes"
        yield f"{MEMORY}.min-segment-size", limits
    elif found.version >= (2, 0) and not found.smallest <= found.start <= found.largest:
        limits = f"min-segment-size and segment-size, {found.smallest} and {found.largest}"
        yield f"{MEMORY}.starting-segment-size", f"{found.start} bytes must lie between {limits}"


def _impossible_checkpoints(found: Checkpointing) -> Iterator[tuple[str, str]]:
    """What `CheckpointCoordinatorConfiguration` refuses: (the option, in words)."""
    for name, time in (("interval", found.interval), ("timeout", found.timeout)):
        if time < 0.01:
            yield name, "must be at least 10 ms"
    if found.max_concurrent < 1:
        yield "max-concurrent-checkpoints", "must be at least 1"
    if found.tolerable_failures < 0:
        yield "tolerable-failed-checkpoints", "must be at least 0"
    if found.unaligned and found.max_concurrent > 1:
        yield "max-concurrent-checkpoints", "maxConcurrentCheckpoints can't be > 1 if UnalignedCheckpoints enabled"
