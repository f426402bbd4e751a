"""The notebooks, made from their sources: jupytext's percent form, which people can read, compare and review."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "notebooks"


def sources() -> list[Path]:
    """One Python file a lesson, in the order of teaching."""
    return sorted(FOLDER.glob("[0-9]_*.py"))


def made() -> Iterator[tuple[Path, str]]:
    """Each notebook and what belongs in it: cells without outputs, numbered, so that the same source makes the same file."""
    import jupytext

    for source in sources():
        notebook = jupytext.read(source)
        notebook.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number}"
        yield source.with_suffix(".ipynb"), jupytext.writes(notebook, fmt="ipynb").rstrip("\n") + "\n"
