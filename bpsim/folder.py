"""Output folders: whole or not at all, and never in place of anything that is not an output."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1


class OutputExists(FileExistsError):
    """The output folder is there already and may not be replaced."""


def check_free(folder: Path, force: bool = False) -> None:
    """Raises `OutputExists` when `folder` is taken, and `OSError` when nothing can be made there.

    `force` frees an empty folder and an earlier output (it has `manifest.json`), never anything else: a mistyped
    `--out` must not cost anybody their work.
    """
    if os.path.lexists(folder):
        if not force:
            raise OutputExists(f"{folder} exists already; choose another --out, or --force to replace it")
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "manifest.json").is_file()):
            raise OutputExists(f"{folder} is not an output of bpsim, so --force does not replace it; choose another --out")
    above = folder.resolve().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise NotADirectoryError(f"{above} is not a folder")
    if not os.access(above, os.W_OK):
        raise PermissionError(f"{above} may not be written to")


def put(folder: Path, fill: Callable[[Path], None], force: bool = False) -> None:
    """Have `fill` write into a new folder and put that in place of `folder`.

    `force` replaces whatever folder is there: ask `check_free` first whether that is an output. Raises `OutputExists`
    without `force`, and whatever `fill` raises; then nothing is left behind and an older folder is untouched.
    """
    if not force:
        check_free(folder)
    folder = folder.resolve()
    missing = [parent for parent in folder.parents if not parent.exists()]  # innermost first
    aside: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        fill(aside)
        aside.chmod(0o755)
        _put_in_place(aside, folder)
    except BaseException:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise


def _put_in_place(aside: Path, folder: Path) -> None:
    """Rename; an older folder goes only when the new one stands in its place, and comes back if it cannot."""
    if not folder.exists():
        aside.rename(folder)
        return
    old = aside.with_name(f"{aside.name}.old")
    folder.rename(old)
    try:
        aside.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """`manifest.json` with `facts` and the SHA-256 of every file in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    manifest = {"schema_version": SCHEMA_VERSION, **facts, "files": sums}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
