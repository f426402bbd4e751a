"""Processes of this machine that stay: begin a job in one, see how far it is, call it off."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from ctypes import c_bool, c_double
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from bpsim.allowance import Allowance, OnProgress, untold
from bpsim.runs.run import CalledOff, Finished, Measure, PlaceFailed, Run, code_fingerprint, make

T = TypeVar("T")
Job = Callable[..., T]
"""A module-level function of some arguments and `on_progress`, which it tells the share done now and then. It travels by name;
its arguments and what it returns are pickled."""
MOST = 4096
"""Jobs at a time, those that wait included."""
LOOK_S = 0.1
"""How often progress is told while somebody waits."""
KILLED = "a process was killed (out of memory?)"


class Workers:
    """Up to `count` processes, each started when there is work for it and kept. They end with this process however it ends.

    `method` is how they are started (`multiprocessing`): "spawn" where threads run, since a fork copies locks as they are. All
    but `spare` of them make the runs of places.
    """

    def __init__(self, count: int, method: str | None = None, spare: int = 0) -> None:
        self.count = count
        self._for_places = threading.Semaphore(max(count - spare, 1))
        self._context = get_context(method)
        self._shares = self._context.RawArray(c_double, MOST)
        self._stops = self._context.RawArray(c_bool, MOST)
        self._free = list(range(MOST))
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._lifeline, self._held = self._context.Pipe(duplex=False)

    @property
    def idle(self) -> int:
        """How many jobs could begin at once."""
        return max(self.count - (MOST - len(self._free)), 0)

    def begin(self, job: Job[T], *arguments: Any) -> Task[T]:
        """Begin `job(*arguments, on_progress=…)`. Raises `PlaceFailed` when there are too many already."""
        with self._lock:
            if not self._free:
                raise PlaceFailed(f"{MOST:,} runs are waiting already")
            slot = self._free.pop()
            self._shares[slot], self._stops[slot] = 0.0, False
            future = self._submit(slot, job, arguments)
        task = Task(future, slot, self)
        future.add_done_callback(task.ended)
        return task

    def _submit(self, slot: int, job: Job[T], arguments: tuple[Any, ...]) -> Future[T]:
        if self._pool is not None:
            with suppress(BrokenProcessPool):
                return self._pool.submit(_perform, slot, job, arguments)
        arrays = self._lifeline, self._held, self._shares, self._stops
        self._pool = ProcessPoolExecutor(self.count, self._context, _hang_on, arrays)
        return self._pool.submit(_perform, slot, job, arguments)

    def share(self, slot: int) -> float:
        """What the job in `slot` told last."""
        return float(self._shares[slot])

    def stop(self, slot: int) -> None:
        """Let the job in `slot` end when it next looks up."""
        self._stops[slot] = True

    def leave(self, slot: int) -> None:
        """`slot` may be used again."""
        self._free.append(slot)

    def place(
        self,
        runs: Sequence[Run],
        measure: Measure[Any],
        allowance: Allowance | None = None,
        look: OnProgress = untold,
    ) -> Finished:
        """A `Place`. Runs within an `allowance` can be called off; `look` is told every now and then how many runs' worth is
        done of those under way, and ends it all by raising."""
        code, numbers, waiting = code_fingerprint(), dict[Task[Any], int](), list(enumerate(runs))[::-1]
        try:
            while waiting or numbers:
                while waiting and self._for_places.acquire(timeout=0.0 if numbers else LOOK_S):
                    number, run = waiting.pop()
                    task = self.begin(make, run, measure, code, allowance)
                    task.future.add_done_callback(lambda future: self._for_places.release())
                    numbers[task] = number
                wait([task.future for task in numbers], LOOK_S, FIRST_COMPLETED)
                for task in [task for task in numbers if task.future.done()]:
                    yield numbers.pop(task), task.result()
                look(sum(task.share for task in numbers))
        finally:
            for task in numbers:
                task.stop()

    def close(self) -> None:
        """End the processes, whatever they do."""
        if self.idle < self.count:
            self._held.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._held.close()
        self._lifeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Task(Generic[T]):
    """A job that was begun."""

    def __init__(self, future: Future[T], slot: int, workers: Workers) -> None:
        self.future = future
        self._slot: int | None = slot
        self._workers = workers
        self._lock = threading.Lock()

    def result(self, on_progress: OnProgress = untold) -> T:
        """What it returns, when it has; meanwhile `on_progress` is told the share done, and ends the waiting by raising.
        Raises what the job raised, and `PlaceFailed` when its process was killed."""
        while not wait([self.future], LOOK_S).done:
            on_progress(self.share)
        try:
            return self.future.result()
        except BrokenProcessPool:
            raise PlaceFailed(KILLED) from None

    @property
    def share(self) -> float:
        """What it told last of how much of it is done."""
        with self._lock:
            return 1.0 if self._slot is None else self._workers.share(self._slot)

    def stop(self) -> None:
        """Nobody wants it any more."""
        if not self.future.cancel():
            with self._lock:
                if self._slot is not None:
                    self._workers.stop(self._slot)

    def ended(self, future: Future[T]) -> None:
        """Its slot is for others."""
        with self._lock:
            if self._slot is not None:
                self._workers.leave(self._slot)
            self._slot = None


def _hang_on(lifeline: Connection, held: Connection, shares: Any, stops: Any) -> None:
    """In a new process: interrupts are the parent's business, and when the parent lets go of `held`, or dies, it is over."""
    global _shares, _stops
    _shares, _stops = shares, stops
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held.close()

    def wait() -> None:
        with suppress(EOFError, OSError):
            lifeline.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


_shares: Any = None
_stops: Any = None
"""In a worker process: what it shares with its parent, by slot."""


def _perform(slot: int, job: Job[T], arguments: tuple[Any, ...]) -> T:
    def tell(share: float) -> None:
        _shares[slot] = share
        if _stops[slot]:
            raise CalledOff

    tell(0.0)
    return job(*arguments, on_progress=tell)
