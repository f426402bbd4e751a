"""From the handler to the reply: the record finds room in the producer's buffer, and its worker may wait for the broker."""

from __future__ import annotations

from collections.abc import Callable

from bpsim.kernel.clock import Clock
from bpsim.result import Outcome
from bpsim.streams import to_grid
from bpsim.tiers.api.acks import Acks, Flush, OwnAck
from bpsim.tiers.api.blocked import Blocked
from bpsim.tiers.api.spec import ApiSpec
from bpsim.tiers.producer import Producer, ProducerSpec

REJECTED, PRODUCE_FAILED = int(Outcome.REJECTED), int(Outcome.PRODUCE_FAILED)
Action = Callable[[int, float], None]


class Producing:
    """On threads: each worker produces, blocks and waits for itself. `finish(attempt, now)` sends the reply, `give_up(attempt,
    now, outcome)` the error, and `weigh(now)` is called when a record has come into memory."""

    running = True
    """Whether the process can do anything else meanwhile."""

    def __init__(
        self,
        clock: Clock,
        spec: ApiSpec,
        producer: Producer,
        producer_spec: ProducerSpec,
        finish: Action,
        give_up: Callable[[int, float, int], None],
        weigh: Callable[[float], None] | None,
    ) -> None:
        self.producer = producer
        self._offer = producer.offer
        self._finish = finish
        self._give_up = give_up
        self._weigh = weigh
        self._fails_fast = producer_spec.on_full == "fail_fast"
        self.blocked = Blocked(clock, producer, to_grid(producer_spec.max_block), self._unblocked, self._lost_patience)
        self.acks: Acks | None = None
        if spec.reply == "on_ack":
            self.acks = OwnAck(clock, producer, self._acked, self._not_acked)
        elif spec.reply == "on_flush":
            self.acks = Flush(clock, producer, self._flushed)
        self._then = finish if self.acks is None and weigh is None else self._produced  # a call less for every record
        producer.accumulator.blocked = self.blocked.waiting
        producer.accumulator.flushing = self.acks.waiting if isinstance(self.acks, Flush) else ()

    def produce(self, attempt: int, now: float) -> None:
        """The handler of `attempt` calls the producer."""
        if self._offer(attempt, now):
            self._then(attempt, now)
        elif self._fails_fast:
            self._give_up(attempt, now, REJECTED)
        else:
            self._block(attempt, now)

    def _block(self, attempt: int, now: float) -> None:
        self.blocked.join(attempt, now)

    def _unblocked(self, attempt: int, now: float) -> None:
        self._produced(attempt, now)

    def _lost_patience(self, attempt: int, now: float) -> None:
        self._give_up(attempt, now, PRODUCE_FAILED)

    def _produced(self, attempt: int, now: float) -> None:
        if self.acks is None:
            self._finish(attempt, now)
        else:
            self.acks.join(attempt)
        if self._weigh is not None:
            self._weigh(now)

    def _acked(self, attempt: int, now: float) -> None:
        self._finish(attempt, now)

    def _not_acked(self, attempt: int, now: float) -> None:
        self._give_up(attempt, now, PRODUCE_FAILED)

    def _flushed(self, attempt: int, now: float) -> None:
        self._finish(attempt, now)

    def has_produced(self, attempt: int) -> bool:
        """Whether the record of `attempt` is on its way, and its worker waits."""
        return self.acks is not None and attempt in self.acks

    def remove(self, attempt: int) -> bool:
        """Its worker stops waiting; whether it did wait here."""
        if self.acks is not None and attempt in self.acks:
            self.acks.remove(attempt)
        elif attempt in self.blocked:
            self.blocked.remove(attempt)
        else:
            return False
        return True

    def clear(self) -> None:
        """The process died."""
        self.blocked.clear()
        if self.acks is not None:
            self.acks.clear()

    def inside(self) -> list[int]:
        """Attempts whose handler is done and whose reply is not."""
        return [*self.blocked, *(self.acks or ())]
