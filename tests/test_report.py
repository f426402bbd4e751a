"""The one-page report: whole, alone, the same every time, and for every reader."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bpsim.cli.app import app
from bpsim.experiment import Experiment, run_variants
from bpsim.metrics.journeys import Journeys
from bpsim.output import summary_document, write
from bpsim.plots import FIGURES, alt_text
from bpsim.plots.reading import read
from bpsim.plots.style import BLUE, GREY, ORANGE, PURPLE, RED, VIOLET, contrasting
from bpsim.plots.twins import twin
from bpsim.report import page
from bpsim.report.parameters import parameters
from bpsim.report.stress import checklist
from bpsim.scenario_file import load
from tests.files import TINY
from tests.made_results import Asked, Hop, Made, Try, made, once

PALETTE = (BLUE, ORANGE, RED, PURPLE, GREY, VIOLET)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    path = tmp_path_factory.mktemp("report") / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return run_variants(load(path), 1)


@pytest.fixture(scope="module")
def text(experiment: Experiment) -> str:
    return page(summary_document(experiment), experiment.results)


class Reader(HTMLParser):
    """What a browser would fetch, and what it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        links = [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action") and value]
        self.fetched += [link for link in links if not link.startswith(("data:", "#"))]
        if tag == "img":
            self.images.append(found)


def test_the_page_fetches_nothing_and_runs_nothing(text: str) -> None:
    reader = Reader(text)
    assert not reader.fetched
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert "url(" not in text and "@import" not in text


def test_every_part_is_there(text: str) -> None:
    parts = {"verdict", "claims", "why", "figures", "numbers", "ledger", "parameters", "provenance", "stress"}
    assert parts | set(FIGURES) <= set(Reader(text).ids)
    assert text.index('id="verdict"') < text.index('id="why"') < text.index('id="figures"')


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two figures: drawing them all takes seconds."""
    monkeypatch.setattr(sys.modules["bpsim.report.page"], "FIGURES", {name: FIGURES[name] for name in ("losses", "goodput")})


@pytest.mark.usefixtures("few_figures")
def test_the_same_run_makes_the_same_page_again(experiment: Experiment) -> None:
    text = page(summary_document(experiment), experiment.results)
    again = run_variants(experiment.file, 1)
    walls = [one.results["naive"].provenance["wall_s"] for one in (experiment, again)]
    assert walls[0] != walls[1], "the clock is not in the page"
    assert page(summary_document(again), again.results) == text


@pytest.mark.usefixtures("few_figures")
def test_a_saved_run_makes_the_same_page(experiment: Experiment, tmp_path: Path) -> None:
    text = page(summary_document(experiment), experiment.results)
    write(experiment, tmp_path / "out", ["bpsim"], lambda folder: None)
    done = CliRunner().invoke(app, ["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text


def test_the_page_is_small_enough_to_be_sent(text: str) -> None:
    assert len(text.encode()) < 1_000_000


def test_pictures_lose_their_rare_colours_at_most_and_are_smaller_than_as_png(text: str, experiment: Experiment) -> None:
    drawn, png = io.BytesIO(), io.BytesIO()
    FIGURES["losses"](read(experiment.results)).savefig(drawn, format="png", dpi=100)
    plain = Image.open(drawn).convert("RGB")
    uri = next(image["src"] or "" for image in Reader(text).images if image["alt"] == alt_text("losses", experiment.results))
    packed = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    far = np.abs(np.asarray(Image.open(io.BytesIO(packed)).convert("RGB"), float) - np.asarray(plain, float)).max(axis=2)
    assert far.max() < 64 and (far > 16).mean() < 0.001
    plain.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(png, "png", optimize=True)
    assert len(packed) < 0.95 * len(png.getvalue())


def test_every_figure_says_the_same_in_words_and_in_a_table(text: str, experiment: Experiment) -> None:
    images = Reader(text).images
    assert len(images) == len(FIGURES)
    for image in images:
        assert image["alt"] and "naive: " in image["alt"]
    for name in FIGURES:
        table = twin(name, experiment.results)
        assert table.rows and {row[0] for row in table.rows} == {"naive", "no_retry"}, name
        assert all(len(row) == len(table.columns) for row in table.rows), name


def test_the_table_of_the_ledger_has_its_numbers(experiment: Experiment) -> None:
    rows = {row[:3]: row[3] for row in twin("losses", experiment.results).rows}
    offered = len(experiment.results["naive"].tables["requests"]["born_s"])
    assert rows["naive", "requests", "all"] == f"{offered:,}"


def test_claims_are_told_with_their_values(text: str, experiment: Experiment) -> None:
    assert "<code>naive.amplification &gt; 1</code>" in text
    value = experiment.summaries["naive"]["amplification"]
    assert f"naive.amplification = {value:.4g}" in text


def test_parameters_are_those_that_were_chosen(experiment: Experiment) -> None:
    found = {one.path: one for one in parameters(experiment.results)}
    assert found["client.retry.kind"].values == ("immediate", "")
    assert found["client.arrivals.rate"].place == "4"
    assert found["faults.0.factor"].values == ("5.0", "5.0")
    assert "api.reject_time" not in found, "at its default"


def test_the_checklist_says_what_the_author_has_to_add(experiment: Experiment) -> None:
    items = checklist(summary_document(experiment), experiment.results)
    assert [item.number for item in items if not item.filled] == ["3.1", "3.2", "5.4"]
    assert len(items) == 24


@pytest.mark.usefixtures("few_figures")
def test_warnings_are_on_the_page(experiment: Experiment) -> None:
    document = summary_document(experiment) | {"warnings": ["too short & censored"]}
    assert "too short &amp; censored" in page(document, experiment.results)


def test_an_interrupted_run_without_results_has_a_page(experiment: Experiment) -> None:
    document = summary_document(experiment) | {"variants": {}, "claims": []}
    assert "Does a tiny run work?" in page(document, {})


@pytest.mark.usefixtures("few_figures")
def test_figures_come_in_the_formats_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY, encoding="utf-8")
    done = CliRunner().invoke(app, ["run", "tiny.yaml", "--figures", "pdf", "--variant", "naive", "--quiet"])
    assert done.exit_code == 0, done.output
    assert {path.suffix for path in Path("out/tiny/figures").iterdir()} == {".pdf"}
    assert Path("out/tiny/report.html").stat().st_size > 10_000
    assert "report.html" in json.loads(Path("out/tiny/manifest.json").read_text())["files"]
    assert CliRunner().invoke(app, ["run", "tiny.yaml", "--figures", "gif", "--force"]).exit_code == 2


def test_the_times_in_the_tiers_add_up_to_the_whole_way() -> None:
    one = Asked(1.0, (Try(1.0, 4.0, admitted_s=1.5, started_s=2.0, served_s=3.0, freed_s=4.0),))
    hops = [
        Hop("producer", 0, 1, 4.0, 4.25, 4.5, 4.5), Hop("broker", 0, 1, 4.5, left_s=6.5),
        Hop("consumer", 0, 1, 6.5, 6.5, 6.75, 7.0), Hop("flink", 0, 1, 7.0, 7.5, 8.0, 9.0),
        Hop("writer", 0, 1, 9.0, 9.5, 10.0, 10.0),
    ]  # fmt: skip
    tiers: dict[str, dict[str, object]] = {name: {} for name in ("producer", "broker", "consumer", "flink", "writer")}
    journeys = Journeys(made([one], [Made(0, 4.0, 10.0)], hops, end=12, **tiers))
    at = journeys.at(0.5)
    assert at["client"]["queued"] == 0.5
    assert at["api"] == {"queued": 0.5, "served": 1.0, "blocked": 1.0}
    assert at["broker"] == {"queued": 2.0, "served": 0.0, "blocked": 0.0}
    assert at["flink"] == {"queued": 0.5, "served": 0.5, "blocked": 1.0}
    assert sum(sum(ways.values()) for ways in at.values()) == 9.0 == float(journeys.total[0])


def test_the_request_that_is_traced_is_the_one_at_p99() -> None:
    trace = Journeys(made([once(0, latency / 1000) for latency in range(1, 101)])).trace()
    assert trace is not None
    assert (trace.request, trace.rank, trace.ended_s) == (98, 0.99, pytest.approx(0.099))
    assert [(span.tier, span.what) for span in trace.spans] == [("client", "try 1: ok"), ("api", "try 1 served")]


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = (to_xyz @ np.clip(rgb, 0, 1)) / np.array([0.9505, 1.0, 1.089])
    fx, fy, fz = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


SIGHT = {
    "normal": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
"""Machado, Oliveira and Fernandes (2009), severity 1."""


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart_with_every_kind_of_colour_vision(sight: str) -> None:
    seen = [lab(SIGHT[sight] @ linear(colour)) for colour in PALETTE]
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a in range(6) for b in range(a)}
    worst = min(apart, key=lambda pair: apart[pair])
    assert apart[worst] >= 20, f"{PALETTE[worst[0]]} and {PALETTE[worst[1]]}: {apart[worst]:.1f}"


def contrast(colour: np.ndarray) -> float:
    return float(1.05 / (colour @ np.array([0.2126, 0.7152, 0.0722]) + 0.05))


def test_words_stand_out_from_white() -> None:
    for colour in PALETTE:
        rgb = np.array(contrasting(colour))
        assert contrast(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)) >= 4.5, colour
    css = (Path(__file__).parents[1] / "bpsim" / "report" / "page.html").read_text(encoding="utf-8")
    inks = dict(re.findall(r"--(ink|soft|bad|good|middle): (#[0-9a-f]{6})", css))
    assert len(inks) == 5
    for name, colour in inks.items():
        assert contrast(linear(colour)) >= 4.5, name
