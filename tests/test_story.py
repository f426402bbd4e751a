"""What the sentences of an explanation say: each is one that may be read out in an incident review."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import get_args

import pytest

from bpsim.engine import run
from bpsim.explanation import Explanation, explain
from bpsim.explanation.beginning import FAULTS
from bpsim.explanation.case import count, percent
from bpsim.explanation.lost import _told
from bpsim.faults import Fault
from bpsim.metrics.bookmarks import bookmarks
from bpsim.metrics.occupancy import Occupancy
from bpsim.metrics.pressure import pressed
from bpsim.names import TIER_NAMES, the
from bpsim.plots import alt_text
from bpsim.result import TIERS, Outcome
from bpsim.scenario_file import load
from bpsim.utilisation import bottleneck
from tests.made_results import Asked, Hop, Try, fault, made, once, served

FOLDER = Path(__file__).parents[1] / "scenarios"


def story(name: str, variant: str, *settings: str) -> Explanation:
    return explain(run(load(FOLDER / f"{name}.yaml", settings).variants[variant], seed=1))


def sentence(found: Explanation, words: str) -> str:
    """The one that has these words in it."""
    (one,) = [one.words for one in found.findings if words in one.words]
    return one


def test_every_tier_has_a_name() -> None:
    assert tuple(TIER_NAMES) == TIERS
    assert [the(tier) for tier in ("api", "flink", "writer", "broker")] == ["the API", "Flink", "the DB writer", "the broker"]


def test_no_tier_is_called_by_its_key() -> None:
    found = story("slow_database", "hold", "duration=75 s", "client.arrivals.rate=100/s", "faults.0.lasts=10 s")
    for one in found.findings:
        assert " api" not in one.words and "the writer" not in one.words.lower(), one.words


def test_every_kind_of_fault_has_words() -> None:
    kinds = {member.model_fields["kind"].default for member in get_args(get_args(Fault)[0])}
    assert kinds == set(FAULTS) - {"ramp"}


def test_shares_that_are_something_are_not_nothing() -> None:
    shares = {0: "0 %", 0.0004: "under 0.1 %", 0.0041: "0.41 %", 0.05: "5 %", 0.624: "62 %", 0.995: "99.5 %", 1: "100 %"}
    assert {share: percent(share) for share in shares} == shares
    assert percent(0.999999) == "almost 100 %"


def test_one_is_not_many() -> None:
    assert [count(number, "request") for number in (0, 1, 1234)] == ["0 requests", "1 request", "1,234 requests"]
    words = "{requests} {are} inside the API process when it dies, {when}"
    assert _told(1, words, "at 3 s") == "1 request is inside the API process when it dies, at 3 s"
    assert _told(2, words, "at 3 s") == "2 requests are inside the API process when it dies, at 3 s"


def test_a_cut_names_both_its_sides() -> None:
    found = story("partition_and_heal", "fail_fast", "duration=70 s", "faults.0.lasts=5 s")
    assert found.headline.startswith("It begins at 60 s in the broker, which is cut off from the producer")


def test_a_slowdown_with_a_ramp_says_what_is_left_at_worst() -> None:
    found = story("slow_sql", "statement_timeout", "duration=220 s")
    cause = found.part("cause")[0]
    assert (
        "The DB writer gets slower and slower, up to 5,000 times as slow from 30 s to 210 s: it can do 1.88/s at worst"
        in cause.words
    )
    assert cause.values["capacity_per_s"] == pytest.approx(10 * 5 / (5000 * 4.5e-3 * (1 + 0.02 * 9)))


def test_inserts_that_fail_and_the_process_that_dies_of_it_are_told() -> None:
    found = story("slow_sql", "statement_timeout", "duration=230 s")
    assert "inserts took longer than a statement may, from 61.8 s to " in sentence(found, "took longer")
    died = sentence(found, "The process that reads from the broker dies")
    assert died.endswith("dies 3 times, from 89.2 s to 179.2 s: its inserts have failed too often.")
    assert "dies once, at 89.2 s: " in sentence(story("slow_sql", "statement_timeout", "duration=130 s"), "dies")
    assert sentence(found, "repeat").endswith(": the process that had read them died before it had committed them.")


def test_a_buffer_that_is_full_is_not_said_to_have_room() -> None:
    (stop,) = story("slow_sql", "patient", "duration=220 s").part("stop")
    assert "takes in what comes, up to 1,100 records, in room for 1,000 and at work" in stop.words


def test_a_job_that_is_rescaled_or_fails_is_told_and_not_called_a_crash() -> None:
    grown = story("autoscaler_catchup", "on", "duration=100 s")
    assert sentence(grown, "autoscaler").startswith("The autoscaler stops the Flink job at 65 s, and starts it again with 4 ")
    assert sentence(grown, "repeat").endswith("the Flink job was stopped to be rescaled, and went back to its last checkpoint.")
    failed = story("checkpoint_timeout", "aligned", "duration=40 s")
    assert sentence(failed, "The Flink job fails").startswith("The Flink job fails 3 times, from 20.5 s to ")
    assert sentence(failed, "repeat").endswith("the Flink job failed and went back to its last checkpoint.")
    assert not [one.words for one in failed.findings if " dies " in one.words], "the job failed, which is told already"
    assert [one.time_s for one in failed.part("spread")] == sorted(one.time_s for one in failed.part("spread"))


def test_one_key_that_is_too_much_for_its_subtask_is_what_began_it() -> None:
    found = story("skewed_key", "skewed", "duration=30 s")
    (cause,) = found.part("cause")
    assert cause.path == "client.keys" and cause.values["capacity_per_s"] == pytest.approx(100)
    assert "50 % of it with one key, and its subtask in Flink keeps up with 100/s in all" in found.headline


def test_the_key_is_the_bottleneck_only_where_it_is_uneven() -> None:
    def of(name: str, variant: str) -> tuple[str, float, bool]:
        one = bottleneck(load(FOLDER / f"{name}.yaml").variants[variant])
        assert one is not None
        return one.tier, round(one.capacity_per_s, 2), one.key_share == one.key_share

    assert of("skewed_key", "more_subtasks") == ("flink", round(500 / (8 * 0.5 + 0.5), 2), True)
    assert of("hot_partition", "even")[2] is False
    tier, able, by_key = of("hot_partition", "hot")
    assert (tier, by_key) == ("consumer", True) and able == pytest.approx(100 / (4 * 0.4 + 0.6), rel=0.02)


def test_a_broker_that_refuses_does_not_stop_the_wave() -> None:
    found = story("broker_hold", "rabbitmq", "duration=100 s", "faults.0.lasts=30 s")
    assert not found.part("stop"), "users got a 503"
    assert "got 503, since their record could not be produced" in sentence(found, "Users notice from")
    assert "records are refused by a broker" in sentence(found, "refused by")


@pytest.mark.parametrize(
    ("name", "variant", "path"),
    [
        ("codel", "request_codel", "api.shedding"), ("codel", "short_queue", "api.queue"),
        ("adaptive_limit", "fixed", "api.admission"), ("forgotten_poll", "forgets", "producer.buffer"),
        ("broker_hold", "rabbitmq", "broker.overflow"), ("broker_hold", "pulsar", "client.timeout"),
    ],
)  # fmt: skip
def test_what_users_felt_points_at_who_did_it(name: str, variant: str, path: str) -> None:
    assert story(name, variant, "duration=80 s").part("felt")[0].path == path


def test_a_log_that_holds_more_than_it_must_says_both() -> None:
    found = story("retention_loss", "earliest", "duration=110 s", "faults.0.lasts=40 s")
    assert "records, 500 of which it has to keep" in sentence(found, "retention is full")


def test_an_application_that_never_polls_is_said_not_to() -> None:
    found = story("forgotten_poll", "forgets", "duration=40 s")
    (cause,) = found.part("cause")
    assert (cause.tier, cause.path) == ("api", "producer.forgets_poll")
    assert cause.words.startswith("The API never polls its producer")
    assert sentence(found, "No record is lost").startswith("No record is lost: 1,000 are in the broker, 0 on their way")


def test_a_load_is_held_against_what_can_be_done_or_against_that_of_the_end() -> None:
    above = story("codel", "short_queue", "duration=70 s", "client.arrivals.points.2.at=65 s")
    assert "sends 1,300/s, more than the 1,000/s that the API can do" in above.headline
    below = story("ramp_vs_spike", "spike_no_retry", "duration=40 s")
    assert "sends 320/s, 2 times the 160/s of the end, and 80 % of the 400/s that the API can do" in below.headline


def test_handlers_that_slow_each_other_are_told_though_workers_are_free() -> None:
    (spread,) = story("ramp_vs_spike", "spike_naive", "duration=60 s").part("spread")
    assert (spread.tier, spread.path) == ("api", "api.contention")
    assert spread.values["handler_s"] == pytest.approx(1 + 0.0025 * spread.values["inside"]) and spread.values["handler_s"] > 3


def test_the_end_names_the_tier_whose_pressure_is_the_last() -> None:
    found = story("partition_and_heal", "big_buffer", "duration=110 s")
    assert "the last pressure, on Flink, ends 9.8 s later, at 99.8 s" in sentence(found, "The cause is over")
    lasting = story("autoscaler_catchup", "on", "client.arrivals.points.1.rate=24/s")
    assert "yet the last pressure, on " in sentence(lasting, "The cause lasts to the end")


def test_a_process_that_stays_dead_is_said_to() -> None:
    found = story("oom_crash", "heap_10_mb")
    assert sentence(found, "out of memory").endswith("and dies; it is not started again up to 20 s.")
    assert found.part("felt")[0].time_s < 3, "users wait ever longer long before"


def test_a_latency_that_does_not_change_stays() -> None:
    assert "p99 to the final outcome stays at 1 ms" in sentence(
        story("debloating", "off", "duration=25 s"), "Users notice nothing"
    )


def test_pressure_that_is_there_within_a_second_of_the_end_lasts_to_the_end() -> None:
    def until(end: float) -> float:
        hops = [Hop("writer", 0, 10, 2.0, end, end, end)]
        result = made([once(0, 0.1)], hops=hops, writer={"connections": 1, "buffer": {"records": 10}})
        (full,) = [one for one in pressed(result, Occupancy(result)) if one.kind == "full"]
        return full.end_s

    assert until(9.4) == inf
    assert until(8.8) == pytest.approx(8.8)


def test_rows_that_a_dead_process_forgot_wait_no_more() -> None:
    hops = [Hop("writer", 0, 10, 2.0, left_s=5.0), Hop("writer", 0, 10, 6.0, 6.0, 6.5, 6.5)]
    result = made([once(0, 0.1)], hops=hops, writer={"connections": 1, "buffer": {"records": 10}})
    (full,) = [one for one in pressed(result, Occupancy(result)) if one.kind == "full"]
    assert (full.begin_s, full.end_s, full.peak) == (pytest.approx(2.0), pytest.approx(5.0), pytest.approx(1.0))
    died = story("slow_sql", "statement_timeout", "duration=240 s")
    assert "the last pressure, on the broker, ends" in sentence(died, "The cause is over")


def test_many_retries_begin_with_the_first_of_them() -> None:
    asked = [Asked(1.0, (Try(1.0, 2.25, Outcome.TIMED_OUT), served(2.25, 2.25, 2.5)))]
    (mark,) = [mark for mark in bookmarks(made(asked, marks=fault(1, 3, "api"))) if mark.name == "many_retries"]
    assert mark.time_s == 2.25


def test_figures_and_their_words_call_tiers_by_their_names() -> None:
    result = run(load(FOLDER / "slow_database.yaml", ("duration=75 s", "client.arrivals.rate=100/s")).variants["hold"], seed=1)
    for name in ("wave", "ladder", "memory"):
        words = alt_text(name, {"hold": result})
        assert "DB writer" in words and not re.search(r"\bapi\b|the writer|the flink", words), words
