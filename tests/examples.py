"""The examples in a Markdown page: commands, Python, files, and what they are said to print."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import yaml
from typer.testing import CliRunner

from bpsim.claims import parse
from bpsim.cli.app import app
from handbook.prose import FENCE

TITLE = re.compile(r'title="([^"]+)"')
INLINE = re.compile(r"`bpsim ([a-z][a-z-]*(?: [a-z]+)?)[^`]*`")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file it is to be saved as, its text."""

    kind: str
    title: str
    text: str
    skipped: bool


def blocks(page: str) -> list[Block]:
    """In order."""
    found = []
    for match in FENCE.finditer(page):
        title = TITLE.search(match["more"])
        found.append(Block(match["kind"], title[1] if title else "", match["text"], match["skip"] is not None))
    return found


def run_page(page: str, folder: Path) -> list[str]:
    """Do in `folder` (the current one) what the page says, block by block. Returns what is not as it says."""
    wrong: list[str] = []
    printed, names = "", {"__name__": "example"}
    for block in blocks(page):
        if block.skipped:
            continue
        if block.kind == "sh":
            printed = "\n".join(_command(line, wrong) for line in block.text.splitlines() if line.startswith("bpsim "))
        elif block.kind == "python":
            stream = io.StringIO()
            with redirect_stdout(stream):
                exec(compile(block.text, "example", "exec"), names)
            printed = stream.getvalue()
        elif block.kind == "text":
            there = _plain(printed)
            wrong += [f"not printed: {line}" for line in block.text.splitlines() if _plain(line) not in there]
        elif block.kind == "yaml" and block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.kind == "yaml":
            _read_claims(block.text)
    return wrong


def _command(line: str, wrong: list[str]) -> str:
    command, _, comment = line.partition("#")
    expected = int(comment.replace("exit code", "")) if "exit code" in comment else 0
    done = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
    if done.exit_code != expected:
        wrong.append(f"exit code {done.exit_code}: {line}\n{done.output}")
    return done.output


def _plain(text: str) -> str:
    """Without differences of space."""
    return " ".join(text.split())


def _read_claims(text: str) -> None:
    """Parse the claims of a fragment. Raises `ValueError`."""
    for claim in (yaml.safe_load(text) or {}).get("expect", []):
        parse(claim["claim"] if isinstance(claim, dict) else claim)
