"""What mkdocs calls while it builds: the reference pages are made from the code of the moment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    from handbook.pages import pages

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files
