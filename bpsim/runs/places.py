"""Where runs are made: in this process, in others on this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bpsim.runs.run import Finished, Measure, PlaceFailed, Run, RunFailed, code_fingerprint, make
from bpsim.runs.workers import Workers

Place = Callable[[Sequence[Run], Measure[Any]], Finished]
"""Makes and measures runs."""
PATIENCE_S = 10
"""How long a cluster may take to answer."""


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
        with Workers(min(count, len(runs))) as workers:
            try:
                yield from workers.place(runs, measure)
            except PlaceFailed as error:
                raise PlaceFailed(f"{error}; try fewer --jobs or a shorter duration") from None

    return place


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
