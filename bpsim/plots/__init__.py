"""Results -> figures, one column a variant. Nothing here simulates, and matplotlib is loaded by the first figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bpsim.names import the
from bpsim.plots.heatmap import heatmap, heatmap_finding
from bpsim.plots.ladder import ladder, ladder_finding
from bpsim.plots.lines import goodput, goodput_finding, latency, latency_finding
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.stacks import losses, losses_finding, memory, memory_finding
from bpsim.plots.style import NB, RC, Plot
from bpsim.plots.waterfall import waterfall, waterfall_finding
from bpsim.plots.wave import onsets, wave, wave_finding
from bpsim.plots.ways import tier_time, tier_time_finding, trace, trace_finding

FIGURES: dict[str, Plot] = {
    "wave": wave,
    "ladder": ladder,
    "goodput": goodput,
    "latency": latency,
    "heatmap": heatmap,
    "losses": losses,
    "waterfall": waterfall,
    "memory": memory,
    "tier_time": tier_time,
    "trace": trace,
}
"""Every figure, in the order of telling: name -> function of results by variant."""

__all__ = ["FIGURES", "alt_text", "save_figures"]

_SHOWS: dict[str, tuple[str, Callable[[Reading], str]]] = {
    "wave": ("Heat map of pressure by tier (client on top) and time", lambda reading: _wave_words(reading)),
    "ladder": ("Bars of lasting pressure by tier, from when to when", ladder_finding),
    "heatmap": ("Heat map of the time to the final outcome, log scale, against time", heatmap_finding),
    "waterfall": ("Waterfall from all requests and records to those of use", waterfall_finding),
    "tier_time": ("Bars of the seconds queued, served and blocked in each tier, at p50 and p99", tier_time_finding),
    "trace": ("Spans of one of the slowest requests, hop by hop", trace_finding),
    "latency": ("Lines of p50, p95 and p99 request latency over time, log scale", latency_finding),
    "memory": ("Stacked areas of the bytes each tier holds over time", memory_finding),
    "losses": ("Bars of how requests and records ended", losses_finding),
    "goodput": ("Lines of requests offered, attempted and answered in time, per second", goodput_finding),
}


def alt_text(name: str, results: Results) -> str:
    """Figure `name` in words, for those who cannot see it: what is drawn, the fault, and each variant's key numbers."""
    shows, finding = _SHOWS[name]
    readings = read(results)
    sentences = [f"{shows}."]
    for reading in readings.values():
        for fault in reading.faults:
            sentence = f"Fault: {fault.words} from {fault.begin:g} s to {fault.end:g} s."
            if sentence not in sentences:
                sentences.append(sentence)
    sentences += [f"{variant}: {finding(reading)}." for variant, reading in readings.items()]
    return " ".join(sentences).replace(NB, " ")


def _wave_words(reading: Reading) -> str:
    began = sorted(onsets(reading).items(), key=lambda item: item[1])
    order = ", ".join(f"{the(tier)} at {moment:.1f} s" for tier, moment in began)
    return wave_finding(reading) + (f" ({order})" if order else "")


def save_figures(results: Results, folder: Path, formats: Sequence[str] = ("svg", "png")) -> list[Path]:
    """Draw every figure into `folder`, which must exist; an SVG of the same results is the same file, byte for byte.
    Returns the paths written."""
    from matplotlib import rc_context

    readings = read(results)
    ours: Any = {key: value for key, value in RC.items() if key.startswith(("svg", "hatch"))}
    written = []
    for name, plot in FIGURES.items():
        figure = plot(readings)
        for kind in formats:
            path = folder / f"{name}.{kind}"
            about = {"Title": name, "Subject" if kind == "pdf" else "Description": alt_text(name, readings)}
            with rc_context(ours):
                figure.savefig(path, metadata=about | ({"Date": None} if kind == "svg" else {}))
            written.append(path)
    return written
