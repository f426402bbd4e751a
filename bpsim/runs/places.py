"""Where runs are made: in this process, in others on this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from bpsim.runs.run import Measure, Run, RunFailed, code_fingerprint, make

Finished = Generator[tuple[int, Any], None, None]
Place = Callable[[Sequence[Run], Measure[Any]], Finished]
"""Makes and measures runs, and yields (number of the run, its measure) as they finish, in any order. Closing the iterator
calls off what has not finished."""
PATIENCE_S = 10
"""How long a cluster may take to answer."""


class PlaceFailed(RuntimeError):
    """The place cannot make runs (any more): why, and the way out."""


def place_of(on: str | None, jobs: int) -> Place:
    """The place called `on` (`dask://host:port`; None is this machine, with `jobs` processes). Raises `ValueError`."""
    if on is not None:
        return dask(on)
    return here if jobs == 1 else processes(jobs)


def here(runs: Sequence[Run], measure: Measure[Any]) -> Finished:
    """In this process, one after the other."""
    code = code_fingerprint()
    for number, run in enumerate(runs):
        yield number, make(run, measure, code)


def processes(count: int) -> Place:
    """In `count` processes of this machine, which end with this one however it ends."""

    def place(runs: Sequence[Run], measure: Measure[Any]) -> Finished:
        if not runs:
            return
        code = code_fingerprint()
        lifeline, held = Pipe(duplex=False)
        pool = ProcessPoolExecutor(min(count, len(runs)), initializer=_hang_on, initargs=(lifeline, held))
        numbers: dict[Future[Any], int] = {}
        try:
            numbers |= {pool.submit(make, run, measure, code): number for number, run in enumerate(runs)}
            for future in as_completed(numbers):
                yield numbers.pop(future), future.result()
        except BrokenProcessPool:
            raise PlaceFailed("a process was killed (out of memory?); try fewer --jobs or a shorter duration") from None
        finally:
            if numbers:
                held.close()
            pool.shutdown(wait=True, cancel_futures=True)
            held.close()
            lifeline.close()

    return place


def _hang_on(lifeline: Connection, held: Connection) -> None:
    """In a new process: interrupts are the parent's business, and when the parent lets go of `held`, or dies, it is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held.close()

    def wait() -> None:
        with suppress(EOFError, OSError):
            lifeline.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def dask(address: str) -> Place:
    """On the cluster of the Dask scheduler at `address`, `dask://host:port`. A worker that dies is made up for by the
    others. Raises `ValueError` when it is no such address."""
    protocol, separator, host = address.partition("://")
    if protocol != "dask" or not separator or not host.rpartition(":")[2].isdigit():
        raise ValueError(f"'{address}' is not a place; write dask://host:port, where `dask scheduler` says it listens")

    def place(runs: Sequence[Run], measure: Measure[Any]) -> Finished:
        if not runs:
            return
        distributed = _distributed()
        code = code_fingerprint()
        with _client(distributed, host) as client:
            futures = [client.submit(make, run, measure, code, pure=False) for run in runs]
            numbers = {future.key: number for number, future in enumerate(futures)}
            try:
                for future in distributed.as_completed(futures, loop=client.loop):
                    yield numbers.pop(future.key), _result(distributed, future)
            finally:
                with suppress(Exception):
                    client.cancel([future for future in futures if future.key in numbers])

    return place


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise PlaceFailed("Dask is not installed; pip install 'bpsim[distributed]'") from None
    return distributed


def _client(distributed: Any, host: str) -> Any:
    try:
        client = distributed.Client(f"tcp://{host}", timeout=PATIENCE_S, set_as_default=False)
    except OSError:
        raise PlaceFailed(f"no Dask scheduler answers at {host}; start one with `dask scheduler`") from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError:
        client.close()
        raise PlaceFailed(f"the scheduler at {host} has no workers; start some with `dask worker tcp://{host}`") from None
    return client


def _result(distributed: Any, future: Any) -> Any:
    try:
        return future.result()
    except RunFailed:
        raise
    except distributed.KilledWorker:
        raise PlaceFailed("a run killed several workers, one after the other (out of memory?)") from None
    except ModuleNotFoundError as error:
        raise PlaceFailed(f"a worker has no '{error.name}'; install the same bpsim there") from None
    except Exception as error:
        raise PlaceFailed(f"the cluster gave up: {type(error).__name__}: {error}") from None
