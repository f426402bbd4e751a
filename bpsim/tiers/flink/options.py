"""Flink's options: what each is called in which version, how it is read, what it is when nobody sets it, and which of those
in a file a version does not look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from bpsim.tiers.flink.values import (
    FlinkError,
    Version,
    boolean,
    constant,
    fraction,
    memory_size,
    milliseconds,
    real,
    seconds,
    seconds_or_never,
    shown,
    version_of,
    whole,
    word,
)

Parser = Callable[[str, Version], Any]
MODE = constant("org.apache.flink.streaming.api.CheckpointingMode", "EXACTLY_ONCE", "AT_LEAST_ONCE")


@dataclass(frozen=True)
class Option:
    """One option. What changed between versions stands in mappings from the version that changed it."""

    key: str
    parsers: Mapping[Version, Parser]
    defaults: Mapping[Version, str | None]
    names: Mapping[Version, tuple[str, ...]]
    """The key and, after it, the older ones that are still read; none where the option does not exist."""

    def names_in(self, version: Version) -> tuple[str, ...]:
        """Under which keys it may be set."""
        return _of(self.names, version)

    def default(self, version: Version) -> str | None:
        """What holds when it is not set, or cannot be."""
        return _of(self.defaults, version)

    @property
    def in_words(self) -> str:
        """Its default in every version, and where it exists."""
        changes = [f"{text or 'none'} from {shown(since)}" for since, text in self.defaults.items()]
        default = next(iter(self.defaults.values())) or "none" if len(changes) == 1 else ", ".join(changes)
        names = dict(self.names)
        begins = [
            f"; came with {shown(since)}" for since in names if names[since] and since > min(names) and not names[min(names)]
        ]
        ends = [f"; removed in {shown(since)}" for since in names if not names[since] and since > min(names)]
        return f"default {default}{''.join(begins[:1])}{''.join(ends)}"

    def parse(self, text: str, version: Version) -> Any:
        """The value that `text` means. Raises `FlinkError`."""
        try:
            return _of(self.parsers, version)(text, version)
        except FlinkError as error:
            raise FlinkError(f"Could not parse value '{text}' for key '{self.key}'.", "IllegalArgumentException") from error


T = TypeVar("T")


def _of(changes: Mapping[Version, T], version: Version) -> T:
    return changes[max(since for since in changes if since <= version)]


FIRST: Version = (1, 14)
Changing = Mapping[Version, Any]


def _option(
    key: str, parser: Parser | Changing, default: str | Changing | None, *older: str, names: Changing | None = None
) -> Option:
    return Option(
        key,
        parser if isinstance(parser, Mapping) else {FIRST: parser},
        default if isinstance(default, Mapping) else {FIRST: default},
        names or {FIRST: (key, *older)},
    )


MEMORY, NETWORK, DEBLOAT = "taskmanager.memory", "taskmanager.network.memory", "taskmanager.network.memory.buffer-debloat"
CHECKPOINTING, RESTART = "execution.checkpointing", "restart-strategy"
MILLISECONDS_BEFORE_1_20 = {FIRST: milliseconds, (1, 20): seconds}


def _gone_in_2(key: str, defaults: Changing, since: Version = FIRST) -> Option:
    """An option that 2.0 replaced by a constant."""
    absent: Changing = {} if since == FIRST else {FIRST: ()}
    return _option(key, whole, defaults, names={**absent, since: (key,), (2, 0): ()})


REQUEST_TIMEOUT = f"{NETWORK}.buffers-request-timeout", f"{NETWORK}.exclusive-buffers-request-timeout-ms"
OPTIONS: dict[str, Option] = {
    option.key: option
    for option in (
        _option("taskmanager.numberOfTaskSlots", whole, "1"),
        _option("parallelism.default", whole, "1"),
        _option(f"{MEMORY}.process.size", memory_size, None),
        _option(f"{MEMORY}.flink.size", memory_size, None),
        _option(f"{MEMORY}.framework.heap.size", memory_size, "128mb"),
        _option(f"{MEMORY}.framework.off-heap.size", memory_size, "128mb"),
        _option(f"{MEMORY}.task.heap.size", memory_size, None),
        _option(f"{MEMORY}.task.off-heap.size", memory_size, "0"),
        _option(f"{MEMORY}.managed.size", memory_size, None, f"{MEMORY}.size"),
        _option(f"{MEMORY}.managed.fraction", fraction, "0.4"),
        _option(f"{MEMORY}.network.fraction", fraction, "0.1", f"{NETWORK}.fraction"),
        _option(f"{MEMORY}.network.min", memory_size, "64mb", f"{NETWORK}.min"),
        _option(f"{MEMORY}.network.max", memory_size, {FIRST: "1gb", (1, 17): str(2**63 - 1)}, f"{NETWORK}.max"),
        _option(f"{MEMORY}.jvm-metaspace.size", memory_size, "256mb"),
        _option(f"{MEMORY}.jvm-overhead.fraction", fraction, "0.1"),
        _option(f"{MEMORY}.jvm-overhead.min", memory_size, "192mb"),
        _option(f"{MEMORY}.jvm-overhead.max", memory_size, "1gb"),
        _option(f"{MEMORY}.segment-size", memory_size, "32kb"),
        _option(f"{MEMORY}.min-segment-size", memory_size, {FIRST: "1kb", (1, 15): "256b"}),
        _option(
            f"{MEMORY}.starting-segment-size",
            memory_size,
            "1kb",
            names={FIRST: (), (2, 0): (f"{MEMORY}.starting-segment-size",)},
        ),
        _option(
            "taskmanager.network.numberOfBuffers",
            whole,
            "2048",
            names={FIRST: ("taskmanager.network.numberOfBuffers",), (2, 0): ()},
        ),
        _gone_in_2(f"{NETWORK}.buffers-per-channel", {FIRST: "2"}),
        _gone_in_2(f"{NETWORK}.floating-buffers-per-gate", {FIRST: "8"}),
        _gone_in_2(f"{NETWORK}.max-buffers-per-channel", {FIRST: "10"}),
        _gone_in_2(f"{NETWORK}.max-overdraft-buffers-per-gate", {FIRST: "0", (1, 16): "5", (2, 0): "20"}, (1, 16)),
        _option(
            f"{NETWORK}.read-buffer.required-per-gate.max",
            whole,
            None,
            names={FIRST: (), (1, 17): (f"{NETWORK}.read-buffer.required-per-gate.max",)},
        ),
        _option(
            REQUEST_TIMEOUT[0],
            MILLISECONDS_BEFORE_1_20,
            "30000",
            names={FIRST: REQUEST_TIMEOUT[1:], (1, 20): REQUEST_TIMEOUT},
        ),
        _option(f"{DEBLOAT}.enabled", boolean, "false"),
        _option(f"{DEBLOAT}.target", seconds, "1s"),
        _option(f"{DEBLOAT}.period", seconds, {FIRST: "500ms", (1, 15): "200ms"}),
        _option(f"{DEBLOAT}.samples", whole, "20"),
        _option(f"{DEBLOAT}.threshold-percentages", whole, {FIRST: "50", (1, 15): "25"}),
        _option(
            "execution.buffer-timeout.enabled",
            boolean,
            "true",
            names={FIRST: (), (1, 16): ("execution.buffer-timeout.enabled",)},
        ),
        _option(
            "execution.buffer-timeout.interval",
            {FIRST: seconds_or_never, (1, 16): seconds},
            "100ms",
            names={
                FIRST: ("execution.buffer-timeout",),
                (1, 16): ("execution.buffer-timeout.interval", "execution.buffer-timeout"),
            },
        ),
        _option(f"{CHECKPOINTING}.interval", seconds, None),
        _option(f"{CHECKPOINTING}.mode", MODE, "EXACTLY_ONCE"),
        _option(f"{CHECKPOINTING}.timeout", seconds, "10min"),
        _option(f"{CHECKPOINTING}.max-concurrent-checkpoints", whole, "1"),
        _option(f"{CHECKPOINTING}.min-pause", seconds, "0"),
        _option(f"{CHECKPOINTING}.tolerable-failed-checkpoints", whole, "0"),
        _option(
            f"{CHECKPOINTING}.unaligned.enabled",
            boolean,
            "false",
            names={
                FIRST: (f"{CHECKPOINTING}.unaligned",),
                (1, 17): (f"{CHECKPOINTING}.unaligned.enabled", f"{CHECKPOINTING}.unaligned"),
            },
        ),
        _option(f"{CHECKPOINTING}.aligned-checkpoint-timeout", seconds, "0", f"{CHECKPOINTING}.alignment-timeout"),
        _option(f"{RESTART}.type", word, None, names={FIRST: (RESTART,), (1, 17): (f"{RESTART}.type", RESTART)}),
        _option(f"{RESTART}.fixed-delay.attempts", whole, "1"),
        _option(f"{RESTART}.fixed-delay.delay", seconds, "1s"),
        _option(f"{RESTART}.failure-rate.max-failures-per-interval", whole, "1"),
        _option(f"{RESTART}.failure-rate.failure-rate-interval", seconds, "1min"),
        _option(f"{RESTART}.failure-rate.delay", seconds, "1s"),
        _option(f"{RESTART}.exponential-delay.initial-backoff", seconds, "1s"),
        _option(f"{RESTART}.exponential-delay.max-backoff", seconds, {FIRST: "5min", (1, 19): "1min"}),
        _option(f"{RESTART}.exponential-delay.backoff-multiplier", real, {FIRST: "2.0", (1, 19): "1.5"}),
        _option(f"{RESTART}.exponential-delay.reset-backoff-threshold", seconds, "1h"),
        _option(f"{RESTART}.exponential-delay.jitter-factor", real, "0.1"),
        _option(
            f"{RESTART}.exponential-delay.attempts-before-reset-backoff",
            whole,
            str(2**31 - 1),
            names={FIRST: (), (1, 19): (f"{RESTART}.exponential-delay.attempts-before-reset-backoff",)},
        ),
        _option("heartbeat.interval", MILLISECONDS_BEFORE_1_20, "10000"),
        _option("heartbeat.timeout", MILLISECONDS_BEFORE_1_20, "50000"),
        _option("source.reader.element.queue.capacity", whole, "2"),
    )
}
"""The options that decide something here, by their newest key."""


@dataclass
class Reading:
    """The options of one configuration as one version reads them. Faults are collected, so that all can be shown at once."""

    version: Version
    options: Mapping[str, str]
    faults: list[FlinkError] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    """(key, why it has no effect)"""

    def name_of(self, key: str) -> str | None:
        """The key under which the option `key` is set, if it is."""
        return next((name for name in OPTIONS[key].names_in(self.version) if name in self.options), None)

    def is_set(self, key: str) -> bool:
        """Whether the configuration sets it."""
        return self.name_of(key) is not None

    def __call__(self, key: str) -> Any:
        """The value, or the default in its place when it is not set or cannot be read."""
        option, name = OPTIONS[key], self.name_of(key)
        default = option.default(self.version)
        if name is not None:
            try:
                return option.parse(self.options[name], self.version)
            except FlinkError as error:
                self.fail(error, key)
        return None if default is None else option.parse(default, self.version)

    def fail(self, error: FlinkError, key: str) -> None:
        """Remember a fault of the option `key`."""
        error.key = (self.name_of(key) if key in OPTIONS else None) or key
        if error.chain not in [fault.chain for fault in self.faults]:
            self.faults.append(error)

    def refuse(self, key: str, text: str) -> None:
        """Remember what an IllegalArgumentException of Flink's would be about."""
        self.fail(FlinkError(text, "IllegalArgumentException"), key)

    def note(self, keys: Iterable[str], why: str) -> None:
        """Remember of those that are set that they have no effect."""
        self.notes += [(name, why) for key in keys if (name := self.name_of(key)) is not None]

    def origin(self, key: str) -> str:
        """Where its value comes from."""
        return self.name_of(key) or "default"


WHOLLY_KNOWN = (f"{MEMORY}.", "taskmanager.network.", "execution.buffer-timeout", f"{CHECKPOINTING}.", RESTART)
"""Parts of Flink's options of which every one is known here, in every version."""


def remarks(version: Version, options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(key, what to know) for every option that this version does not look at. Flink itself says nothing about them."""
    for key in options:
        known = _known().get(key)
        read = {name for option in OPTIONS.values() for name in option.names_in(version)}
        if key in read:
            continue
        if key in {name for option in OPTIONS.values() for names in option.names.values() for name in names}:
            yield key, f"set, but {shown(version)} ignores it{_instead(key, version)}"
        elif known is not None:
            since, until = known
            if (version < since and key.startswith(WHOLLY_KNOWN)) or version > until:
                yield key, f"set, but {shown(version)} ignores it: {_lifetime(since, until)}"
        else:
            near = get_close_matches(key, [*read, *_known()], 1, 0.75 if key.startswith(WHOLLY_KNOWN) else 0.9)
            if near or key.startswith(WHOLLY_KNOWN):
                hint = f"; did you mean '{near[0]}'?" if near else ""
                yield key, f"Flink has no such option and ignores it{hint}"


def _instead(key: str, version: Version) -> str:
    """What holds in place of an option that this version does not have."""
    option = next(option for option in OPTIONS.values() if any(key in names for names in option.names.values()))
    names = option.names_in(version)
    if names:
        return f"; here it is called '{names[0]}'"
    default = option.default(version)
    since = min(known for known, names in option.names.items() if names)
    if version < since:
        return f": it came with {shown(since)}"
    return f"; it is always {default} there" if default is not None else ""


def _lifetime(since: Version, until: Version) -> str:
    return f"known in {shown(since)}" if since == until else f"known from {shown(since)} to {shown(until)}"


@cache
def _known() -> dict[str, tuple[Version, Version]]:
    """Every option that is known to exist, with the first and last version that reads it."""
    lines = files(__package__).joinpath("known_options.txt").read_text(encoding="utf-8").splitlines()
    return {key: (version_of(first), version_of(last)) for key, first, last in (line.split() for line in lines)}
