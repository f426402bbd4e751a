"""Where the workshop's files are: inside the installed package, or (the notebooks) beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def notebooks() -> list[Path]:
    """The lessons, in the order of teaching."""
    inside = HERE / "notebooks"
    return sorted((inside if inside.is_dir() else HERE.parents[1] / "notebooks").glob("*.ipynb"))


def challenges() -> dict[str, Path]:
    """Name -> scenario file, in the order of difficulty."""
    return _by_name("challenges")


def incidents() -> dict[str, Path]:
    """Name -> scenario file."""
    return _by_name("incidents")


def _by_name(kind: str) -> dict[str, Path]:
    return {file.stem: file for file in sorted((HERE / kind).glob("*.yaml"))}
