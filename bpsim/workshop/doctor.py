"""Whether this machine can do the workshop: what was looked at, what was found, and what to do about it."""

from __future__ import annotations

import socket
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from time import perf_counter

from bpsim.workshop.material import challenges, notebooks

OLDEST = (3, 11)
LONG_S = 2.0
PORT = 8501
"""The dashboard's."""
EXTRAS = {
    "streamlit": "the dashboard: pip install 'bpsim[dashboard]'",
    "jupyterlab": "the lessons: pip install 'bpsim[notebooks]'",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. What is not `needed` may be missing; `fix` says what to do when it is not `well`."""

    what: str
    well: bool
    found: str
    fix: str = ""
    needed: bool = True


def examine(folder: Path) -> Iterator[Finding]:
    """Look at everything; files are written to `folder` and removed again."""
    yield _python(sys.version_info[:3])
    yield from _packages()
    yield _can_write(folder)
    yield _console(sys.stdout.encoding or "")
    yield _browser()
    yield _port(PORT)
    found = f"{len(notebooks())} lessons, {len(challenges())} challenges"
    yield Finding(
        "material", len(notebooks()) == 7 and bool(challenges()), found, "install again: pip install --force-reinstall bpsim"
    )
    yield _smoke()


def _python(found: tuple[int, ...]) -> Finding:
    least = ".".join(map(str, OLDEST))
    fix = f"install Python {least} or newer (python.org, or your system's packages), and make the environment with it"
    return Finding("Python", found >= OLDEST, ".".join(map(str, found)), fix)


def _packages() -> Iterator[Finding]:
    names = [line.split(";")[0] for line in requires("bpsim") or () if "extra ==" not in line]
    for name in (line.split(">")[0].split("=")[0].strip() for line in names):
        yield _package(name, f"python -m pip install {name}", needed=True)
    for name, what in EXTRAS.items():
        yield _package(name, f"only needed for {what}", needed=False)


def _package(name: str, fix: str, needed: bool) -> Finding:
    try:
        return Finding(name, True, version(name), fix, needed)
    except PackageNotFoundError:
        return Finding(name, False, "not installed", fix, needed)


def _can_write(folder: Path) -> Finding:
    fix = "change to a folder of your own (cd), or pass --to to bpsim workshop start"
    try:
        with tempfile.TemporaryDirectory(prefix="bpsim-", dir=folder) as made:
            file = Path(made) / "Prüfung.txt"
            file.write_text("größer", encoding="utf-8")
            return Finding("files here", file.read_text(encoding="utf-8") == "größer", str(folder), fix)
    except OSError as error:
        return Finding("files here", False, f"{folder}: {error.strerror or error}", fix)


def _console(encoding: str) -> Finding:
    well = encoding.lower().replace("-", "").startswith("utf8")
    return Finding(
        "console", well, encoding or "unknown", "plain letters are used instead; PYTHONUTF8=1 shows all", needed=False
    )


def _browser() -> Finding:
    try:
        name = getattr(webbrowser.get(), "name", "") or "found"
        return Finding("browser", True, name, needed=False)
    except webbrowser.Error:
        return Finding("browser", False, "none found", "open the address that bpsim dashboard prints by hand", needed=False)


def _port(number: int) -> Finding:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", number))
            return Finding(f"port {number}", True, "free", needed=False)
        except OSError:
            return Finding(f"port {number}", False, "taken", "bpsim dashboard --port 8600", needed=False)


def _smoke() -> Finding:
    from bpsim.engine import run
    from bpsim.metrics import summary
    from bpsim.scenario_file import load
    from bpsim.shipped import folder

    begin = perf_counter()
    found = summary(run(load(folder() / "gc_pause.yaml").variants["naive"], 1))
    took = perf_counter() - begin
    right = found["after_goodput_per_s"] == 0 and found["success_share"] > 0.1
    fix = "the numbers are not those of other machines: report it, with bpsim doctor --json" if not right else ""
    slow = "" if took < LONG_S else " (slow: take the smaller scenarios of the lessons)"
    return Finding("a run", right, f"{took:.2f} s{slow}", fix)
