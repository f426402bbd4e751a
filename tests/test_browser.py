"""Journeys through the dashboard in a real browser: nothing in the console, nothing from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bpsim import shipped
from bpsim.dashboard.desk import Desk
from bpsim.dashboard.share import link
from bpsim.workshop.challenges import catalogue
from tests.browser import CHROMIUM, ROOT, Visit, served

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
]
QUICK = (("duration", "60 s"), ("faults.0.at", "8 s"), ("faults.0.lasts", "6 s"))
PLAYER = ROOT / "bpsim" / "dashboard"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as found:
        yield found.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def context(browser: Any) -> Any:
    return browser.new_context()


@pytest.fixture
def visit(context: Any, url: str) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def begin(width: int = 1280, quick: bool = True, by: Any = context, **media: Any) -> Visit:
        visits.append(Visit(by, url, width, f"?s={quick_link()}" if quick else "", **media))
        return visits[-1]

    yield begin
    for one in visits:
        one.leave()


def quick_link(*changes: tuple[str, str]) -> str:
    desk = Desk.opened()
    for path, value in (*QUICK, *changes):
        desk.set(path, value)
    return link(desk.order)


def test_it_opens_on_the_death_spiral(visit: Callable[..., Visit], tmp_path: Path) -> None:
    here = visit(quick=False)
    here.verdict("metastable")
    page = here.page
    assert "three times slower" in page.get_by_role("heading", level=2).first.inner_text()
    page.get_by_text("Attempts per request").wait_for()
    page.get_by_text("It begins at 60 s in the API").first.wait_for()
    page.locator("[data-testid=stVegaLiteChart]").nth(4).wait_for()
    assert page.locator("[data-testid=stVegaLiteChart]").count() == 5
    assert int(here.player.get_attribute("data-tokens") or 0) > 0


def test_bookmarks_agree_with_summary_json(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.verdict("metastable")
    with here.page.expect_download() as download:
        here.button("Summary (JSON)").click()
    files = {}
    for name in ("Report (HTML)", "The wave (PNG)"):
        with here.page.expect_download() as made:
            here.button(name).click()
        files[name] = Path(made.value.path()).read_bytes()
    assert b"metastable" in files["Report (HTML)"]
    assert files["The wave (PNG)"].startswith(b"\x89PNG")
    told = json.loads(Path(download.value.path()).read_text())["variants"]["naive"]["bookmarks"]
    names = {mark["name"] for mark in told}
    assert {"first_fault", "first_timeout", "many_retries", "users_notice"} <= names
    for mark in told:
        here.player.locator(f"[data-name={mark['name']}]").click()
        assert here.time_s == pytest.approx(mark["time_s"], abs=6e-4)
    assert f"At {told[-1]['time_s']:.1f} s" in here.player.locator("canvas").get_attribute("aria-label")


def test_the_player_plays_pauses_steps_and_scrubs(visit: Callable[..., Visit]) -> None:
    here = visit()
    page = here.page
    here.player.locator(".play[aria-pressed=true]").wait_for()
    here.pause()
    here.player.locator("[data-name=first_fault]").click()
    start = here.time_s
    here.player.locator(".step").click()
    assert here.time_s > start
    here.player.locator(".back").click()
    assert here.time_s <= start + 1e-3
    slider = here.player.locator(".time")
    slider.focus()
    page.keyboard.press("End")
    assert here.time_s == pytest.approx(60.0)
    page.keyboard.press("Home")
    assert here.time_s == 0.0
    here.player.locator(".speed").select_option("20")
    here.player.locator(".play").focus()
    page.keyboard.press("Space")
    here.player.locator(".play[aria-pressed=false]").wait_for()
    assert here.time_s == pytest.approx(60.0), "it stops at the end"


def test_less_motion_stands_still_and_steps(visit: Callable[..., Visit]) -> None:
    here = visit(reduced_motion="reduce")
    assert here.player.locator(".calm input").is_checked()
    assert here.player.locator(".play").get_attribute("aria-pressed") == "false"
    seen = []
    here.player.locator(".speed").select_option("2")
    here.player.locator(".play").click()
    for _ in range(12):
        here.page.wait_for_timeout(100)
        seen.append(here.time_s)
    assert len(set(seen)) <= 4, "a picture every half second, not sixty"


def test_a_knob_answers_and_the_keyboard_turns_it(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.verdict("metastable")
    knob = here.page.get_by_role("slider", name="Attempts at most")
    knob.focus()
    for _ in range(3):
        here.page.keyboard.press("ArrowLeft")
    here.verdict("recovered")
    here.page.get_by_text("1.00", exact=True).first.wait_for()


def test_a_long_run_can_be_stopped(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.page.goto(f"{here.url}/?s={quick_link(('duration', '20 min'))}")
    here.button("Stop").last.click()
    here.page.get_by_text("Stopped by you").wait_for()
    here.button("Run it again").wait_for()
    here.page.get_by_text("Attempts per request").wait_for(state="detached")


def test_a_typo_has_a_caret_and_nothing_is_lost(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.section("Edit")
    editor = here.page.get_by_role("textbox", name="YAML")
    text = editor.input_value().replace("timeout: 1 s ", "timeot: 1 s ")
    editor.fill(text)
    here.button("Check and apply").click()
    here.page.get_by_text("did you mean 'timeout'").first.wait_for()
    here.page.get_by_text("^^^^^^").first.wait_for()
    assert editor.input_value() == text
    editor.fill(text.replace("timeot: 1 s ", "timeout: 900 ms "))
    here.button("Check and apply").click()
    here.page.get_by_text("did you mean 'timeout'").first.wait_for(state="detached")
    here.section("Watch")
    here.player.wait_for()


def test_files_are_opened_or_refused_with_a_reason(visit: Callable[..., Visit], tmp_path: Path) -> None:
    here = visit()
    here.section("Edit")

    def upload(path: Path, words: str) -> None:
        here.idle()  # each file that is refused or opened gets a new place to drop the next one on
        here.page.locator("input[type=file]").set_input_files(path)
        here.page.get_by_text(words).first.wait_for()

    large, wrong, good = (tmp_path / name for name in ("large.yaml", "wrong.yaml", "good.yaml"))
    large.write_bytes(b"#" * 50_000_000)
    wrong.write_text("question: who\nduration: 5\n")
    good.write_text(shipped.text("gc_pause").replace("question:", "question: Opened from a file:", 1).replace("file:", "file,"))
    here.page.get_by_role("textbox", name="YAML").wait_for()
    upload(large, "must be 1.0MB or smaller")
    here.page.reload()
    here.player.wait_for()
    here.section("Edit")
    here.page.get_by_role("textbox", name="YAML").wait_for()
    upload(wrong, "'client' is missing")
    mine = tmp_path / "mine.properties"
    mine.write_text("linger.ms=7\nbatch.sizes=1\n")
    upload(mine, "mine.properties:2:1")
    mine.write_text("linger.ms=7\n")
    upload(mine, "1 options laid over the scenario")
    here.page.get_by_text("mine.properties:2:1").wait_for(state="detached")
    upload(good, "Opened from a file")


def test_it_runs_while_it_is_broken(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.section("Live")
    here.button("Slow API").click()
    label = here.player.locator("canvas")
    here.page.get_by_text("The sum is exact").wait_for()
    here.page.locator(".player.live").wait_for()
    assert here.page.get_by_role("button", name="Pause", exact=True).count() == 1, (
        "the player's own would pause the picture only"
    )
    here.until(lambda: "API 3× slower" in (label.get_attribute("aria-label") or ""))
    first = here.time_s
    here.until(lambda: here.time_s > first + 2)  # the pipeline is alive
    here.button("Look at it closely").click()
    here.page.locator(".player:not(.live)").wait_for()
    here.page.get_by_role("heading", name="Why", exact=True).wait_for()


def test_a_challenge_is_checked_and_an_incident_is_named(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.section("Challenges")
    here.page.get_by_role("heading", name="The API was slow for 20 s").wait_for()
    here.page.get_by_role("spinbutton", name="Seeds").fill("1")
    here.page.keyboard.press("Tab")
    here.page.get_by_role("textbox", name="The pipeline").fill(catalogue()["01_spinner"].solved_text())
    here.button("Check").click()
    here.page.get_by_text("Solved.").wait_for()
    here.section("Incidents")
    here.page.get_by_role("radio", name="Broker", exact=True).check(force=True)
    assert here.page.get_by_text("friday.yaml").count() == 0
    here.button("This is my answer").click()
    here.page.get_by_text("Right: you said Broker").wait_for()
    here.page.get_by_text("friday.yaml:19").first.wait_for()


def test_variants_are_compared_on_the_same_arrivals(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.section("Compare")
    here.button("Every variant of this scenario").click()
    here.page.get_by_role("cell", name="metastable").first.wait_for()
    here.page.get_by_role("spinbutton", name="Seeds").fill("2")
    here.page.keyboard.press("Tab")
    here.button("How sure is that? Run 2 seeds").wait_for()
    here.settle()
    here.page.get_by_text("The same as a table").first.click()
    here.page.locator("[data-testid=stDataFrame]").wait_for()
    here.button("How sure is that? Run 2 seeds").click()
    here.page.get_by_text("2 seeds, the same arrivals").wait_for()
    here.button("Empty the tray").click()
    here.page.get_by_text("Two settings make a comparison").wait_for()


def test_a_cell_of_the_map_opens_its_run(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.section("Map")
    here.page.get_by_role("combobox", name="Up").click()
    here.page.get_by_role("option", name="(nothing)").click()
    here.page.get_by_role("spinbutton", name="Seeds a cell").fill("1")
    here.page.keyboard.press("Tab")
    here.button("Draw the map").click()
    here.page.get_by_text("Share of 1 seeds").wait_for()
    here.button("Open this run").click()
    here.player.wait_for()
    here.page.get_by_text("25/s", exact=True).first.wait_for()


def test_the_bet_is_placed_with_the_keyboard_before_anything_is_seen(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.page.get_by_role("switch", name="Bet before you see").focus()
    here.page.keyboard.press("Space")
    here.page.get_by_text("What will happen?").wait_for()
    assert not here.player.is_visible()
    here.page.get_by_role("radio", name="API", exact=True).focus()
    here.page.keyboard.press("Space")
    here.page.get_by_role("radio", name="it is still down").focus()
    here.page.keyboard.press("Space")
    here.button("Place the bet and reveal").focus()
    here.page.keyboard.press("Enter")
    here.page.get_by_text("Your bet").wait_for()
    assert here.page.get_by_text("you said API").is_visible()


def test_visitors_do_not_see_each_other_but_a_link_shows_the_same(visit: Callable[..., Visit], browser: Any, url: str) -> None:
    stranger = browser.new_context()
    one, other = visit(), visit(by=stranger)
    one.page.get_by_role("slider", name="Client timeout").focus()
    one.page.keyboard.press("ArrowRight")
    one.page.get_by_text("1.25 s", exact=True).first.wait_for()
    assert other.page.get_by_text("1.25 s", exact=True).count() == 0
    one.page.get_by_text("Share: a link to this very result").click()
    shared = one.page.get_by_text("?s=").first.inner_text().strip()
    result = one.page.get_by_text("Result:").inner_text()
    third = Visit(stranger, url, query=shared[shared.index("?") :])
    third.page.get_by_text("Share: a link to this very result").click()
    assert third.page.get_by_text("Result:").inner_text() == result
    third.leave()


def test_a_narrow_screen_has_everything_and_no_sideways_scrolling(visit: Callable[..., Visit]) -> None:
    here = visit(width=390)
    here.verdict("metastable")
    wide = here.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    assert here.player.locator("canvas").bounding_box()["width"] <= 390
    here.player.locator("[data-name=first_timeout]").click()
    assert here.time_s > 8


def test_every_chart_has_words_and_a_table(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.verdict("metastable")
    charts = here.page.locator("[data-testid=stVegaLiteChart]")
    charts.nth(4).locator("svg").wait_for()
    assert charts.count() == here.page.get_by_text("The same as a table").count() == 5
    labels = charts.evaluate_all(
        "all => all.map(one => [one, ...one.querySelectorAll('*')].map(e => e.getAttribute('aria-label') || '').join(' '))"
    )
    for words in ("The wave", "attempts were made", "had their outcome", "Most records", "Attempts failed by"):
        assert any(words in label for label in labels), (words, labels)


HARNESS = """
async ([html, css, js, film]) => {
  document.body.innerHTML = `<style>${css}</style><div id="host" style="width:1200px">${html}</div>`
  const made = await import(URL.createObjectURL(new Blob([js], { type: "text/javascript" })))
  const data = { key: "k", film, bookmarks: [], live: null, start: 1, autoplay: true }
  made.default({ parentElement: document.getElementById("host"), data })
}
"""


def crowd(count: int) -> dict[str, Any]:
    """A film in which `count` tokens are inside the API at once."""
    times = [float(second) for second in range(60)]
    tiers = ("client", "api", "producer", "broker", "consumer", "flink", "writer")
    numbers = {"records": [5.0] * 60, "bytes": [500.0] * 60, "fill": [0.9] * 60, "busy": [1.0] * 60, "blocked": [0.6] * 60}
    tokens: dict[str, Any] = {name: [None] * count for name in ("admitted", "freed", "ended", "again", "produced", "gone")}
    tokens |= {"request": list(range(count)), "number": [i % 3 for i in range(count)], "outcome": ["pending"] * count}
    tokens |= {"sent": [0.1] * count, "admitted": [0.1] * count, "every": 1}
    return {
        "since_s": 0, "end_s": 60, "duration_s": 60, "time_s": times, "states": [], "tokens": tokens,
        "stations": [{"tier": tier, "servers": 1, "bound": 10.0, **numbers} for tier in tiers],
        "rates": {name: [100.0] * 60 for name in ("offered", "retries", "goodput")},
        "graves": [{"cause": "x", "tier": "api", "count": [9] * 60}],
        "done": {"answered": [1] * 60, "delivered": [1] * 60},
    }  # fmt: skip


def test_two_thousand_tokens_move_at_thirty_frames_a_second(browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    files = [(PLAYER / f"player.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")]
    page.evaluate(HARNESS, [*files, crowd(2000)])
    player = page.locator(".player")
    best = 0.0
    for _ in range(10):
        page.wait_for_timeout(500)
        assert player.get_attribute("data-tokens") == "2000"
        best = max(best, float(player.get_attribute("data-fps") or 0))
        if best >= 45:
            break
    page.close()
    assert best >= 30, best
