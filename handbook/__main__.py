"""`python -m handbook`: makes the notebooks again from their sources. `python -m handbook answers`: runs them, too, and writes
the facilitator's answers. Says what was out of date."""

from __future__ import annotations

import sys
from pathlib import Path

from handbook import answers
from handbook.notebooks import made


def main(words: list[str]) -> None:
    """Write what differs."""
    for path, text in made():
        _renew(path, text)
    if words == ["answers"]:
        _renew(answers.PAGE, answers.page())


def _renew(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"written: {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
