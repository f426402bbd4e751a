"""How long a visitor of the dashboard waits, in a real browser: `python -m benchmarks.dashboard [--rounds N] [--write]`.

Each round starts a server and a browser of its own, opens the default view, then turns a knob four times, each time to a value
that nobody has asked for yet. Measured are the wall seconds until the visitor sees the figures, the verdict and the last chart,
and what the server and the browser compute for it in CPU seconds. All of it is also told as a ratio to a million bare SimPy
timeouts measured in the same round (wall to wall, CPU to CPU): trust that where the machine is shared. `--write` renews
`docs/performance-dashboard.md`.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from os import cpu_count, getpid
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.speed import bare_simpy
from tests.browser import CHROMIUM, served

TIMEOUTS = 1_000_000
PAGE = Path(__file__).parents[1] / "docs" / "performance-dashboard.md"
KNOB, TURNS = "Client timeout", 4
WATCH = """
() => {
  const every = (selector) => [...document.querySelectorAll(selector)]
  const now = () => ({
    figures: every("[data-testid=stMetricValue]").map((e) => e.textContent).join("|"),
    verdict: every("[data-testid=stMain] .stMarkdownBadge")[0]?.textContent,
    charts: every("[data-testid=stVegaLiteChart] svg").length,
    words: every("[data-testid=stVegaLiteChart]").map((e) => e.getAttribute("aria-label") ?? "").join(""),
    idle: every("[data-test-script-state=notRunning]").length > 0,
  })
  window.begin = (anew) => {
    const seen = {}, start = performance.now(), was = anew ? now() : { figures: "", words: "" }
    window.seen = seen
    const look = () => {
      const found = now(), at = (performance.now() - start) / 1000
      if (found.figures && found.figures !== was.figures) seen.figures ??= at
      if (seen.figures && found.verdict && found.verdict !== "judging") seen.verdict ??= at
      const drawn = found.charts === 5 && found.words.includes("attempts were made") && found.words !== was.words
      if (seen.figures && found.charts > 0 && found.words !== was.words) seen.wave ??= at
      if (seen.figures && drawn) seen.charts ??= at
      if (seen.verdict && seen.charts && found.idle) seen.done ??= at
      if (!seen.done) setTimeout(look, 20)
    }
    look()
  }
}
"""
"""Notes when each thing is seen first; a knob is answered by other figures than before."""


@contextmanager
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def cpu_seconds(root: int) -> float:
    """CPU seconds of a process and all that it started and that still runs."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], spent[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / 100
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(spent.get(pid, 0.0) for pid in below)


def moments(page: Any) -> dict[str, float]:
    """Wall seconds until each thing was seen."""
    page.wait_for_function("() => window.seen?.done", timeout=120_000)
    return dict(page.evaluate("() => window.seen"))


def bare() -> dict[str, float]:
    """Seconds, of wall and of CPU, for bare SimPy timeouts."""
    start = process_time()
    rate = bare_simpy(TIMEOUTS)
    return {"bare": TIMEOUTS / rate, "bare CPU": process_time() - start}


def one_round() -> dict[str, float]:
    """Everything measured once."""
    found, start = bare(), perf_counter()
    with browser() as chromium, served() as server:
        found["server is up"] = perf_counter() - start
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(f"({WATCH})(); window.begin(false)")
        mine = cpu_seconds(getpid())
        page.goto(server.url)
        found |= {f"first view: {name}": value for name, value in moments(page).items()}
        found |= _computed("first view", mine, 0.0, server.pid)
        knob = page.get_by_role("slider", name=KNOB)
        turns = [_turn(page, knob, server.pid) for _ in range(TURNS)]
        found |= {name: median(turn[name] for turn in turns) for name in turns[0]}
    return found


def _turn(page: Any, knob: Any, pid: int) -> dict[str, float]:
    """One step of the knob, from a page at rest."""
    page.wait_for_timeout(500)
    mine, server = cpu_seconds(getpid()), cpu_seconds(pid)
    page.evaluate("() => window.begin(true)")
    knob.focus()
    page.keyboard.press("ArrowRight")
    return {f"knob: {name}": value for name, value in moments(page).items()} | _computed("knob", mine, server, pid)


def _computed(what: str, mine: float, server: float, pid: int) -> dict[str, float]:
    """CPU seconds since, of the server and of the browser (all that this process has started but the server)."""
    now = cpu_seconds(pid)
    return {
        f"{what}: CPU of the server": now - server,
        f"{what}: CPU of the browser": cpu_seconds(getpid()) - mine - now + server,
    }


def main() -> None:
    """Measure, print the medians, and with `--write` keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rounds = [one_round() for _ in range(options.rounds)]
    lines = ["| measured | seconds | as a ratio |", "|---|---|---|"]
    for name in rounds[0]:
        unit = "bare CPU" if "CPU" in name else "bare"
        lines.append(f"| {name} | {median(r[name] for r in rounds):.2f} | {median(r[name] / r[unit] for r in rounds):.2f} |")
    print("\n".join(lines))
    if options.write:
        head = (
            "# Performance of the dashboard\n\nWritten by `python -m benchmarks.dashboard --write`: medians of "
            f"{options.rounds} rounds, each with a server and a browser of its own. The ratios are to a million bare SimPy "
            f"timeouts (`bare`) measured in the same round; trust those.\n\nPython {platform.python_version()}, "
            f"{platform.machine()}, {cpu_count()} cores.\n\n"
        )
        PAGE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
