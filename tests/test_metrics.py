"""Metrics of results made by hand: every expected number here was worked out on paper from the rows above it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest

from bpsim.metrics import METRICS, check, latency, ledger, summary, timeseries, window_width
from bpsim.metrics.spans import level_peak, quantiles, time_in
from bpsim.result import TIERS, Fate, Outcome, Result, Work
from tests.made_results import NEVER, Asked, Hop, Made, Mark, Try, made, once, served, turned_away

WRITER = {"connections": 2, "batch_rows": 10, "buffer": {"records": 40}}


def shares(result: Result, tier: str, window_s: float) -> list[list[float]]:
    """Busy, blocked and idle share by window."""
    series = timeseries(result, window_s)
    return [series[f"{tier}.{share}_share"].round(9).tolist() for share in ("busy", "blocked", "idle")]


def test_every_name_promised_is_there_and_no_other() -> None:
    assert list(summary(made([once(0, 1)]))) == list(METRICS)
    series = timeseries(made([once(0, 1)], producer={}, broker={}, consumer={}, flink={}, writer={}))
    rates = "offered attempts goodput completed wasted rejected timed_out refused produce_failed reset delivered " + (
        "delivered_in_time evicted unavailable error breaker_open throttled"
    )
    levels = ("p50", "p95", "p99", "p999")
    columns = ("records", "bytes", "waiting", "busy_share", "blocked_share", "idle_share", "fill")
    assert set(series) == (
        {"time_s", "window_s", "amplification"}
        | {f"{rate}_per_s" for rate in rates.split()}
        | {f"latency_{kind}_s_{level}" for kind in ("success", "failure", "final") for level in levels}
        | {f"{tier}.{column}" for tier in TIERS for column in columns}
    )
    assert {len(column) for column in series.values()} == {len(series["time_s"])}


def test_a_stall_is_seen_by_everybody_who_meant_to_come() -> None:
    # One request a second for 100 s; the server stands still from 0 to 50 s, then answers everybody at once.
    # The one born at second k waits 50 - k: a client that waits for its answer before asking again sees one slow reply.
    asked = [once(k, max(50 - k, 0)) for k in range(100)]
    found = latency(made(asked, end=100))
    assert found["final_count"] == 100
    assert [found[f"final_s_{level}"] for level in ("p50", "p95", "p99", "p999")] == [0, 45, 49, 50]


def test_latency_runs_from_the_first_try_to_the_last_outcome() -> None:
    asked = Asked(0, (served(0, 0, 5, Outcome.TIMED_OUT), turned_away(2, 2.1), served(4, 4, 4.5)))
    found = summary(made([asked]))
    assert found["latency_success_s_p50"] == 4.5
    assert (found["offered"], found["attempts"], found["amplification"]) == (1, 3, 3)
    assert isnan(found["latency_failure_s_p50"])
    assert found["timed_out"] == found["rejected"] == 0


def test_failures_and_successes_are_timed_apart() -> None:
    found = latency(made([once(0, 0.25), once(1, 1, Outcome.TIMED_OUT), once(2, 0.5), Asked(3, (Try(3),), pending=True)]))
    assert (found["success_s_p999"], found["failure_s_p50"], found["final_s_p50"]) == (0.5, 1, 0.5)
    assert [found[f"{kind}_count"] for kind in ("success", "failure", "final", "censored")] == [2, 1, 3, 1]


def test_latency_may_be_asked_of_a_part_of_the_run() -> None:
    result = made([once(k, k / 10) for k in range(10)])
    assert latency(result, since=2, until=4)["final_count"] == 2
    assert latency(result, since=2, until=4)["final_s_p999"] == pytest.approx(0.3)


def test_a_window_in_which_nothing_ended_is_nan_and_its_rates_are_zero() -> None:
    series = timeseries(made([once(0, 0.5), once(2, 0.5)], end=3), 1.0)
    np.testing.assert_array_equal(series["latency_final_s_p50"], [0.5, nan, 0.5])
    np.testing.assert_array_equal(series["amplification"], [1, nan, 1])
    np.testing.assert_array_equal(series["goodput_per_s"], [1, 0, 1])
    assert np.isnan(series["latency_failure_s_p99"]).all()


def test_rates_count_each_thing_when_it_happened() -> None:
    asked = [Asked(0, (served(0, 1, 3, Outcome.TIMED_OUT), served(2, 3, 3.5))), once(1, 0.25, Outcome.REFUSED)]
    records = [Made(0, 3, 3.25), Made(2, 3.5, 3.75, Fate.EVICTED)]  # the wasted try's copy serves the request
    series = timeseries(made(asked, records, end=4), 1.0)
    expected = {
        "offered": [1, 1, 0, 0], "attempts": [1, 1, 1, 0], "timed_out": [0, 1, 0, 0], "refused": [0, 1, 0, 0],
        "goodput": [0, 0, 0, 1], "wasted": [0, 0, 0, 1], "delivered": [0, 0, 0, 1], "delivered_in_time": [0, 0, 0, 1],
        "evicted": [0, 0, 0, 1],
    }  # fmt: skip
    for name, rates in expected.items():
        assert series[f"{name}_per_s"].tolist() == rates, name


def test_what_happens_in_the_last_moment_is_counted() -> None:
    series = timeseries(made([once(9.5, 0.5)]), 1.0)
    assert series["goodput_per_s"][-1] == 1
    assert series["latency_success_s_p50"][-1] == 0.5


def test_the_last_window_is_as_long_as_what_is_left() -> None:
    series = timeseries(made([once(2.0, 0.25)], end=2.5), 1.0)
    assert series["window_s"].tolist() == [1, 1, 0.5]
    assert series["offered_per_s"].tolist() == [0, 0, 2]


@pytest.mark.parametrize(("duration", "width"), [(300, 1), (310, 2), (60, 0.2), (0.01, 0.001), (1500, 5), (3600, 20)])
def test_windows_are_round_and_about_three_hundred(duration: float, width: float) -> None:
    assert window_width(duration) == pytest.approx(width)


def test_api_workers_are_busy_while_serving_and_blocked_until_freed() -> None:
    # Two workers. One serves [0, 2] and is held until 3; the other serves [1, 2]. Windows of 2 s hold 4 s of worker time.
    tries = [served(0, 0, 2, freed=3), served(1, 1, 2)]
    result = made([Asked(one.sent_s, (one,)) for one in tries], end=4, api={"workers": 2})
    assert shares(result, "api", 2.0) == [[0.75, 0], [0, 0.25], [0.25, 0.75]]


def test_flink_is_blocked_while_there_is_no_room_downstream() -> None:
    hops = [Hop("flink", 0, 1, 0, 1, 2, 4), Hop("flink", 1, 1, 0, 4, 5)]
    result = made(hops=hops, end=6, flink={"parallelism": 1, "network_buffers": {"records": 4}}, writer=WRITER)
    busy, blocked, idle = (np.array(share) for share in shares(result, "flink", 3.0))
    np.testing.assert_allclose(busy, [1 / 3, 1 / 3], atol=1e-9)
    np.testing.assert_allclose(blocked, [1 / 3, 2 / 3], atol=1e-9)
    np.testing.assert_allclose(busy + blocked + idle, 1, atol=1e-9)
    # Waiting: one record [0, 1] and one [0, 4] are 1 + 3 record-seconds in the first window, 1 in the second.
    np.testing.assert_allclose(timeseries(result, 3.0)["flink.fill"], [4 / 3 / 4, 1 / 3 / 4])


def test_a_pause_blocks_the_consumer() -> None:
    hops = [Hop("consumer", 0, 5, 0, 0, 1, 1)]
    marks = [Mark(2, "consumer", "pause_begins"), Mark(4, "consumer", "pause_ends"), Mark(6, "consumer", "pause_begins")]
    result = made(hops=hops, marks=marks, end=8, consumer={})
    assert shares(result, "consumer", 4.0) == [[0.25, 0], [0.5, 0.5], [0.25, 0.5]]


def test_rows_of_one_batch_are_one_occupation_of_a_server() -> None:
    hops = [Hop("writer", 0, 3, 0, 0, 2, 2), Hop("writer", 3, 7, 0, 0, 2, 2)]
    assert shares(made(hops=hops, end=4, writer=WRITER), "writer", 4.0) == [[0.25], [0], [0.75]]


def test_two_connections_in_lockstep_are_both_busy() -> None:
    hops = [Hop("writer", 10 * k, 10, 0, k // 2, k // 2 + 1, k // 2 + 1) for k in range(8)]
    assert shares(made(hops=hops, end=4, writer=WRITER), "writer", 4.0) == [[1], [0], [0]]


def test_an_insert_under_way_keeps_its_connection_busy_to_the_end() -> None:
    hops = [Hop("writer", 0, 10, 0, 1), Hop("writer", 10, 10, 0, 1), Hop("writer", 20, 5, 0)]
    assert shares(made(hops=hops, end=4, writer=WRITER), "writer", 2.0) == [[0.5, 1], [0, 0], [0.5, 0]]


def test_bytes_and_fill_are_time_averages() -> None:
    hops = [Hop("writer", 0, 20, 0, 1, 2, 2)]
    series = timeseries(made(hops=hops, end=4, writer=WRITER), 4.0)
    assert series["writer.records"].tolist() == [10]
    assert series["writer.bytes"].tolist() == [10_000]
    assert series["writer.fill"].tolist() == [20 * 1 / 4 / 40]


def test_a_buffer_without_a_bound_has_no_fill() -> None:
    assert np.isnan(timeseries(made([once(0, 1)]))["api.fill"]).all()


def test_a_requests_wait_outside_belongs_to_the_client() -> None:
    left = Try(0, 1, Outcome.TIMED_OUT, work=Work.LEFT)
    inside = Try(0, 3, Outcome.OK, admitted_s=2, started_s=2, served_s=3, freed_s=3)
    series = timeseries(made([Asked(0, (left,)), Asked(0, (inside,)), Asked(0, (turned_away(0, 1),))], end=4), 1.0)
    assert series["client.waiting"].tolist() == [2, 1, 0, 0]
    assert series["api.records"].tolist() == [0, 0, 1, 0]


def wasteful() -> Result:
    """Six requests whose records end in every way."""
    asked = [
        Asked(0, (served(0, 0, 2, Outcome.TIMED_OUT), served(2, 2, 2.5))),  # both copies delivered: the second in excess
        Asked(1, (served(1, 1, 3, Outcome.TIMED_OUT),)),  # delivered, but nobody was waiting
        once(3, 0.5),  # acked, lost in the crash
        Asked(4, (Try(4, 5, Outcome.RESET, 4, 4),)),
        once(3.5, 0.5),  # evicted
        once(3.75, 0.25),  # still in the broker
        Asked(6, (turned_away(6, 6.1, Outcome.REFUSED),), pending=True),
    ]
    row = {one.sent_s: i for i, one in enumerate(sorted((t for ask in asked for t in ask.tries), key=lambda t: t.sent_s))}
    records = [
        Made(row[0], 2, 4), Made(row[2], 2.5, 4.5), Made(row[1], 3, 4), Made(row[3], 3.5, 5, Fate.LOST_IN_CRASH),
        Made(row[4], 4.5, 5, Fate.LOST_IN_CRASH), Made(row[3.5], 4, 6, Fate.EVICTED),
        Made(row[3.75], 4, NEVER, Fate.IN_BROKER),
    ]  # fmt: skip
    return made(asked, records, marks=[Mark(5, "api", "crash", 3000)], producer={}, broker={})


def test_every_record_is_on_one_line_of_the_ledger() -> None:
    lines = ledger(wasteful())
    assert {name: count for name, count in lines["records"].items() if count} == {
        "delivered_in_time": 1, "delivered_wasted": 1, "duplicate": 1, "evicted": 1, "acked_then_lost": 1,
        "lost_in_crash": 1, "in_broker": 1,
    }  # fmt: skip
    assert sum(lines["requests"].values()) == 7
    assert sum(lines["attempts"].values()) == sum(lines["work"].values()) == 8
    assert lines["requests"]["pending"] == 1
    check(wasteful())


def test_windows_add_up_to_the_ledger() -> None:
    result = wasteful()
    series, lines = timeseries(result, 0.7), ledger(result)
    records = lines["records"]
    expected = {
        "offered": 7, "attempts": 8, "goodput": lines["requests"]["ok"], "evicted": records["evicted"],
        "delivered": records["delivered_in_time"] + records["delivered_wasted"] + records["duplicate"],
        "delivered_in_time": records["delivered_in_time"], "wasted": lines["work"]["wasted"],
        **{name: lines["attempts"][name] for name in ("rejected", "timed_out", "refused", "produce_failed", "reset")},
    }  # fmt: skip
    for name, count in expected.items():
        assert (series[f"{name}_per_s"] * series["window_s"]).sum() == pytest.approx(count), name


def test_books_that_do_not_balance_are_said_with_their_numbers() -> None:
    result = made([once(0, 1), once(1, 1)])
    unknown = result.tables["requests"] | {"outcome": np.array([1, 99], dtype=np.uint8)}
    with pytest.raises(AssertionError, match="requests: 1 booked, 2 there"):
        check(replace(result, tables=result.tables | {"requests": unknown}))


def test_a_crash_is_told_with_what_it_took() -> None:
    found = summary(wasteful())
    assert (found["crash_time_s"], found["crash_lost_records"], found["crash_lost_bytes"]) == (5, 2, 2000)
    assert found["delivered_per_s_before_crash"] == 3 / 5
    assert found["latency_before_crash_s"] == 2  # the record of 2.5 s was delivered at 4.5 s
    assert (found["acked_then_lost"], found["evicted"], found["duplicates"], found["still_inside"]) == (1, 1, 1, 1)


def test_the_lag_is_the_age_of_the_oldest_record_still_to_come() -> None:
    asked = [once(0, 0.5), once(1, 0.5)]
    found = summary(made(asked, [Made(0, 0.5, 4), Made(1, 1.5)], end=700, producer={}))
    assert found["lag_max_s"] == 698.5
    assert found["lag_10min_s"] == 601.5


def test_a_run_that_has_not_begun_has_nothing_to_say() -> None:
    found = summary(made(end=0.0))
    assert found["offered"] == 0
    assert isnan(found["offered_per_s"]) and isnan(found["success_share"])
    check(made(end=0.0))


def test_quantiles_are_values_that_occurred() -> None:
    assert quantiles(np.array([3.0, 1.0, 2.0, 4.0]), (0.25, 0.5, 0.51, 1.0)).tolist() == [1, 2, 3, 4]
    assert np.isnan(quantiles(np.zeros(0), (0.5,))).all()


def test_time_in_windows_is_exact() -> None:
    begin, end = np.array([0.5, 1.0, nan]), np.array([2.5, nan, 1.0])
    assert time_in(begin, end, np.array([0.0, 1, 2, 3])).tolist() == [0.5, 2, 1.5]
    assert time_in(begin, end, np.array([0.0, 3]), np.array([2, 10, 1])).tolist() == [24]


def test_one_who_leaves_as_another_comes_is_not_counted_twice() -> None:
    assert level_peak(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == 1
    assert level_peak(np.array([0.0, 0.5]), np.array([1.0, nan]), np.array([2, 3])) == 5


def test_metrics_load_without_the_engine_and_without_pandas() -> None:
    code = "import sys, bpsim.metrics; print(*{'simpy', 'pandas', 'matplotlib', 'bpsim.engine'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_a_million_attempts_are_read_in_two_seconds() -> None:
    from time import process_time

    n, rng = 1_000_000, np.random.default_rng(1)
    born = np.sort(rng.uniform(0, 600, n))
    done = born + rng.exponential(0.1, n)
    result = made([once(0, 1)], [Made(0, 1, 2)], end=600)
    tables = {
        name: {k: np.repeat(v, n) for k, v in result.tables[name].items()} for name in ("requests", "attempts", "records")
    }
    index = np.arange(n, dtype=np.int32)
    tables["requests"] |= {"born_s": born, "ended_s": done}
    tables["attempts"] |= dict.fromkeys(("sent_s", "admitted_s", "started_s"), born) | {"request": index}
    tables["attempts"] |= dict.fromkeys(("served_s", "freed_s", "ended_s"), done)
    tables["records"] |= {"attempt": index, "request": index, "produced_s": done, "ended_s": done}
    big = replace(result, tables=result.tables | tables)
    begin = process_time()
    timeseries(big)
    summary(big)
    assert process_time() - begin < 6, "2 s on a quiet machine; thrice that in a crowd"
