"""The queue of an operator that asks a service: who is under way, and whose answer may leave next (StreamElementQueue.java)."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Entry:
    """A record in the queue."""

    __slots__ = ("done", "record")

    def __init__(self, record: int) -> None:
        self.record = record
        self.done = False
        """Whether its answer has come."""


class StreamElementQueue(Protocol):
    """Who is under way, and whose answer may leave next."""

    def put(self, entry: Entry) -> None:
        """Its request has been made."""

    def complete(self, entry: Entry) -> None:
        """Its answer has come."""

    @property
    def ready(self) -> bool:
        """Whether an answer may leave."""

    def poll(self) -> Entry:
        """Take that one out."""

    @property
    def records(self) -> list[int]:
        """All in it."""

    def __len__(self) -> int: ...


class OrderedStreamElementQueue:
    """First in, first out."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()

    def put(self, entry: Entry) -> None:
        """At the end."""
        self._entries.append(entry)

    def complete(self, entry: Entry) -> None:
        """It leaves when it has come to the head."""
        entry.done = True

    @property
    def ready(self) -> bool:
        """Whether the head is answered."""
        return bool(self._entries) and self._entries[0].done

    def poll(self) -> Entry:
        """The head."""
        return self._entries.popleft()

    @property
    def records(self) -> list[int]:
        """In order."""
        return [entry.record for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)


class UnorderedStreamElementQueue:
    """First answered, first out (the records carry no watermarks that would bound it)."""

    def __init__(self) -> None:
        self._asked: dict[Entry, None] = {}
        self._answered: deque[Entry] = deque()

    def put(self, entry: Entry) -> None:
        """Among those that wait."""
        self._asked[entry] = None

    def complete(self, entry: Entry) -> None:
        """Behind those that are answered already."""
        del self._asked[entry]
        entry.done = True
        self._answered.append(entry)

    @property
    def ready(self) -> bool:
        """Whether one is answered."""
        return bool(self._answered)

    def poll(self) -> Entry:
        """The one answered first."""
        return self._answered.popleft()

    @property
    def records(self) -> list[int]:
        """Those answered come first."""
        return [entry.record for entry in (*self._answered, *self._asked)]

    def __len__(self) -> int:
        return len(self._asked) + len(self._answered)
