"""`python -m handbook`: makes the notebooks again from their sources. `python -m handbook answers`: runs them, too, and writes
the facilitator's answers. Says what was out of date. `python -m handbook numbers`: where each number of the prose comes from,
and exit code 1 when one comes from nowhere or is another."""

from __future__ import annotations

import sys
from pathlib import Path

from handbook import answers, origins
from handbook.notebooks import made
from handbook.prose import parts


def main(words: list[str]) -> None:
    """Write what differs, or show the numbers."""
    if words == ["numbers"]:
        sys.exit(_show_numbers())
    for path, text in made():
        _renew(path, text)
    if words == ["answers"]:
        _renew(answers.PAGE, answers.page())


def _show_numbers() -> int:
    found = 0
    for path in origins.written():
        page, name = path.read_text(encoding="utf-8"), path.relative_to(origins.ROOT)
        for part in parts(page):
            for one in part.clauses:
                print(f"{name}:{part.line}: {one.number} {one.how} {one.what}".rstrip())
        for line in origins.wrong(page):
            print(f"WRONG {name} {line}")
            found += 1
    return min(found, 1)


def _renew(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"written: {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
