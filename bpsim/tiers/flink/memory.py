"""The memory of a TaskManager, divided as `ProcessMemoryUtils` and `TaskExecutorFlinkMemoryUtils` divide it. Bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from bpsim.tiers.flink.options import MEMORY, NETWORK, OPTIONS, Reading
from bpsim.tiers.flink.values import LARGEST_LONG, FlinkError, human

PROCESS, FLINK, TASK_HEAP, MANAGED = (f"{MEMORY}.{name}.size" for name in ("process", "flink", "task.heap", "managed"))
SEGMENT, BUFFERS = f"{MEMORY}.segment-size", "taskmanager.network.numberOfBuffers"
FALLBACKS = {f"{MEMORY}.network.fraction": f"{{key={NETWORK}.fraction, isDeprecated=true}}"}
LEAST_SEGMENT = 4096


@dataclass(frozen=True)
class Memory:
    """What each part of a TaskManager gets, in bytes, and why (`reasons`, by the name of the part)."""

    process: int
    flink: int
    framework_heap: int
    framework_off_heap: int
    task_heap: int
    task_off_heap: int
    managed: int
    network: int
    jvm_metaspace: int
    jvm_overhead: int
    segment_size: int
    reasons: dict[str, str] = field(compare=False)

    @property
    def buffers(self) -> int:
        """Network buffers: segments that fit into the network memory, all allocated at the start."""
        return self.network // self.segment_size


def divide(reading: Reading) -> Memory:
    """Derive the memory of a configuration. Raises `FlinkError` in Flink's words when it does not work out."""
    return _Division(reading).divide()


class _Division:
    """One derivation. Sizes are looked up in the order in which Flink does, which decides the error it stops at."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.parts: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def divide(self) -> Memory:
        """The parts, from what is set: the fine-grained sizes, total Flink memory, or total process memory."""
        is_set = self.reading.is_set
        try:
            if is_set(TASK_HEAP) and is_set(MANAGED):
                self._from_task_heap_and_managed()
                self._around()
            elif is_set(FLINK):
                self._take("flink", FLINK)
                self._inside()
                self._around()
            elif is_set(PROCESS):
                self._from_process()
            else:
                raise nothing_set()
        except FlinkError as error:
            if error.java != "IllegalConfigurationException":
                raise
            raise _with_key(FlinkError(f"TaskManager memory configuration failed: {error}"), error) from error
        return Memory(**self.parts, segment_size=segment_size(self.reading), reasons=self.reasons)

    def _take(self, part: str, key: str) -> int:
        """A part that an option sets, or its default."""
        return self._put(part, self._size(key), self.reading.origin(key))

    def _put(self, part: str, size: int, why: str) -> int:
        self.parts[part] = size
        self.reasons[part] = why
        return size

    def _size(self, key: str) -> Any:
        """A memory size. Raises `FlinkError` when it cannot be read."""
        try:
            return self._value(key)
        except FlinkError as error:
            raise FlinkError(f"Cannot read memory size from config option '{key}'.", key=error.key) from error

    def _value(self, key: str) -> Any:
        name = self.reading.name_of(key)
        text = self.reading.options[name] if name else OPTIONS[key].default(self.reading.version)
        try:
            return None if text is None else OPTIONS[key].parse(text, self.reading.version)
        except FlinkError as error:
            error.key = name or key
            raise

    def _share(self, part: str, base: int, of: str, key: str, limits: tuple[int, int], inverse: bool = False) -> int:
        """A fraction of `base`, within limits; `inverse`: of what it makes up together with `base`."""
        fraction = self._fraction(key, *limits)
        wanted = _times(base, fraction / (1 - fraction) if inverse else fraction)
        size = max(limits[0], min(wanted, limits[1]))
        why = f"{self._plain(key)} of {of}"
        if size != wanted:
            limit = key.removeprefix(f"{MEMORY}.").removesuffix("fraction") + ("min" if size > wanted else "max")
            why += f" ({human(wanted)}), held to {limit}"
        return self._put(part, size, why)

    def _plain(self, key: str) -> str:
        name = self.reading.name_of(key)
        return f"{name} {self.reading.options[name]}" if name else f"default {OPTIONS[key].default(self.reading.version)}"

    def _fraction(self, key: str, least: int, most: int) -> float:
        fraction = float(self._value(key))
        cause = ""
        if least > most:
            cause = "min value must be less or equal to max value"
        elif not 0 <= fraction < 1:
            cause = "fraction must be in range [0, 1)"
        if not cause:
            return fraction
        default = OPTIONS[key].default(self.reading.version)
        option = f"Key: '{key}' , default: {default} (fallback keys: [{FALLBACKS.get(key, '')}])"
        limits = f"its min ({human(least)}), max ({human(most)}) value"
        error = FlinkError(
            f"Inconsistently configured {option} ({fraction!r}) and {limits}", key=self.reading.name_of(key) or key
        )
        raise error from FlinkError(cause, "IllegalArgumentException")

    def _from_process(self) -> None:
        """From the outside in: metaspace and overhead are cut off, the rest is Flink's."""
        process = self._take("process", PROCESS)
        metaspace = self._take("jvm_metaspace", f"{MEMORY}.jvm-metaspace.size")
        overhead = self._overhead(process, "process memory")
        if metaspace + overhead > process:
            sizes = f"JVM Metaspace ({human(metaspace)}) and JVM Overhead ({human(overhead)})"
            raise _too_much(sizes, f"Total Process Memory ({human(process)})", PROCESS)
        self._put("flink", process - metaspace - overhead, "process memory less metaspace and overhead")
        self._inside()

    def _overhead(self, base: int, of: str, inverse: bool = False) -> int:
        limits = self._limits(f"{MEMORY}.jvm-overhead")
        return self._share("jvm_overhead", base, of, f"{MEMORY}.jvm-overhead.fraction", limits, inverse)

    def _limits(self, key: str) -> tuple[int, int]:
        return self._size(f"{key}.min"), self._size(f"{key}.max")

    def _around(self) -> None:
        """From the inside out: metaspace and overhead are added to Flink's memory, or the process is given as well."""
        flink = self.parts["flink"]
        metaspace = self._take("jvm_metaspace", f"{MEMORY}.jvm-metaspace.size")
        if not self.reading.is_set(PROCESS):
            overhead = self._overhead(flink + metaspace, "process memory", inverse=True)
            self._put("process", flink + metaspace + overhead, "Flink memory, metaspace and overhead")
            return
        process = self._take("process", PROCESS)
        overhead = process - flink - metaspace
        if overhead < 0:
            raise FlinkError("bytes must be >= 0", "IllegalArgumentException", PROCESS)
        _check_range("JVM Overhead", overhead, *self._limits(f"{MEMORY}.jvm-overhead"), PROCESS)
        self._put("jvm_overhead", overhead, "what is left of process memory")

    def _fixed(self) -> None:
        self._take("framework_heap", f"{MEMORY}.framework.heap.size")
        self._take("framework_off_heap", f"{MEMORY}.framework.off-heap.size")

    def _managed(self) -> None:
        if self.reading.is_set(MANAGED):
            self._take("managed", MANAGED)
        else:
            flink = self.parts["flink"]
            self._share("managed", flink, "Flink memory", f"{MEMORY}.managed.fraction", (0, LARGEST_LONG))

    def _inside(self) -> None:
        """Total Flink memory is known: what is not set of task heap and network is the rest."""
        self._fixed()
        if self.reading.is_set(TASK_HEAP):
            self._take("task_heap", TASK_HEAP)
            self._take("task_off_heap", f"{MEMORY}.task.off-heap.size")
            self._managed()
            self._network_is_the_rest()
            return
        self._take("task_off_heap", f"{MEMORY}.task.off-heap.size")
        self._managed()
        self._network(self.parts["flink"])
        self._put("task_heap", self._rest("network"), "what is left of Flink memory")

    def _from_task_heap_and_managed(self) -> None:
        self._fixed()
        self._take("task_heap", TASK_HEAP)
        self._take("task_off_heap", f"{MEMORY}.task.off-heap.size")
        self._take("managed", MANAGED)
        if self.reading.is_set(FLINK):
            self._take("flink", FLINK)
            self._network_is_the_rest()
        else:
            self._network(sum(self.parts.values()), inverse=True)
            self._put("flink", sum(self.parts.values()), "the sum of its parts")

    def _network(self, base: int, inverse: bool = False) -> None:
        if self._counts_buffers():
            self._put("network", self._value(BUFFERS) * segment_size(self.reading), f"{BUFFERS} x segment-size")
            return
        limits = self._limits(f"{MEMORY}.network")
        self._share("network", base, "Flink memory", f"{MEMORY}.network.fraction", limits, inverse)

    def _counts_buffers(self) -> bool:
        """Whether the option of old, a number of buffers, holds: before 2.0, when no newer one is set."""
        newer = any(self.reading.is_set(f"{MEMORY}.network.{name}") for name in ("min", "max", "fraction"))
        return self.reading.is_set(BUFFERS) and not newer

    def _network_is_the_rest(self) -> None:
        size = self._put("network", self._rest("task heap"), "what is left of Flink memory")
        if self._counts_buffers():
            return
        limits = self._limits(f"{MEMORY}.network")
        self._fraction(f"{MEMORY}.network.fraction", *limits)
        try:
            _check_range("Network Memory", size, *limits, FLINK)
        except FlinkError as error:
            raise FlinkError(NETWORK_IS_THE_REST, key=FLINK) from error

    def _rest(self, beside: str) -> int:
        """What is left of Flink's memory. Raises `FlinkError` when there is less than nothing."""
        names = NAMES if beside == "network" else {**NAMES, "task_heap": "Task Heap Memory"}
        used = {name: size for name, size in self.parts.items() if name in INSIDE}
        rest = self.parts["flink"] - sum(used.values())
        if rest < 0:
            order = [name for name in INSIDE if name in used]
            shown = [f"{names[name]} ({human(used[name])})" for name in order]
            total = f"Total Flink Memory ({human(self.parts['flink'])})"
            raise _too_much(f"{', '.join(shown[:-1])} and {shown[-1]}", total, FLINK)
        return rest


INSIDE = ("framework_heap", "framework_off_heap", "task_heap", "task_off_heap", "managed", "network")
NAMES = {
    "framework_heap": "Framework Heap Memory",
    "framework_off_heap": "Framework Off-Heap Memory",
    "task_heap": "Task Heap Memory",
    "task_off_heap": "Task Off-Heap Memory",
    "managed": "Managed Memory",
    "network": "Network Memory",
}
NETWORK_IS_THE_REST = (
    "If Total Flink, Task Heap and (or) Managed Memory sizes are explicitly configured then the Network Memory size is the "
    "rest of the Total Flink memory after subtracting all other configured types of memory, but the derived Network Memory is "
    "inconsistent with its configuration."
)


def segment_size(reading: Reading) -> int:
    """Bytes of a network buffer. Raises `FlinkError` (`ConfigurationParserUtils`)."""
    size = int(reading(SEGMENT))
    wrong = ""
    if size < LEAST_SEGMENT:
        wrong = f"Minimum memory segment size is {LEAST_SEGMENT}"
    elif size & (size - 1):
        wrong = "Memory segment size must be a power of 2."
    if wrong:
        raise FlinkError(f"Invalid configuration value for {SEGMENT} : {size} - {wrong}", key=SEGMENT)
    return size


def _times(size: int, factor: float) -> int:
    """The product of Java's BigDecimals, cut off: exact in the shortest decimal form of the double."""
    return int(size * Fraction(repr(factor)))


def _check_range(what: str, size: int, least: int, most: int, key: str) -> None:
    if not least <= size <= most:
        text = f"Derived {what} size ({human(size)}) is not in configured {what} range [{human(least)}, {human(most)}]."
        raise FlinkError(text, key=key)


def _too_much(parts: str, whole: str, key: str) -> FlinkError:
    return FlinkError(f"Sum of configured {parts} exceed configured {whole}.", key=key)


def _with_key(error: FlinkError, cause: FlinkError) -> FlinkError:
    error.key = cause.key
    return error


def nothing_set() -> FlinkError:
    """What Flink says of a configuration without any size."""
    flink, process = (f"(Key: '{key}' , default: null (fallback keys: []))" for key in (FLINK, PROCESS))
    return FlinkError(
        f"Either required fine-grained memory ({TASK_HEAP} and {MANAGED}), or Total Flink Memory size {flink}, "
        f"or Total Process Memory size {process} need to be configured explicitly."
    )
