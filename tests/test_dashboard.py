"""The dashboard's logic, without a browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import altair
import pytest
from jsonschema import ValidationError
from streamlit.testing.v1 import AppTest

from bpsim import shipped
from bpsim.allowance import Allowance, Refused
from bpsim.dashboard.charts import charts, overlay
from bpsim.dashboard.desk import Desk, Order
from bpsim.dashboard.serve import SETTINGS, command
from bpsim.dashboard.share import LONGEST, NoLink, link, order_of
from bpsim.dashboard.study import Shelf, studies
from bpsim.dashboard.upload import opened
from bpsim.dashboard.view import View, look, made
from bpsim.dashboard.words import plain
from bpsim.document import InvalidScenario
from bpsim.engine import run
from bpsim.faults import conditions
from bpsim.kafka.tables import TABLES
from bpsim.knobs import FLINK, REAL_NAMES, TARGET, options
from bpsim.ladder import around, ladder, preferred
from bpsim.live import CHAOS, Live
from bpsim.metrics import check
from bpsim.runs import PlaceFailed, RunFailed
from bpsim.scenario import Scenario
from bpsim.tiers.broker.spec import BrokerSpec
from bpsim.tiers.consumer.spec import ConsumerSpec
from bpsim.tiers.flink.flink import FlinkSpec
from bpsim.tiers.flink.options import OPTIONS
from bpsim.tiers.producer.spec import ProducerSpec
from bpsim.tiers.writer.spec import WriterSpec
from bpsim.workshop.challenges import catalogue
from bpsim.workshop.incident import Incident
from tests.browser import free_port, until_up

ROOT = Path(__file__).parents[1]
TIERS_OF_SPEC = {
    "producer": ProducerSpec, "broker": BrokerSpec, "consumer": ConsumerSpec, "flink": FlinkSpec, "writer": WriterSpec,
}  # fmt: skip
QUICK = ("duration", "30 s"), ("faults.0.at", "8 s"), ("faults.0.lasts", "5 s")


def desk(*changes: tuple[str, str]) -> Desk:
    found = Desk.opened()
    for path, value in (*QUICK, *changes):
        found.set(path, value)
    assert not found.problems
    return found


def view_of(order: Order) -> View:
    return look(order, made(order))


def test_every_option_of_every_scenario_takes_every_value_of_its_ladder_or_says_why_not() -> None:
    for name in ("death_spiral", "slow_database"):
        opened = Desk.opened(name)
        for option in options(opened.order.scenario):
            if option.kind in ("choice", "switch", "text"):
                continue
            steps = ladder(option)
            assert option.value in steps, option
            assert len(set(steps)) == len(steps), option
            opened.set(option.path, steps[-1])
            if not opened.problems:
                told = {o.path: o.value for o in options(opened.order.scenario)}
                assert told[option.path] == steps[-1], option
            opened.unset(option.path)


def test_preferred_numbers_go_a_decade_up_and_down_in_even_steps() -> None:
    steps = preferred(100.0, 1)
    assert (steps[0], steps[-1], len(steps)) == (10.0, 1000.0, 21)
    ratios = [after / before for before, after in pairwise(steps)]
    assert all(ratio == pytest.approx(10**0.1, rel=0.02) for ratio in ratios)
    load = next(one for one in options(Desk.opened().order.scenario) if one.path == "client.arrivals.rate")
    assert around(load) == ["25/s", "40/s", "60/s", "80/s", "125/s"]


def test_what_is_not_valid_is_not_applied_and_not_lost() -> None:
    table = desk()
    before = table.order
    table.set("client.timeout", "2 sex")
    assert table.order == before
    assert "did you mean '2 s'" in str(table.problems[0])
    assert table.wanted["client.timeout"] == "2 sex"
    assert not table.apply(before.text.replace("workers: 64", "workrs: 64"))
    assert table.order == before
    assert "workrs: 64" in table.draft
    assert any("^^^^^^" in words and "did you mean 'workers'" in words for words in table.complaints), table.complaints
    table.unset("client.timeout")
    assert not table.problems
    assert table.apply(table.draft.replace("workrs", "workers"))
    assert not table.complaints


def test_what_was_typed_is_set_aside_when_another_text_takes_its_place() -> None:
    table = desk()
    text = table.order.text
    table.choose("gc_pause")
    assert table.aside is None, "nothing had been typed"
    table.draft = "half a thought"
    table.take(table.order.variant)
    assert table.draft == "half a thought", "another variant is of the same text"
    table.choose("death_spiral")
    assert (table.draft, table.aside) == (text, "half a thought")
    generation = table.generation
    table.back()
    assert (table.draft, table.aside) == ("half a thought", text)
    assert table.generation > generation, "the editor shows it"


def test_a_changed_line_in_the_text_counts_for_more_than_a_knob() -> None:
    table = desk(("client.timeout", "2 s"))
    assert table.apply(table.order.text.replace("timeout: 1 s", "timeout: 500 ms"))
    assert table.order.scenario.client.timeout == 0.5
    assert table.order.scenario.api.workers == 5, "a knob whose line did not change keeps its say"


def test_a_knob_that_suits_one_variant_only_is_applied_there() -> None:
    table = desk(("client.retry.budget", "{kind: bucket}"))
    assert table.order.scenario.client.retry.kind == "immediate"
    table.take("no_retry")
    assert "budget" in str(table.problems[0])
    assert table.order.variant == "naive"


@pytest.mark.parametrize("name", shipped.names())
def test_every_shipped_scenario_opens(name: str) -> None:
    opened = Desk.opened(name)
    assert opened.order.scenario
    assert order_of(link(opened.order)) == opened.order


def test_a_link_gives_the_same_result() -> None:
    table = desk(("client.retry", "{kind: exponential, base: 100 ms}"))
    table.reseed(7)
    sent = view_of(table.order)
    received = order_of(link(table.order))
    assert view_of(received).fingerprint == sent.fingerprint
    assert sent.fingerprint == run(table.order.scenario, 7).fingerprint


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def packed(plain_text: bytes) -> str:
    import base64
    import zlib

    return base64.urlsafe_b64encode(zlib.compress(plain_text, 9)).decode()


@pytest.mark.parametrize(
    "text", ["", "%%%", "AAAA", packed(b"0" * 50_000_000)[: LONGEST - 1], packed(b"[1]"), packed(b'{"name": 1}'), "A" * 9000]
)
def test_a_damaged_link_is_refused(text: str) -> None:
    with pytest.raises(NoLink):
        order_of(text)


@pytest.mark.parametrize("seed", ["-1", "1e30", "4294967296", "1e999", '"x"'])
def test_a_seed_that_is_none_is_refused(seed: str) -> None:
    with pytest.raises(NoLink):
        order_of(packed(f'{{"name":"death_spiral","text":null,"changes":[],"variant":"naive","seed":{seed}}}'.encode()))


def test_a_link_opens_no_file() -> None:
    evil = packed(b'{"name":"../../etc/passwd","text":null,"changes":[],"variant":"base","seed":1}')
    with pytest.raises(NoLink):
        order_of(evil)


@pytest.mark.parametrize(
    "text", [BOMB, "a: " * 5000, "[" * 100_000, "!!python/object/apply:os.system ['x']", "x" * 2_000_000, "\0", "- 1"]
)
def test_hostile_text_is_refused_with_a_message(text: str) -> None:
    table = desk()
    assert not table.apply(text)
    assert table.complaints and all(len(words) < 1000 for words in table.complaints)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("client.arrivals.rate", "1e12/s", "are more than"),
        ("client.arrivals.rate", "50000/s", "may be simulated here"),
        ("client.arrivals", "{kind: closed, users: 10000000, think: 1 s}", "at most"),
        ("api.workers", "1e99", "whole number"),
    ],
)
def test_absurd_numbers_are_refused_with_a_message(path: str, value: str, words: str) -> None:
    table = Desk.opened()
    table.set(path, value)
    if table.problems:
        assert words in str(table.problems[0])
    else:
        with pytest.raises(Refused, match=words):
            made(table.order)


def test_a_run_that_costs_too_much_is_stopped_and_says_so() -> None:
    table = desk()
    stopped = made(table.order, allowance=Allowance(events=2500))
    view = look(table.order, stopped)
    assert stopped.stopped and "2,500 events" in stopped.stopped
    assert 0 < stopped.result.ended_s < 30
    check(stopped.result)
    assert any("interrupted" in warning for warning in view.warnings)
    slow = made(table.order, allowance=Allowance(wall_s=1e-9))
    assert slow.stopped and "seconds of computing" in slow.stopped


def test_every_chart_is_one_that_vega_lite_knows() -> None:
    table = desk()
    view = view_of(table.order)
    drawn = [*charts(view), overlay([view, view], "goodput_per_s", "answered in time, per second")]
    assert len(drawn) == 6
    for chart in drawn:
        altair.Chart.from_dict(chart.picture)
    with pytest.raises(ValidationError):
        altair.Chart.from_dict(drawn[0].picture | {"layer": [{"mark": "rectangle"}]})


def test_ten_years_are_bounded() -> None:
    table = Desk.opened()
    table.set("duration", "3650 d")
    table.set("client.arrivals.rate", "1/h")
    stopped = made(table.order, allowance=Allowance(wall_s=1e-9))
    assert stopped.stopped


def test_the_shelf_forgets_what_was_not_looked_at_for_longest() -> None:
    import dataclasses

    table, shelf = desk(("duration", "10 s")), Shelf(most=3)
    view = view_of(table.order)
    for key in "abcd":
        shelf.put(dataclasses.replace(view, key=key))
        shelf.get("a")
    assert [shelf.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_words_of_others_are_no_markdown() -> None:
    assert plain("![x](http://evil/y.png) <b>") == r"\!\[x\]\(http\:\/\/evil\/y\.png\) \<b\>"


def test_a_live_run_is_exact_however_it_is_broken() -> None:
    live = Live.begin(Desk.opened().order.scenario, 1)
    for label in CHAOS:
        live.tick(3.3)
        live.disturb(**CHAOS[label])
        live.dial("load", 1.5)
        live.tick(1.0)
        live.dial("writer", 10.0)
    live.dial("load", 1.0)
    live.tick(5.0)
    result = live.result()
    check(result)
    again = run(live.so_far(), 1)
    check(again)
    assert again.fingerprint == result.fingerprint
    assert live.next_film(result)


def test_a_dial_says_what_holds_and_not_what_is_added() -> None:
    live = Live.begin(Desk.opened().order.scenario, 1)
    for factor, speed in ((10.0, 0.1), (2.0, 0.5), (2.0, 0.5), (1.0, 1.0)):
        live.tick(1.0)
        live.dial("writer", factor)
        assert conditions(live.simulation.scenario.faults, "writer", live.now).speed == speed
    assert not live.dials


def test_a_live_run_keeps_up_with_the_wall_but_not_with_what_nobody_waited_for() -> None:
    live = Live.begin(Desk.opened().order.scenario, 1)
    for wall, speed, now in ((100.0, 5.0, 0.0), (100.2, 5.0, 1.0), (103.2, 0.5, 2.0)):
        live.keep_up(wall, speed)
        assert live.now == pytest.approx(now)
    live.running = False
    live.keep_up(104.0, 5.0)
    assert live.now == pytest.approx(2.0)
    live.running = True
    live.keep_up(104.1, 10.0)
    assert live.now == pytest.approx(3.0), "a pause is not caught up with"


def test_a_turned_knob_keeps_the_live_history() -> None:
    table = Desk.opened()
    live = Live.begin(table.order.scenario, 1)
    live.tick(5.0)
    live.disturb(**CHAOS["Slow API"])
    live.tick(10.0)
    table.set("client.retry", "{kind: none}")
    other = live.again(table.order.scenario, 1)
    assert other.now == live.now
    assert other.simulation.scenario.faults == live.simulation.scenario.faults
    born = [one.result().tables["requests"]["born_s"] for one in (live, other)]
    assert (born[0] == born[1]).all()
    assert other.result().tables["attempts"]["number"].max() == 0


def leaves(path: str, tree: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(f"{path}{name}.", value)
        else:
            yield f"{path}{name}", value


def test_the_two_ways_to_start_have_the_same_settings() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    flat = dict(leaves("", config))
    assert {name: str(value).lower() if not isinstance(value, list) else value for name, value in flat.items()} == {
        name: tomllib.loads(f"x = {value}")["x"] if value.startswith("[") else value.lower() for name, value in SETTINGS.items()
    }
    assert "--browser.gatherUsageStats=false" in command(8501, "localhost", False)


def app(**state: Any) -> AppTest:
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in state.items():
        page.session_state[name] = value
    return page


def test_zero_clicks_are_meaningful_and_a_knob_answers() -> None:
    page = app(desk=desk()).run()
    assert not page.exception
    assert "three times slower" in page.header[0].value
    assert [metric.label for metric in page.metric][:2] == ["Succeeded", "Attempts per request"]
    before = page.metric[1].value
    knob = next(box for box in page.selectbox if box.label == "Retry policy")
    knob.select_index(0).run()
    assert not page.exception
    assert page.metric[1].value == "1.00" != before


def test_nothing_is_seen_before_the_bet() -> None:
    page = app(desk=desk()).run()
    question = page.header[0].value
    page.toggle(key="betting").set_value(True).run()
    assert not page.metric
    assert page.header[0].value == "Death spiral", "the question tells how it ends"
    page.session_state["go_to"] = "Live"
    page.run()
    page.session_state["go_to"] = "Watch"
    page.run()
    assert page.toggle(key="betting").value, "what was set stays, though its section was left"
    page.radio(key="bet-first").set_value("api")
    page.radio(key="bet-end").set_value("badly")
    next(button for button in page.button if button.label.startswith("Place")).click().run()
    assert page.metric
    assert page.header[0].value == question
    assert any("you said **API**, it was **API**" in words.value for words in page.markdown)
    assert any("it was **it is still down**" in words.value for words in page.markdown)


def test_visitors_do_not_see_each_other() -> None:
    one, other = app(desk=desk()).run(), app(desk=desk()).run()
    next(box for box in one.selectbox if box.label == "Retry policy").select_index(0).run()
    other.run()
    assert one.metric[1].value == "1.00"
    assert other.metric[1].value != "1.00"


def test_a_scenario_that_is_not_valid_is_shown_with_its_caret() -> None:
    page = app(desk=desk(), section="Edit").run()
    editor = page.text_area[0]
    editor.set_value(editor.value.replace("timeout: 1 s", "timeut: 1 s"))
    next(button for button in page.button if button.label == "Check and apply").click().run()
    assert any("did you mean 'timeout'" in block.value.replace("\\", "") for block in page.error)
    assert any("^^^^^^" in block.value for block in page.code)
    assert "timeut" in page.text_area[0].value


def test_a_broken_link_opens_the_usual_start() -> None:
    page = app()
    page.query_params["s"] = link(Order("question: [", name="x"))
    page.session_state["section"] = "Compare"
    page.run()
    assert not page.exception
    assert "not valid" in page.warning[0].value
    with pytest.raises(InvalidScenario):
        _ = Order("question: [").scenario


def test_a_resolved_scenario_is_a_scenario() -> None:

    for name in shipped.names():
        scenario = Desk.opened(name).order.scenario
        assert Scenario.model_validate(scenario.model_dump(mode="json", exclude_none=True)) == scenario
        assert scenario.but() == scenario


def test_a_producers_properties_become_changes_of_the_scenario() -> None:
    table = Desk.opened()
    found = opened("mine.properties", "linger.ms=7\nbuffer.memory = 1048576\nacks=all\nclient.id=x\n", table.order)
    assert found is not None
    table.lay(found.changes)
    producer = table.order.scenario.producer
    assert producer is not None
    assert (producer.linger, producer.buffer.bytes, producer.acks) == (0.007, 2**20, "all")
    assert [remark.line for remark in found.remarks] == [4], "what does not matter here is said"
    assert order_of(link(table.order)) == table.order


def test_a_flink_configuration_becomes_options_of_the_job() -> None:
    table = Desk.opened("debloating")
    found = opened("flink-conf.yaml", f"{TARGET.removeprefix(FLINK)}: 300 ms\nno colon here\n", table.order)
    assert found is not None
    table.lay(found.changes)
    assert table.order.scenario.flink is not None
    assert table.order.scenario.flink.options[TARGET.removeprefix(FLINK)] == "300 ms"
    assert any(str(remark).startswith("flink-conf.yaml:2:1: ") for remark in found.remarks)


@pytest.mark.parametrize(
    ("scenario", "name", "text", "words"),
    [
        ("death_spiral", "p.properties", "# mine\n linger.mss=5\n", "p.properties:2:2: 'linger.mss' is not an option"),
        ("death_spiral", "p.properties", "acks=7\n", "p.properties:1:1: "),
        ("death_spiral", "p.properties", "max.block.ms=-7\n", "p.properties:1:1: "),
        ("death_spiral", "p.properties", "linger.ms=\\u12\n", "p.properties:1:1: Malformed"),
        ("death_spiral", "flink-conf.yaml", "parallelism.default: 4\n", "flink-conf.yaml: Flink's options"),
        ("debloating", "config.yaml", "a: 1\ntaskmanager.memory.network.min: 1 fortnight\n", "config.yaml:2:33: "),
        ("debloating", "config.yaml", "a: [\n", "config.yaml:"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_wrong_is_refused_at_its_place(scenario: str, name: str, text: str, words: str) -> None:
    table = Desk.opened(scenario)
    before = table.order
    found = None
    with pytest.raises(InvalidScenario) as refused:
        found = opened(name, text, table.order)
        assert found is not None
        table.lay(found.changes)
    said = [str(found.placed(problem) if found else problem) for problem in refused.value.problems]
    assert said[0].startswith(words), said
    assert table.order == before


def test_real_names_are_names_that_the_real_systems_have() -> None:
    flink = {name for option in OPTIONS.values() for names in option.names.values() for name in names}
    kafka = {name for tables in TABLES.values() for table in tables.values() for name in table.by_name}
    for path, name in REAL_NAMES.items():
        tier = path.split(".")[0]
        if tier == "flink":
            assert name in flink, path
        elif tier in TABLES:
            assert name in kafka, path
        assert set(path.split(".")[1:2]) <= set(TIERS_OF_SPEC[tier].model_fields), f"{path} is no option any more"


def test_the_debloat_target_is_in_view_when_debloating_is_on() -> None:
    page = app(desk=Desk.opened("debloating"), section="Edit").run()
    assert "Debloat target" not in [slider.label for slider in page.select_slider]
    next(toggle for toggle in page.toggle if "debloating" in toggle.label).set_value(True).run()
    assert not page.exception
    target = next(slider for slider in page.select_slider if slider.label == "Debloat target")
    target.set_value("200 ms").run()
    assert not page.exception
    flink = page.session_state["desk"].order.scenario.flink
    assert flink.resolved.debloating.target_ms == 200


def press(page: AppTest, label: str) -> AppTest:
    next(button for button in page.button if button.label == label).click()
    return page.run()


def test_what_is_typed_is_kept_whatever_is_touched_next() -> None:
    page = app(desk=desk(), section="Edit").run()
    page.text_area[0].set_value("half a thought")
    page.session_state["go_to"] = "Map"
    page.run()
    page.session_state["go_to"] = "Edit"
    page.run()
    assert page.text_area[0].value == "half a thought"
    page.session_state["go_to"] = "Challenges"
    page.run()
    page.text_area[0].set_value("another")
    page.session_state["go_to"] = "Edit"
    page.run()
    page.session_state["go_to"] = "Challenges"
    page.run()
    assert page.text_area[0].value == "another"
    assert not page.exception


@pytest.mark.parametrize("error", [PlaceFailed("a process was killed"), RunFailed("a, seed 1: stopped at 2 s")])
def test_many_runs_that_fail_are_said_to_and_nothing_breaks(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def place(*wanted: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(studies().workers, "place", place)
    page = press(app(desk=desk(), section="Map").run(), "Draw the map")
    assert not page.exception
    assert any("Not run" in told.value for told in page.error)


def test_a_run_that_was_stopped_has_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    order = desk(("client.timeout", "1.7 s")).order
    studies().shelf.put(look(order, made(order, allowance=Allowance(events=2500))))
    table = Desk.opened()
    table.place(order)
    page = app(desk=table).run()
    assert any("2,500 events" in told.value for told in page.warning)
    assert any("There is no link" in told.value for told in page.caption)
    page = press(page, "Run it again")
    assert not any("2,500 events" in told.value for told in page.warning), "it was made once more, and to its end"
    assert not page.exception


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_whatever_stops_the_server_stops_all_of_it(how: signal.Signals) -> None:
    port = free_port()
    typed = [sys.executable, "-m", "bpsim", "dashboard", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(typed, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until_up(f"http://127.0.0.1:{port}")
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    found = children.read_text().split() if children.exists() else []
    server.send_signal(how)
    told = server.communicate(timeout=20)[1]
    assert "Traceback" not in told and "leaked" not in told
    assert not [pid for pid in found if Path(f"/proc/{pid}/exe").exists()]


def test_a_challenge_is_missed_as_shipped_solved_by_its_answer_and_held_to_its_rules() -> None:
    page = app(section="Challenges").run()
    spinner = catalogue()["01_spinner"]

    def check(text: str) -> None:
        page.text_area(key="answer-01_spinner").set_value(text)
        press(page, "Check")
        assert not page.exception

    page.number_input(key="challenge-seeds").set_value(1)
    check(spinner.text)
    assert "Not yet." in [one.value for one in page.warning]
    assert any("0 of 1 seeds" in words.value for words in page.markdown)
    check(spinner.solved_text())
    assert "Solved." in [one.value for one in page.success]
    check(spinner.solved_text().replace("timeout: 1 s", "timeout: 9 s"))
    assert "client" in next(one.value for one in page.error if "Not yours" in one.value)
    check("question: [")
    assert page.error and not page.success
    press(page, "As it was")
    assert page.text_area(key="answer-01_spinner").value == spinner.text


def test_what_was_made_of_a_challenge_is_watched_and_not_lost() -> None:
    page = app(section="Challenges").run()
    mine = page.text_area(key="answer-01_spinner").value.replace("duration: 2 min", "duration: 70 s")
    page.text_area(key="answer-01_spinner").set_value(mine)
    press(page, "Watch it")
    assert not page.exception
    assert page.session_state["desk"].order.scenario.duration == 70
    assert page.metric
    page.session_state["go_to"] = "Challenges"
    assert page.run().text_area(key="answer-01_spinner").value == mine


def test_an_incident_shows_metrics_only_until_it_is_answered() -> None:
    page = app(section="Incidents").run()
    assert not page.exception
    assert page.dataframe[0].value.shape[0] == 12
    shown = " ".join(str(one.value) for one in (*page.markdown, *page.caption))
    assert "friday.yaml" not in shown and "It began" not in shown
    press(page, "This is my answer")
    assert "Name a tier first." in [one.value for one in page.warning]
    root = Incident.of("friday", 1).story.root
    next(one for one in page.radio if one.label.startswith("Which tier")).set_value(root)
    press(page, "This is my answer")
    assert not page.exception
    assert any(one.value.startswith("Right") for one in page.success)
    assert any("It began" in one.value and "friday" in one.value for one in page.markdown)
