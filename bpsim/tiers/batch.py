"""What is sent: batches of one partition each, and the requests that carry them."""

from __future__ import annotations

from array import array

UNNUMBERED = -1


class Batch:
    """Records of one partition that are sent, appended and acknowledged together.

    They get their numbers, from `first` on, when they leave the buffer for the first time: so a batch is a range of records
    everywhere behind the producer, and costs as much as one record.
    """

    __slots__ = ("appended", "attempt", "copies", "end", "first", "over", "partition", "produced", "ready", "retries")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.attempt = array("i")
        """The attempt behind each record."""
        self.produced = array("d")
        """When each record was put into the buffer."""
        self.first = self.end = UNNUMBERED
        self.retries = 0
        self.ready = 0.0
        """When it may be sent (again)."""
        self.copies = 0
        """Requests with it that the broker has or will have, and has not answered."""
        self.appended = False
        """Whether the broker has it."""
        self.over = False
        """Whether the producer has given it up, or died: nobody waits for its ack."""

    @property
    def created(self) -> float:
        """When its first record came."""
        return self.produced[0]

    @property
    def stored(self) -> bool:
        """Whether the broker has it, or may still get it."""
        return self.appended or self.copies > 0

    def split(self, count: int) -> Batch:
        """Its first `count` records as a batch of their own (librdkafka gives up message by message)."""
        head = Batch(self.partition)
        head.attempt, head.produced = self.attempt[:count], self.produced[:count]
        del self.attempt[:count], self.produced[:count]
        if self.first != UNNUMBERED:
            head.first, head.end = self.first, self.first + count
            self.first = head.end
        return head

    def __len__(self) -> int:
        return len(self.attempt)


class Request:
    """Batches that go to one broker together, and wait for one answer."""

    __slots__ = ("arrived", "awaited", "batches", "broker", "deadline", "number", "records", "sent_at", "to_append")

    def __init__(self, number: int, broker: int, batches: list[Batch], sent_at: float, deadline: float) -> None:
        self.number = number
        self.broker = broker
        """Which broker leads the partitions of its batches."""
        self.batches = batches
        self.records = sum(map(len, batches))
        self.sent_at = sent_at
        self.deadline = deadline
        """When the client stops waiting for the answer."""
        self.awaited = True
        """Whether its connection still stands."""
        self.arrived = sent_at
        self.to_append = len(batches)

    def __lt__(self, other: Request) -> bool:
        return self.number < other.number
