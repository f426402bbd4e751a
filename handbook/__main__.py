"""`python -m handbook`: makes the notebooks and the facilitator's numbers again; says which of them were out of date."""

from __future__ import annotations

from handbook.notebooks import made


def main() -> None:
    """Write what differs."""
    for path, text in made():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"written: {path.name}")


if __name__ == "__main__":
    main()
