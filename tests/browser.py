"""A real browser on the served dashboard, for `test_browser.py`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpsim.dashboard.serve import command

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A dashboard that is up."""

    url: str
    pid: int


def until_up(url: str) -> None:
    """Wait until the server at `url` answers; after a minute whoever asks will see that it does not."""
    for _ in range(600):
        try:
            if urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).status == 200:
                break
        except OSError:
            time.sleep(0.1)


@contextmanager
def served() -> Iterator[Server]:
    """The dashboard as `bpsim dashboard` serves it."""
    port = free_port()
    server = subprocess.Popen(command(port, "127.0.0.1", False), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until_up(url)
        yield Server(url, server.pid)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


class Visit:
    """One visitor's page, and everything that went wrong on it. Pages of one `context` share what the browser has loaded
    before, so that all but the first come quickly."""

    def __init__(self, context: Any, url: str, width: int = 1280, query: str = "", **media: Any) -> None:
        self.url = url
        self.page = context.new_page()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(**media)
        self.page.set_default_timeout(120_000)
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._watch)
        self.page.goto(f"{url}/{query}")
        self.player = self.page.locator(".player")
        self.player.wait_for()

    def _watch(self, request: Any) -> None:
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.faults.append(f"external request: {request.url}")

    def verdict(self, word: str) -> None:
        """Wait until the verdict says so."""
        self.page.locator("[data-testid=stMain]").get_by_text(word, exact=True).first.wait_for()

    def section(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).click()

    def idle(self) -> None:
        """Wait until what has begun to be shown is shown to its end: what is on the page until then may yet be replaced."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for(state="attached")

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds`, as long as for anything else."""
        for _ in range(1200):
            if holds():
                return
            self.page.wait_for_timeout(100)
        raise TimeoutError("it never came to hold")

    def settle(self) -> None:
        """Wait until the page is computed and stands still: a click meant for something that moves meets something else."""
        for _ in range(2):
            self.idle()
            self.page.wait_for_timeout(500)

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name)

    @property
    def time_s(self) -> float:
        """Where the player stands."""
        return float(self.player.get_attribute("data-time") or "nan")

    def pause(self) -> None:
        if self.player.locator(".play").get_attribute("aria-pressed") == "true":
            self.player.locator(".play").click()

    def leave(self) -> None:
        """Close, and hold that nothing went wrong."""
        self.page.close()
        assert not self.faults, self.faults
