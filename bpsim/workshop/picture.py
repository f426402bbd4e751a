"""A figure in a notebook, with its words for those who cannot see it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from bpsim.plots import FIGURES, alt_text
from bpsim.result import Result


class Picture:
    """One of `plots.FIGURES` of `results`, which notebooks show as an image."""

    def __init__(self, name: str, results: Mapping[str, Result]) -> None:
        self.figure = FIGURES[name](results)
        self.words = alt_text(name, results)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=72)
        return {"image/png": file.getvalue(), "text/plain": self.words}, {"image/png": {"alt": self.words}}
