"""The producer's buffer: what takes room in it, and when the room is free again."""

from __future__ import annotations

from bpsim.tiers.producer.spec import ProducerSpec


class BatchPool:
    """Java's BufferPool: memory for a full batch is taken when a batch is opened, and given back when it is completed."""

    def __init__(self, spec: ProducerSpec, size: int) -> None:
        self._slots = spec.buffer_records(size) // spec.batch_records(size)
        self._taken = 0

    def room(self, opens: bool) -> bool:
        """Whether another record fits; one that joins an open batch always does."""
        return not opens or self._taken < self._slots

    def take(self, opens: bool) -> None:
        """A record comes in; perhaps it opens a batch."""
        self._taken += opens

    def completed(self, records: int) -> None:
        """A batch of so many records is acknowledged, or given up."""
        self._taken -= 1

    def clear(self) -> None:
        """The process died."""
        self._taken = 0


class MessageQueue:
    """librdkafka's queue: every message takes its place until the application has been told what became of it."""

    def __init__(self, spec: ProducerSpec, size: int) -> None:
        self._places = spec.buffer_records(size)
        self._taken = 0
        self._forgets_poll = spec.forgets_poll

    def room(self, opens: bool) -> bool:
        """Whether another record fits."""
        return self._taken < self._places

    def take(self, opens: bool) -> None:
        """A record comes in."""
        self._taken += 1

    def completed(self, records: int) -> None:
        """Delivery reports for so many records wait to be served; an application that polls serves them at once."""
        if not self._forgets_poll:
            self._taken -= records

    def clear(self) -> None:
        """The process died."""
        self._taken = 0


Pool = BatchPool | MessageQueue


def pool_of(spec: ProducerSpec, size: int) -> Pool:
    """The buffer of the client in `spec`."""
    return BatchPool(spec, size) if spec.client == "java" else MessageQueue(spec, size)
