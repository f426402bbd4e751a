"""The generated pages of the documentation, by their place under docs/."""

from __future__ import annotations

from handbook.commands import commands_page, metrics_page
from handbook.fields import page as fields_page


def pages() -> dict[str, str]:
    """Name -> Markdown."""
    return {
        "reference/scenario.md": fields_page(),
        "reference/metrics.md": metrics_page(),
        "reference/commands.md": commands_page(),
    }
