"""A Dask scheduler and workers of their own processes, on loopback."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass
class Cluster:
    """`address` is what `--on` wants; a worker is a process."""

    scheduler: subprocess.Popen[str]
    address: str
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def add_worker(self) -> subprocess.Popen[str]:
        """One more worker of one thread, without a nanny: a killed one does not come back."""
        words = ("worker", self.address.replace("dask", "tcp"), "--nthreads", "1", "--no-nanny", "--no-dashboard")
        self.workers.append(_dask(*words))
        return self.workers[-1]


def _dask(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "distributed.cli." + f"dask_{words[0]}", *words[1:]]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@contextmanager
def cluster(workers: int) -> Iterator[Cluster]:
    """A scheduler on a free port and its workers; all of them end with the block."""
    scheduler = _dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
    found = None
    try:
        assert scheduler.stderr is not None
        for line in scheduler.stderr:
            if match := re.search(r"tcp://(127\.0\.0\.1:\d+)", line):
                found = Cluster(scheduler, f"dask://{match[1]}")
                break
        assert found is not None, "the scheduler said no address"
        for _ in range(workers):
            found.add_worker()
        yield found
    finally:
        for process in (*(found.workers if found else ()), scheduler):
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
