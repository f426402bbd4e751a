"""The page: figures drawn, tables filled, put into the template."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpsim.explanation import TITLES, Explanation, explain
from bpsim.metrics.headlines import HEADLINES
from bpsim.plots import FIGURES, alt_text
from bpsim.plots.reading import Reading, read
from bpsim.plots.twins import Twin, twin
from bpsim.report.parameters import Parameter, parameters
from bpsim.report.stress import Item, checklist
from bpsim.result import Result

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

ABREAST = 4
"""Variants side by side in one picture."""
DPI, COARSE, MANY = 100, 72, 4
"""Dots an inch, and when there are more than `MANY` variants."""
COLOURS = 256
"""Colours of a picture, chosen so that the rare ones of a label stay what they are: a third of the size."""
CAPTIONS = {
    "wave": "The wave",
    "ladder": "The ladder",
    "goodput": "Offered, attempted, answered in time",
    "latency": "Latency over time",
    "heatmap": "Every latency",
    "losses": "Where requests and records ended",
    "waterfall": "The ledger as a waterfall",
    "memory": "Memory",
    "tier_time": "Time in each tier",
    "trace": "One slow request",
}


@dataclass(frozen=True)
class Picture:
    """A figure of the page: one image a row of variants, each with its words, and the table that says the same."""

    name: str
    caption: str
    images: tuple[tuple[str, str], ...]
    """(data URI, alternative text)."""
    twin: Twin


def page(document: Mapping[str, Any], results: Mapping[str, Result]) -> str:
    """`report.html`: `document` is that of `summary.json`, `results` its runs by variant.

    The same document and results give the same text, byte for byte; nothing of it is fetched from anywhere.
    """
    readings = read(results) if results else {}
    explanations = {name: explain(reading.result, reading.summary) for name, reading in readings.items()}
    return _template().render(
        document=document,
        verdicts=list(_verdicts(document, explanations)),
        claims=document["claims"],
        numbers=_numbers(document),
        pictures=[_picture(name, readings) for name in FIGURES] if readings else [],
        explanations=[(name, one, _parts(one)) for name, one in explanations.items()],
        parameters=_parameters(readings),
        names=list(readings),
        checklist=_checklist(document, readings),
        provenance=_provenance(document, readings),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    text = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _verdicts(document: Mapping[str, Any], explanations: Mapping[str, Explanation]) -> Iterator[tuple[str, str, str, str]]:
    """Variant, state, the verdict in words, and where it began."""
    for name, one in explanations.items():
        verdict = document["variants"][name]["verdict"] or {"state": "not judged", "words": "The run was interrupted."}
        yield name, verdict["state"], verdict["words"], one.headline


def _numbers(document: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The headline metrics in which there is something to see: label and one cell a variant."""
    rows = []
    for line in HEADLINES:
        values = [variant["metrics"].get(line.metric) for variant in document["variants"].values()]
        if any(value not in (None, 0) for value in values):
            shown = ["–" if value is None else value if isinstance(value, str) else line.show(value) for value in values]
            rows.append((line.label, shown))
    return rows


def _picture(name: str, readings: dict[str, Reading]) -> Picture:
    dpi, images, left = (DPI if len(readings) <= MANY else COARSE), [], iter(readings.items())
    while some := dict(islice(left, ABREAST)):
        images.append((_image(FIGURES[name](some), dpi), alt_text(name, some)))
    return Picture(name, CAPTIONS[name], tuple(images), twin(name, readings))


def _image(figure: Figure, dpi: int) -> str:
    """A figure as a data URI: of few colours, packed as WebP without loss, a sixth less than as PNG."""
    from PIL import Image

    drawn, packed = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    few = Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.convert("RGB").save(packed, "webp", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}"


def _parts(one: Explanation) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (title, [(finding.words, finding.place) for finding in one.part(part)])
        for part, title in TITLES.items()
        if one.part(part)
    ]


def _parameters(readings: Mapping[str, Reading]) -> list[Parameter]:
    return parameters({name: reading.result for name, reading in readings.items()})


def _checklist(document: Mapping[str, Any], readings: Mapping[str, Reading]) -> list[Item]:
    return checklist(document, {name: reading.result for name, reading in readings.items()})


def _provenance(document: Mapping[str, Any], readings: Mapping[str, Reading]) -> list[tuple[str, str]]:
    """What made the numbers; no clock time, so that the page is the same when it is made again."""
    rows = [("seed", str(document["seed"]))]
    for name, reading in readings.items():
        made = reading.result.provenance
        rows.append(
            (f"{name}: simulated", f"{reading.end:,.4g} s, {made.get('events', 0):,} events, engine {made.get('engine')}")
        )
        rows.append((f"{name}: fingerprint of all tables (SHA-256)", document["variants"][name]["fingerprint"]))
    versions: dict[str, str] = next((reading.result.provenance.get("versions", {}) for reading in readings.values()), {})
    return [*rows, ("versions", ", ".join(f"{package} {version}" for package, version in versions.items()))]
