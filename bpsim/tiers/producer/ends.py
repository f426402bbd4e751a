"""What becomes of batches: acknowledged, failed, or lost with the process. Here records get their numbers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from math import nan

import numpy as np

from bpsim.result import Column, Fate
from bpsim.tiers.batch import Batch
from bpsim.tiers.producer.pool import Pool

Row = Callable[[tuple[float, ...]], None]
Heard = Callable[[int, int], None]


class Ends:
    """`held` counts the records in the buffer, in flight included. `on_ack` and `on_failure` are told what the application
    hears about records `first` … `end` − 1."""

    def __init__(self, pool: Pool, row: Row) -> None:
        self.attempt = array("i")
        """The attempt behind each numbered record."""
        self.produced = array("d")
        """When each was put into the buffer."""
        self.held = 0
        self.on_ack: Heard | None = None
        self.on_failure: Heard = lambda first, end: None
        self.gone: dict[Fate, array[float]] = {fate: array("d") for fate in (Fate.LOST_IN_CRASH, Fate.EXPIRED, Fate.REFUSED)}
        """Flat (first, end, time) triples of what never reached the broker's log."""
        self._pool = pool
        self._row = row

    def number(self, batch: Batch) -> None:
        """Its records get the next numbers, unless they have some."""
        if batch.first < 0:
            batch.first = len(self.attempt)
            self.attempt.extend(batch.attempt)
            self.produced.extend(batch.produced)
            batch.end = len(self.attempt)

    def complete(self, batches: Iterable[Batch], sent_at: float, now: float) -> None:
        """The broker has acknowledged them."""
        for batch in batches:
            if not batch.over:
                batch.over = True
                count = batch.end - batch.first
                self._row((batch.first, count, batch.produced[0], sent_at, now, now))
                self.held -= count
                self._pool.completed(count)
                if self.on_ack is not None:
                    self.on_ack(batch.first, batch.end)

    def fail(self, batch: Batch, fate: Fate, now: float) -> None:
        """The application hears that `batch` has failed; unless the broker may still have it, that is its end."""
        self.number(batch)
        batch.over = True
        self._row((batch.first, len(batch), batch.created, nan, nan, now))
        self.held -= len(batch)
        self._pool.completed(len(batch))
        if not batch.stored:
            self.gone[fate].extend((batch.first, batch.end, now))
        self.on_failure(batch.first, batch.end)

    def vanished(self, batch: Batch, now: float) -> None:
        """The last copy of `batch` on its way to the broker is gone; was it given up meanwhile, it is lost."""
        if batch.over and not batch.stored:
            self.gone[Fate.EXPIRED].extend((batch.first, batch.end, now))

    def die(self, waiting: Iterable[Batch], flying: Iterable[tuple[Batch, float]], now: float) -> None:
        """The process is gone and with it every record not yet handed over; what the broker has, it keeps."""
        for batch in waiting:
            self.number(batch)
            batch.over = True
            if batch.stored:
                self._row((batch.first, len(batch), batch.created, nan, nan, now))
            else:
                self.gone[Fate.LOST_IN_CRASH].extend((batch.first, batch.end, now))
        for batch, sent_at in flying:
            if not batch.over:
                batch.over = True
                self._row((batch.first, len(batch), batch.created, sent_at, now, now))
        self._pool.clear()
        self.held = 0

    def table(self, waiting: Iterable[Batch]) -> tuple[Column, Column, list[tuple[int, int]]]:
        """Attempts and times of all records, numbered or not yet, and the ranges of those that wait and nobody else has."""
        attempts, produced, ranges = array("i", self.attempt), array("d", self.produced), []
        for batch in waiting:
            first, end = batch.first, batch.end
            if first < 0:
                first, end = len(attempts), len(attempts) + len(batch)
                attempts.extend(batch.attempt)
                produced.extend(batch.produced)
            if not batch.stored:
                ranges.append((first, end))
        return np.array(attempts, dtype=np.int32), np.array(produced, dtype=np.float64), ranges

    @staticmethod
    def nothing() -> tuple[Column, Column, list[tuple[int, int]]]:
        """The table of a pipeline without a producer."""
        return np.zeros(0, dtype=np.int32), np.zeros(0), []

    def unfinished(self, waiting: Iterable[Batch], flying: Iterable[tuple[Batch, float]]) -> list[tuple[float, ...]]:
        """Rows of what is waiting or in flight."""
        rows: list[tuple[float, ...]] = []
        number = len(self.attempt)
        for batch in waiting:
            rows.append((number if batch.first < 0 else batch.first, len(batch), batch.created, nan, nan, nan))
            number += len(batch) if batch.first < 0 else 0
        return rows + [(b.first, len(b), b.created, sent_at, nan, nan) for b, sent_at in flying if not b.over]
