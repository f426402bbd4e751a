"""Results -> figures, one column a variant. Nothing here simulates, and matplotlib is loaded by the first figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bpsim.plots.lines import goodput, goodput_finding, latency, latency_finding
from bpsim.plots.reading import Reading, Results, read
from bpsim.plots.stacks import losses, losses_finding, memory, memory_finding
from bpsim.plots.style import NB, RC, Plot
from bpsim.plots.wave import onsets, wave, wave_finding

__all__ = ["FIGURES", "alt_text", "goodput", "latency", "losses", "memory", "save_figures", "wave"]

FIGURES: dict[str, Plot] = {
    "wave": wave,
    "latency": latency,
    "memory": memory,
    "losses": losses,
    "goodput": goodput,
}
"""Every figure, in the order of telling: name -> function of results by variant."""

_SHOWS: dict[str, tuple[str, Callable[[Reading], str]]] = {
    "wave": ("Heat map of pressure by tier (client on top) and time", lambda reading: _wave_words(reading)),
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
    order = ", ".join(f"{tier} at {moment:.1f} s" for tier, moment in began)
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
            about = {"Title": name, "Description": alt_text(name, readings)}
            with rc_context(ours):
                figure.savefig(path, metadata=about | ({"Date": None} if kind == "svg" else {}))
            written.append(path)
    return written
