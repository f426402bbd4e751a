"""`bpsim export`: the reference parser of OpenMetrics reads it, and the names are those of a real scrape."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from typer.testing import CliRunner

from bpsim.cli.app import app
from bpsim.engine import run
from bpsim.metrics import timeseries
from bpsim.result import Result
from bpsim.telemetry import Exposition, add_flink, add_kafka, add_tiers
from bpsim.telemetry.flink import filtered
from tests.flink_jobs import CHECKPOINTS, DEBLOAT, through

SCRAPED = set((Path(__file__).parent / "data" / "flink" / "prom-names.txt").read_text().split())
TASK = "flink_taskmanager_job_task_"
OPERATORS = [{"name": "Source: src", "parallelism": 2}, {"name": "map -> Sink", "parallelism": 2, "service": 0.005}]


@pytest.fixture(scope="module")
def result() -> Result:
    flink = {"operators": OPERATORS, "options": CHECKPOINTS | DEBLOAT}
    slow = [{"kind": "slowdown", "target": "flink", "at": 30.0, "lasts": 20.0, "factor": 4}]
    return run(through(flink, rate=200.0, duration=80.0, faults=slow))


def samples(result: Result, step: float = 5.0) -> dict[str, list[Sample]]:
    exposition = Exposition(1000.0)
    series = timeseries(result, step)
    add_flink(exposition, result, {"variant": "base"}, step)
    add_kafka(exposition, result, {"variant": "base"}, step, series)
    add_tiers(exposition, {"variant": "base"}, series)
    families = text_string_to_metric_families("\n".join(exposition.lines()) + "\n")
    return {family.name: family.samples for family in families}


def of(found: list[Sample], **labels: str) -> np.ndarray:
    return np.array([s.value for s in found if all(s.labels[key] == value for key, value in labels.items())])


def test_every_flink_name_was_seen_in_a_scrape_of_flink(result: Result) -> None:
    names = {name for name in samples(result) if name.startswith("flink_")}
    assert names <= SCRAPED, names - SCRAPED
    assert len(names) >= 35


def test_samples_have_the_times_of_the_run(result: Result) -> None:
    times = [sample.timestamp for sample in samples(result)[f"{TASK}numRecordsIn"] if sample.labels["subtask_index"] == "0"]
    assert [float(time) for time in times[:3]] == [1005.0, 1010.0, 1015.0]
    assert float(max(times)) <= 1080.0


def test_times_of_a_task_sum_to_a_thousand_once_a_view_was_updated(result: Result) -> None:
    found = samples(result)
    parts = ("idleTimeMsPerSecond", "busyTimeMsPerSecond", "backPressuredTimeMsPerSecond")
    total = sum(of(found[TASK + name], task_name="map____Sink", subtask_index="1") for name in parts)
    assert total == pytest.approx(np.full(len(total), 1000.0))


def test_a_time_gauge_is_the_mean_of_the_last_minute_from_1_17_on_and_of_five_seconds_before(result: Result) -> None:
    rows = result.tables["flink"]
    mine = (rows["vertex"] == "map -> Sink") & (rows["subtask"] == 0)
    busy, seconds = rows["busyTimeMsPerSecond"][mine], rows["time_s"][mine]
    assert seconds[:70].tolist() == list(range(1, 71))
    new = of(samples(result)[f"{TASK}busyTimeMsPerSecond"], task_name="map____Sink", subtask_index="0")
    assert new[1] == pytest.approx(busy[:10].mean())
    assert new[13] == pytest.approx(busy[10:70].mean())
    result.scenario["flink"]["version"] = "1.16"
    old = of(samples(result)[f"{TASK}busyTimeMsPerSecond"], task_name="map____Sink", subtask_index="0")
    result.scenario["flink"]["version"] = "2.3"
    assert old[13] == pytest.approx(busy[65:70].mean())
    assert abs(old[13] - new[13]) > 1, "the slow-down is in the minute only"


def test_a_rate_ramps_up_over_the_first_minute(result: Result) -> None:
    found = samples(result)
    count = of(found[f"{TASK}numRecordsIn"], task_name="map____Sink", subtask_index="0")
    rate = of(found[f"{TASK}numRecordsInPerSecond"], task_name="map____Sink", subtask_index="0")
    assert rate[1] == pytest.approx(count[1] / 60)
    assert rate[13] == pytest.approx((count[13] - count[1]) / 60)


def test_checkpoints_are_counted_and_measured(result: Result) -> None:
    found = samples(result)
    job = "flink_jobmanager_job_"
    last = {name: found[job + name][-1].value for name in ("numberOfCompletedCheckpoints", "lastCompletedCheckpointId")}
    table = result.tables["checkpoints"]
    assert last["numberOfCompletedCheckpoints"] >= 5
    assert last["lastCompletedCheckpointId"] <= table["number"].max()
    parts = [of(found[f"{job}numberOf{part}Checkpoints"]) for part in ("Completed", "Failed", "InProgress")]
    assert (sum(parts) == of(found[f"{job}totalNumberOfCheckpoints"])).all()
    first = table["ended_s"] - table["triggered_s"]
    duration = of(samples(result, 0.5)[f"{job}lastCheckpointDuration"])
    ended = np.ceil(2 * table["ended_s"][0]) / 2
    assert duration[int(2 * ended) - 2 : int(2 * ended)] == pytest.approx([-1, 1000 * first[0]])


def test_kafka_s_producer_buffer_is_total_less_what_waits(result: Result) -> None:
    found = samples(result)
    total, free = (of(found[f"kafka_producer_producer_metrics_buffer_{name}_bytes"]) for name in ("total", "available"))
    assert (total > 0).all()
    assert ((free <= total) & (free > 0.9 * total)).all()
    consumed = of(found["kafka_consumer_consumer_fetch_manager_metrics_records_consumed_total"])
    assert consumed[-1] == pytest.approx(200 * 80, rel=0.2)
    assert (np.diff(consumed) >= 0).all()


def test_librdkafka_shows_its_own_names() -> None:
    client = {"arrivals": {"kind": "poisson", "rate": 200}}
    found = samples(run(through({"service": 0.001}, duration=20.0, client=client, producer={"client": "librdkafka"})))
    assert {"rdkafka_msg_cnt", "rdkafka_msg_max", "rdkafka_txmsgs"} <= found.keys()
    assert not any(name.startswith(("kafka_producer", "flink_")) for name in found)
    assert found["rdkafka_txmsgs"][-1].value > 3500
    assert {sample.value for sample in found["rdkafka_msg_max"]} == {100_000}, "queue.buffering.max.messages"


def test_every_tier_shows_its_load_and_users_their_latency(result: Result) -> None:
    found = samples(result)
    tiers = {sample.labels["tier"] for sample in found["bpsim_tier_busy_ratio"]}
    assert {"api", "producer", "broker", "flink"} <= tiers
    assert {sample.labels["quantile"] for sample in found["bpsim_latency_seconds"]} == {"0.5", "0.95", "0.99", "0.999"}
    offered = of(found["bpsim_requests_per_second"], what="offered")
    assert offered.mean() == pytest.approx(200, rel=0.05)


def test_labels_are_filtered_as_flink_filters_them() -> None:
    assert filtered("op1 -> Sink: Writer") == "op1____Sink:_Writer"


def test_what_is_nan_is_not_written_and_infinity_is() -> None:
    exposition = Exposition()
    exposition.add("a", 'of "a"', {"label": 'x"\\\n'}, np.array([1.0, 2.0]), np.array([np.nan, np.inf]))
    exposition.add("b", "nothing", {}, np.array([1.0]), np.array([np.nan]))
    text = "\n".join(exposition.lines())
    assert text.splitlines()[2:] == ['a{label="x\\"\\\\\\n"} +Inf 2.000', "# EOF"]


def test_the_command_exports_a_folder(result: Result, tmp_path: Path) -> None:
    (tmp_path / "run" / "slow").mkdir(parents=True)
    result.save(tmp_path / "run" / "slow")
    text = tmp_path / "metrics.txt"
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--start", "2026-01-01T00:00:00Z", "--out", str(text)])
    assert done.exit_code == 0, done.output
    assert re.search(r"metrics\.txt: \d+ metrics, \d+ series", done.output)
    families = list(text_string_to_metric_families(text.read_text()))
    assert {sample.labels["variant"] for family in families for sample in family.samples} == {"slow"}
    assert min(float(sample.timestamp) for family in families for sample in family.samples) == 1767225605.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no result in it"),
        (["--step", "5"], "has no unit"),
        (["--start", "noon"], "is no time such as"),
        (["--start", "2026-01-01T00:00:00"], "does not say in which time zone"),
    ],
)
def test_wrong_arguments_are_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path), *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
