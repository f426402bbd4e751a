"""Values of Flink's configuration, read as `MemorySize`, `TimeUtils` and `ConfigurationUtils` read them, with their errors."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

Version = tuple[int, int]
"""Major and minor, such as (1, 20)."""
VERSIONS: tuple[Version, ...] = (*((1, minor) for minor in range(14, 21)), *((2, minor) for minor in range(4)))
"""The versions whose rules are known; 2.1 and 2.2 are taken to be as 2.0 and 2.3, which agree."""
LARGEST_LONG = 2**63 - 1
LARGEST_INT = 2**31 - 1

_SIZES = {"b bytes": 1, "k kb kibibytes": 2**10, "m mb mebibytes": 2**20, "g gb gibibytes": 2**30, "t tb tebibytes": 2**40}
_TIMES = {
    "DAYS: d day days": 86_400 * 10**9,
    "HOURS: h hour hours": 3600 * 10**9,
    "MINUTES: min m minute minutes": 60 * 10**9,
    "SECONDS: s sec secs second seconds": 10**9,
    "MILLISECONDS: ms milli millis millisecond milliseconds": 10**6,
    "MICROSECONDS: µs micro micros microsecond microseconds": 10**3,
    "NANOSECONDS: ns nano nanos nanosecond nanoseconds": 1,
}
_SIZE_UNITS = {word: size for words, size in _SIZES.items() for word in words.split()}
_TIME_UNITS = {word: size for words, size in _TIMES.items() for word in words.split(": ")[1].split()}
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d{0,9}))?S)?)?", re.IGNORECASE)
_HUMAN = {"tb": 2**40, "gb": 2**30, "mb": 2**20, "kb": 2**10}


class FlinkError(ValueError):
    """What Flink says and gives up with, in its own words. `java` is its exception, `key` the option it is about."""

    def __init__(self, text: str, java: str = "IllegalConfigurationException", key: str = "") -> None:
        super().__init__(text)
        self.java = java
        self.key = key

    @property
    def chain(self) -> list[str]:
        """Its text and those of its causes."""
        return list(_texts(self))

    @property
    def root(self) -> str:
        """The text of the innermost cause."""
        return self.chain[-1]

    @property
    def story(self) -> str:
        """Exception and texts in one line, without those that an earlier one repeats."""
        texts = self.chain
        told = [text for number, text in enumerate(texts) if not any(text in earlier for earlier in texts[:number])]
        return f"{self.java}: {' Caused by: '.join(told)}"


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__


def _argument(text: str) -> FlinkError:
    return FlinkError(text, "IllegalArgumentException")


def _number(text: str) -> FlinkError:
    return FlinkError(text, "NumberFormatException")


def _split(text: str) -> tuple[str, str]:
    """The digits in front, and the unit behind them."""
    if not text.strip():
        raise _argument("argument is an empty- or whitespace-only string")
    match = re.match(r"[0-9]*", text.strip())
    assert match is not None
    return match[0], text.strip()[match.end() :].strip().lower()


def memory_size(text: str, version: Version = (2, 3)) -> int:
    """Bytes; units are binary and decimals are not allowed (`MemorySize`)."""
    digits, unit = _split(text)
    if not digits:
        raise _number("text does not start with a number")
    if int(digits) > LARGEST_LONG:
        raise _argument(f"The value '{digits}' cannot be re represented as 64bit number of bytes (numeric overflow).")
    if unit and unit not in _SIZE_UNITS:
        known = " / ".join(f"({' | '.join(words.split())})" for words in _SIZES)
        raise _argument(f"Memory size unit '{unit}' does not match any of the recognized units: {known}")
    size = int(digits) * _SIZE_UNITS.get(unit, 1)
    if size > LARGEST_LONG:
        raise _argument(f"The value '{text.strip()}' cannot be re represented as 64bit number of bytes (numeric overflow).")
    return size


def duration_ns(text: str, version: Version = (2, 3)) -> int:
    """Nanoseconds; a bare number means milliseconds, and 2.0 brought ISO 8601, `PT1S` (`TimeUtils`)."""
    digits, unit = _split(text)
    if not digits:
        return _iso(text.strip(), version)
    if unit and unit not in _TIME_UNITS:
        groups = [words.split(": ") for words in _TIMES]
        known = ", ".join(f"{name}: ({' | '.join(words.split())})" for name, words in groups)
        raise _argument(f"Time interval unit label '{unit}' does not match any of the recognized units: {known}")
    if int(digits) > LARGEST_LONG:
        raise _argument(f"The value '{digits}' cannot be re represented as 64bit number (numeric overflow).")
    return int(digits) * _TIME_UNITS.get(unit, 10**6)


def _iso(text: str, version: Version) -> int:
    match = _ISO.fullmatch(text) if version >= (2, 0) and len(text) > 2 else None
    if match is None:
        also = f", and is not a valid ISO-8601 duration format: {text}" if version >= (2, 0) else ""
        raise _number(f"text does not start with a number{also}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
    return (86_400 * days + 3600 * hours + 60 * minutes + seconds) * 10**9 + int((match[5] or "").ljust(9, "0"))


def seconds(text: str, version: Version = (2, 3)) -> float:
    """A duration in seconds."""
    return duration_ns(text, version) / 10**9


def seconds_or_never(text: str, version: Version = (2, 3)) -> float:
    """A duration in seconds, or -1 for never, as up to 1.15."""
    return -1.0 if text.replace(" ", "") in ("-1", "-1ms") else seconds(text, version)


def milliseconds(text: str, version: Version = (2, 3)) -> float:
    """A whole number of milliseconds, as options had before they were durations; in seconds."""
    return whole(text, version, LARGEST_LONG) / 1000


def whole(text: str, version: Version = (2, 3), largest: int = LARGEST_INT) -> int:
    """A Java int."""
    if re.fullmatch(r"[-+]?[0-9]{1,20}", text) is None or not -largest - 1 <= int(text) <= largest:
        raise _number(f'For input string: "{text}"')
    return int(text)


def real(text: str, version: Version = (2, 3)) -> float:
    """A Java double."""
    if re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?[fFdD]?", text.strip()) is None or len(text) > 300:
        raise _number(f'For input string: "{text}"')
    return float(text.strip().rstrip("fFdD"))


def fraction(text: str, version: Version = (2, 3)) -> float:
    """A Java float, as which Flink reads its fractions: 0.1 is 0.10000000149011612."""
    value = real(text, version)
    return float(struct.unpack("f", struct.pack("f", value))[0]) if abs(value) < 3e38 else value


def boolean(text: str, version: Version = (2, 3)) -> bool:
    """`true` or `false`, in any case."""
    if text.upper() not in ("TRUE", "FALSE"):
        raise _argument(f"Unrecognized option for boolean: {text}. Expected either true or false(case insensitive)")
    return text.upper() == "TRUE"


def constant(enum: str, *names: str) -> Callable[[str, Version], str]:
    """A reader of one of `names`, in any case."""

    def read(text: str, version: Version) -> str:
        if text.upper() not in names:
            raise _argument(f"Could not parse value for enum class {enum}. Expected one of: [[{', '.join(names)}]]")
        return text.upper()

    return read


def word(text: str, version: Version = (2, 3)) -> str:
    """Any text."""
    return text


def human(size: int) -> str:
    """Bytes as Flink's messages show them: the biggest unit smaller than the value."""
    unit = next((unit for unit, least in _HUMAN.items() if size > least), None)
    return f"{size / _HUMAN[unit]:.3f}{unit} ({size} bytes)" if unit else f"{size} bytes"


def in_flinks_units(text: str) -> str | None:
    """How Flink would have understood a size such as `1.5 GiB`, or nothing to suggest."""
    match = re.fullmatch(r"(\d+)(\.\d+)?\s*([kmgt]?)(?:i?b|bytes?)?", text.strip().lower())
    if match is None:
        return None
    units = ["", "k", "m", "g", "t"]
    amount, unit = Fraction(match[1] + (match[2] or "")), units.index(match[3])
    while amount.denominator > 1 and unit > 0:
        amount, unit = amount * 1024, unit - 1
    return f"{int(amount)}{units[unit]}" if amount.denominator == 1 else None


def in_words(fault: FlinkError, options: Mapping[str, str]) -> str:
    """What Flink says of a fault in `options`, and a way out as far as one can tell."""
    if "Memory size unit" in fault.root:
        meant = in_flinks_units(options.get(fault.key, ""))
        return (
            f"{fault.story}; did you mean '{meant}'?" if meant else f"{fault.story}; sizes are whole numbers of b, k, m, g or t"
        )
    if "Time interval unit" in fault.root or fault.root.startswith("text does not start with a number"):
        return f"{fault.story}; such as 500 ms, 10 s, 2 min"
    return fault.story


def as_text(value: Any) -> str:
    """A value of a YAML tree as the text that Flink's configuration holds."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def version_of(text: str) -> Version:
    """`1.20` or `1.20.5` as (1, 20). Raises `ValueError` for a version whose rules are not known."""
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(\.\d{1,3})?", text.strip())
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version not in VERSIONS:
        first, last = VERSIONS[0], VERSIONS[-1]
        raise ValueError(f"'{text}' is not a version of Flink known here, {first[0]}.{first[1]} to {last[0]}.{last[1]}")
    return version


def shown(version: Version) -> str:
    """(1, 20) as `1.20`."""
    return f"{version[0]}.{version[1]}"
