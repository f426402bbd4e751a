"""Figures of results made by hand: what they say, that they can be read, and that they are the same every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bpsim.plots import FIGURES, alt_text, save_figures
from bpsim.plots.reading import Reading
from bpsim.plots.stacks import record_lines, shown_until
from bpsim.plots.style import NB, contrasting, count, percent, seconds, size, spread
from bpsim.plots.wave import alive, onsets, stretches
from bpsim.result import Fate
from tests.made_runs import OK, WRITER, calm, crashed, faulty, made, steady, variants


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def said(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_titled_column_a_variant(name: str) -> None:
    figure = FIGURES[name](variants())
    words = said(figure)
    for variant in ("calm", "with fault", "crashed"):
        assert variant in words


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_are_smaller_than_nine_points_or_outside_the_figure(name: str) -> None:
    figure = FIGURES[name](variants())
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    assert width >= 1600
    for text in texts(figure):
        assert float(text.get_fontsize()) >= 9, text
        if text.get_in_layout():
            box = text.get_window_extent()
            assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, (text, box)


@pytest.mark.parametrize("name", ["latency", "goodput", "memory", "losses"])
def test_labels_beside_the_axes_do_not_overlap(name: str) -> None:
    figure = FIGURES[name](variants())
    figure.draw_without_rendering()
    for ax in figure.axes:
        right = ax.get_window_extent().x1
        boxes = [text.get_window_extent() for text in ax.texts if text.get_window_extent().x0 >= right]
        for i, one in enumerate(boxes):
            assert not any(one.overlaps(other) for other in boxes[i + 1 :]), f"{name}: {one}"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_drawn_of_a_run_in_which_nothing_ended(name: str) -> None:
    nothing = made([], end=1.0)
    assert FIGURES[name]({"nothing": nothing}).axes


@pytest.mark.parametrize("name", FIGURES)
def test_alt_text_names_every_variant_and_the_fault(name: str) -> None:
    words = alt_text(name, variants())
    assert "Fault: API 3× slower from 4 s to 6 s." in words
    assert all(f"{variant}: " in words for variant in variants())
    assert "nan" not in words.lower()


def test_alt_text_has_the_key_numbers() -> None:
    results = variants()
    assert "crashed: dies after 2 s, losing 0 records (0 B)" in alt_text("memory", results)
    assert "with_fault: 20 % of requests failed; 20 writes for nobody" in alt_text("losses", results)
    assert "with_fault: p99 before 50 ms, in the fault 1 s, after 1 s" in alt_text("latency", results)
    assert "calm: 100 % answered in time." in alt_text("goodput", results)
    assert "the client at 4.1 s" in alt_text("wave", results)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        FIGURES["wave"]({})


def test_the_same_results_give_the_same_svg(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        save_figures(variants(), tmp_path / folder, ("svg",))
    for name in FIGURES:
        one = (tmp_path / "one" / f"{name}.svg").read_bytes()
        assert one == (tmp_path / "two" / f"{name}.svg").read_bytes(), name
        assert ElementTree.fromstring(one).tag.endswith("svg")
        assert b"with_fault:" in one, "the alt text travels with the file"


def test_figures_are_saved_in_every_format_asked_for(tmp_path: Path) -> None:
    written = save_figures({"calm": calm()}, tmp_path)
    assert [path.name for path in written] == [f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")]
    assert all(path.stat().st_size > 1000 for path in written)


def test_the_users_own_settings_do_not_change_a_figure() -> None:
    from matplotlib import rc_context

    usual = [text.get_fontsize() for text in texts(FIGURES["goodput"]({"calm": calm()}))]
    with rc_context({"font.size": 30, "xtick.labelsize": 30}):
        assert [text.get_fontsize() for text in texts(FIGURES["goodput"]({"calm": calm()}))] == usual


def test_importing_plots_loads_neither_matplotlib_nor_the_engine() -> None:
    code = "import sys, bpsim.plots; print(*{'matplotlib', 'pandas', 'simpy', 'bpsim.engine'} & set(sys.modules))"
    package = f"p = types.ModuleType('bpsim'); p.__path__ = [{str(_package())!r}]; sys.modules['bpsim'] = p"
    plots_alone = f"import sys, types; {package}"
    found = subprocess.run([sys.executable, "-c", f"{plots_alone}; {code}"], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def _package() -> Path:
    import bpsim

    return Path(bpsim.__file__).parent


def test_drawing_leaves_pyplot_alone() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); from tests.test_plots import *; FIGURES['wave'](variants());"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == "False"


def test_the_clients_pressure_is_its_failures_or_the_share_of_its_patience_used() -> None:
    pressure = Reading(faulty()).pressure("client")
    time = Reading(faulty()).series["time_s"]
    assert np.nanmax(pressure[time < 3.9]) == pytest.approx(0.05)
    failing = Reading(faulty()).failed_share == 1
    assert failing.any() and (pressure[failing] == 1).all()


def test_pressure_is_unknown_in_a_window_where_nothing_ended() -> None:
    reading = Reading(made([(0.0, 0.05, OK), (9.0, 9.05, OK)]))
    assert np.isnan(reading.pressure("client")[100])


def test_a_queue_without_a_bound_is_full_when_it_holds_what_arrives_within_the_timeout() -> None:
    result = made(steady(), api={"workers": 1, "queue": {}})
    reading = Reading(result)
    waiting = np.full(len(reading.series["time_s"]), 5.0)
    reading.series["api.waiting"] = waiting
    assert reading.unbounded("api") and not reading.unbounded("producer")
    assert reading.pressure("api") == pytest.approx(waiting / (10.0 * 1.0))


def test_a_heap_is_a_bound() -> None:
    reading = Reading(crashed())
    busy = reading.series["api.bytes"] / 5000
    assert reading.pressure("api").max() == pytest.approx(busy.max())


def test_after_a_crash_the_api_and_its_producer_have_no_pressure_at_all() -> None:
    reading = Reading(crashed())
    after = reading.series["time_s"] >= 2.0
    for tier in ("api", "producer"):
        assert np.isnan(alive(reading, tier)[after]).all()
        assert np.isfinite(alive(reading, tier)[~after]).all()
    assert (alive(reading, "client")[after & ~np.isnan(alive(reading, "client"))] == 1).all()


def test_the_memory_panel_ends_a_little_after_the_crash() -> None:
    assert shown_until(Reading(crashed())) == pytest.approx(2.5)
    assert shown_until(Reading(calm())) == 10.0
    assert "Every panel has its own scales" in said(FIGURES["memory"]({"calm": calm(), "crashed": crashed()}))


def test_memory_is_the_mean_number_of_bytes_held_in_each_window() -> None:
    edges, held = Reading(calm()).held_bytes(10.0)
    assert np.diff(edges) @ held["api"] == pytest.approx(100 * 0.05 * 1000)


def test_a_fault_that_does_not_end_lasts_as_long_as_the_run() -> None:
    result = made(steady(), [(8.0, WRITER, "fault_begins", 0.0)])
    (fault,) = Reading(result).faults
    assert (fault.begin, fault.end, fault.tier, fault.words) == (8.0, 10.0, "writer", "fault: DB writer")


def test_records_in_any_tier_count_as_on_their_way() -> None:
    result = calm()
    result.tables["records"]["fate"][:3] = (Fate.IN_PRODUCER, Fate.IN_FLINK, Fate.EVICTED)
    lines = record_lines(Reading(result))
    assert (lines["on_the_way"], lines["evicted"], sum(lines.values())) == (2, 1, 100)


def test_onsets_are_those_that_came() -> None:
    assert onsets(Reading(calm())) == {}
    assert onsets(Reading(faulty()))["client"] == pytest.approx(4.1)


def test_spread_keeps_the_order_and_the_gap_and_moves_as_little_as_it_can() -> None:
    assert spread([0.2, 0.8], 0.1) == [0.2, 0.8]
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.6, 0.5, 0.4])
    assert spread([1.0, 1.0], 0.2) == pytest.approx([1.0, 0.8])
    assert spread([0.0, 0.0], 0.2) == pytest.approx([0.3, 0.1])
    assert spread([], 0.1) == []


def test_stretches_are_runs_of_true() -> None:
    assert stretches(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert stretches(np.array([False])) == []


def test_numbers_are_written_for_people() -> None:
    written = [
        percent(0.0),
        percent(1e-5),
        percent(0.9999),
        percent(1.0),
        percent(0.097),
        percent(0.5),
        percent(np.nan),
    ]
    assert [text.replace(NB, " ") for text in written] == [
        "0 %", "< 0.1 %", "> 99.9 %", "100 %", "9.7 %", "50 %", "–",
    ]  # fmt: skip
    others = [seconds(0.0123), seconds(83.1), seconds(1056), seconds(np.nan), size(9.6e6), size(12), count(1234567)]
    assert [text.replace(NB, " ") for text in others] == [
        "12.3 ms", "83.1 s", "17.6 min", "–", "9.6 MB", "12 B", "1,234,567",
    ]  # fmt: skip


@pytest.mark.parametrize("colour", ["#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"])
def test_words_in_a_lines_colour_can_be_read_on_white(colour: str) -> None:
    rgb = np.asarray(contrasting(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5
