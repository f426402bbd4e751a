"""The journal of finished runs: appended to as they finish, whole after any kill."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


class JournalMismatch(ValueError):
    """The journal is of other work, or of another version of the model."""


class JournalInUse(RuntimeError):
    """Another process is writing the journal."""


class Journal:
    """A file of one line a finished run: checksum, key, row. A line whose checksum does not hold counts as not there, and
    a torn end is cut off before anything is added; so whatever kills the writer, what it had told of is kept."""

    def __init__(self, path: Path, file: IO[bytes], rows: dict[str, Any], dropped: int) -> None:
        self.path = path
        self.rows = rows
        """By key, what is known."""
        self.dropped = dropped
        """Lines that were there and cannot be trusted."""
        self._file = file

    @classmethod
    def open(cls, path: Path, of: str, resume: bool = False) -> Journal:
        """A journal of the work called `of` (what is measured, by which version of the model). With `resume` it may be
        there already. Raises `FileExistsError`, `JournalMismatch`, `JournalInUse`, or another `OSError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("r+b" if resume and path.exists() else "x+b")
        try:
            _lock(file, path)
            entries, dropped, end = _read(file)
            file.truncate(end)
            file.seek(end)
            journal = cls(path, file, {key: row for key, row in entries if key != HEAD}, dropped)
            heads = [row for key, row in entries if key == HEAD]
            if heads and heads[0] != of:
                raise JournalMismatch(f"{path} holds runs of {heads[0]}; these would be of {of}")
            if not heads:
                journal.rows.clear()
                file.truncate(0)
                file.seek(0)
                journal._write(HEAD, of)
        except BaseException:
            file.close()
            raise
        return journal

    def append(self, key: str, row: Any) -> None:
        """Keep `row`; when this returns it is on the disk (0.1 to 5 ms, against seconds a run)."""
        self._write(key, row)
        self.rows[key] = row

    def _write(self, key: str, row: Any) -> None:
        text = json.dumps([key, row], separators=(",", ":")).encode()
        self._file.write(b"%08x %b\n" % (zlib.crc32(text), text))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


HEAD = "bpsim journal 1"


def _read(file: IO[bytes]) -> tuple[list[tuple[str, Any]], int, int]:
    """The entries whose checksums hold, how many do not, and where the last whole line ends."""
    entries, dropped, end = [], 0, 0
    for line in file.read().splitlines(keepends=True):
        entry = _entry(line)
        if line.endswith(b"\n"):
            end += len(line)
        if entry is None:
            dropped += 1
        else:
            entries.append(entry)
    return entries, dropped, end


def _entry(line: bytes) -> tuple[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    key, row = json.loads(text)
    return key, row


def _lock(file: IO[bytes], path: Path) -> None:
    """For this process until it ends or closes the file; a no-op where there is no `fcntl` (Windows)."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise JournalInUse(f"{path} is being written by another bpsim; wait for it to end") from None
