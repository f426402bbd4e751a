"""Starts the application on a free port of this machine, and sends it more than it can take."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from examples.fail_fast_api.settings import Settings

HOST = "127.0.0.1"
READY_S = 60.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The address of the application, which runs under uvicorn in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "examples.fail_fast_api.app:create_app"]
    command += ["--host", HOST, "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(command, env=os.environ | settings.environment()) as server:
        try:
            url = f"http://{HOST}:{port}"
            _wait_until_ready(url, server)
            yield url
        finally:
            server.terminate()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and server.poll() is None:
        try:
            httpx.get(f"{url}/stats", timeout=READY_S).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer; uvicorn ended with {server.poll()}")


@dataclass
class Tally:
    """What the client saw."""

    sent: int = 0
    took_s: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    """`accepted`, or the reason of a 429."""
    accepted: list[int] = field(default_factory=list)
    """The numbers of the records that were accepted."""
    retry_after: set[str] = field(default_factory=set)
    """Every Retry-After header of a 429."""


async def drive(url: str, requests: int, rate: float | None, size: int = 200, seed: int = 1) -> Tally:
    """`requests` records of `size` bytes, each beginning with its number: as a Poisson stream, or without a `rate` as fast as
    twenty connections can."""
    tally, start = Tally(), time.monotonic()
    limits = httpx.Limits(max_connections=20 if rate is None else 100)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60.0) as client:
        async with asyncio.TaskGroup() as group:
            async for number in _numbers(requests, rate, random.Random(seed)):
                group.create_task(_send(client, number, size, tally))
        tally.took_s = time.monotonic() - start
    return tally


async def _numbers(requests: int, rate: float | None, chance: random.Random) -> AsyncIterator[int]:
    due = time.monotonic()
    for number in range(requests):
        if rate is not None:
            due += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield number


async def _send(client: httpx.AsyncClient, number: int, size: int, tally: Tally) -> None:
    tally.sent += 1
    response = await client.post("/records", content=f"{number} ".encode().ljust(size, b"."))
    if response.status_code == 202:
        tally.answers["accepted"] += 1
        tally.accepted.append(number)
    else:
        assert response.status_code == 429, response.text
        tally.answers[response.json()["rejected"]] += 1
        tally.retry_after.add(response.headers["Retry-After"])


def drained(url: str) -> dict[str, Any]:
    """The application's stats once every accepted record has its delivery report."""
    end = time.monotonic() + READY_S
    while True:
        stats: dict[str, Any] = httpx.get(f"{url}/stats", timeout=READY_S).json()
        if stats["delivered"] + stats["failed"] == stats["accepted"] or time.monotonic() > end:
            return stats
        time.sleep(0.05)
