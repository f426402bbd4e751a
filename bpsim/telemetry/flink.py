"""Flink's metrics under the names that its PrometheusReporter gives them, with the windows that its gauges have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

import numpy as np

from bpsim.metrics.spans import Floats
from bpsim.result import TIERS, Ended, Result, Table
from bpsim.telemetry.exposition import Exposition

TASK = "flink_taskmanager_job_task_"
JOB = "flink_jobmanager_job_"
UPDATE_S = 5.0
"""Seconds between two updates of a view (`MetricRegistryImpl`)."""
MEAN_OF = 12
"""Updates that a time gauge averages from 1.17 on (`TimerGauge`); before, it shows the last one."""
METER_S = 60.0
"""Seconds over which a rate is taken (`MeterView`), from the start on, so that it ramps up during the first minute."""
TIMES = ("idleTimeMsPerSecond", "busyTimeMsPerSecond", "softBackPressuredTimeMsPerSecond", "hardBackPressuredTimeMsPerSecond")
COUNTS = ("numRecordsIn", "numRecordsOut", "numBytesIn", "numBytesOut", "numBuffersOut")
SIZE = "debloatedBufferSize"
GAUGES = {
    "inPoolUsage": "Shuffle_Netty_Input_Buffers_inPoolUsage",
    "inputExclusiveBuffersUsage": "Shuffle_Netty_Input_Buffers_inputExclusiveBuffersUsage",
    "inputFloatingBuffersUsage": "Shuffle_Netty_Input_Buffers_inputFloatingBuffersUsage",
    "inputQueueLength": "Shuffle_Netty_Input_Buffers_inputQueueLength",
    "inputQueueSize": "Shuffle_Netty_Input_Buffers_inputQueueSize",
    SIZE: "Shuffle_Netty_Input_0_debloatedBufferSize",
    "outPoolUsage": "Shuffle_Netty_Output_Buffers_outPoolUsage",
    "outputQueueLength": "Shuffle_Netty_Output_Buffers_outputQueueLength",
    "outputQueueSize": "Shuffle_Netty_Output_Buffers_outputQueueSize",
    "isBackPressured": "isBackPressured",
}


def add_flink(to: Exposition, result: Result, labels: Mapping[str, str], step: float) -> None:
    """Every subtask's and the job's metrics every `step` seconds, if there was a Flink job."""
    if "flink" not in result.tables:
        return
    labels = {"job_id": _identity(str(result.scenario["question"])), "job_name": "bpsim", "host": "", **labels}
    version = tuple(int(part) for part in result.scenario["flink"]["version"].split("."))
    for task, subtask, rows in _subtasks(result.tables["flink"]):
        at = _Rows(rows, step)
        mine = {**labels, "task_id": _identity(task), "task_name": filtered(task), "subtask_index": str(subtask)}
        _add_times(to, at, mine, 1 if version < (1, 17) else MEAN_OF)
        for name in COUNTS:
            to.add(TASK + name, f"{name} of the task", mine, at.times, at.now(name))
            to.add(f"{TASK}{name}PerSecond", f"{name} a second, over the last minute", mine, at.times, at.rate(name))
        for name, shown in GAUGES.items():
            to.add(TASK + shown, f"{name} of the task", mine, at.times, at.now(name))
        further = [name for name in rows if name.startswith(f"{SIZE}.") and not np.isnan(rows[name]).all()]
        for name in further:
            to.add(f"{TASK}Shuffle_Netty_Input_{name.removeprefix(f'{SIZE}.')}_{SIZE}", SIZE, mine, at.times, at.now(name))
        estimate = "estimatedTimeToConsumeBuffersMs"
        for name in (estimate, f"Shuffle_Netty_Input_0_{estimate}")[: 1 if further else 2]:  # of all gates: the longest
            to.add(TASK + name, "what is in flight before the task, in time", mine, at.times, at.now(estimate))
    if "checkpoints" in result.tables:
        _add_job(to, result, labels, np.arange(step, result.ended_s + step / 2, step))


def _subtasks(table: Table) -> Iterator[tuple[str, int, Table]]:
    for task in dict.fromkeys(table["vertex"].tolist()):
        of_task = table["vertex"] == task
        for subtask in np.unique(table["subtask"][of_task]).tolist():
            mine = of_task & (table["subtask"] == subtask)
            yield task, subtask, {name: column[mine] for name, column in table.items()}


class _Rows:
    """One subtask's rows, looked at every `step` seconds."""

    def __init__(self, rows: Table, step: float) -> None:
        self._rows = rows
        self._seconds = rows["time_s"]
        last = float(self._seconds[-1]) if len(self._seconds) else 0.0
        times = np.arange(step, last + 1e-9, step)
        self.times: Floats = times[times + 1e-9 >= self._seconds[0]] if len(self._seconds) else times
        self._index = np.searchsorted(self._seconds, self.times + 1e-9) - 1
        self._views = np.arange(UPDATE_S, last + 1e-9, UPDATE_S)

    def now(self, name: str) -> Floats:
        """What a gauge shows at each time."""
        return np.asarray(self._rows[name][self._index], np.float64)

    def mean(self, name: str, updates: int) -> Floats:
        """What a view of times shows: the mean of the last so many updates, of five seconds each."""
        sums = np.concatenate(([0.0], np.cumsum(self._rows[name], dtype=np.float64)))
        ends = np.searchsorted(self._seconds, self._views + 1e-9)
        begins = np.searchsorted(self._seconds, self._views - updates * UPDATE_S + 1e-9)
        return self._shown((sums[ends] - sums[begins]) / np.maximum(1, ends - begins))

    def rate(self, name: str) -> Floats:
        """What a meter shows: the count now less that of a minute ago, over a minute."""
        steps = np.diff(self._rows[name], prepend=0.0)
        steps = np.where(steps < 0, self._rows[name], steps)  # a task that was started anew counts from 0
        counts = np.concatenate(([0.0], np.cumsum(steps)))
        ends = np.searchsorted(self._seconds, self._views + 1e-9)
        begins = np.searchsorted(self._seconds, self._views - METER_S + 1e-9)
        return self._shown((counts[ends] - counts[begins]) / METER_S)

    def _shown(self, views: Floats) -> Floats:
        """The last update before each time; 0 before the first."""
        return np.concatenate(([0.0], views))[np.searchsorted(self._views, self.times + 1e-9)]


def _add_times(to: Exposition, at: _Rows, labels: Mapping[str, str], updates: int) -> None:
    shown = {name: at.mean(name, updates) for name in TIMES}
    shown["backPressuredTimeMsPerSecond"] = shown[TIMES[2]] + shown[TIMES[3]]
    for name, values in shown.items():
        to.add(TASK + name, "milliseconds a second; idle, busy and back pressured sum to 1000", labels, at.times, values)


def _add_job(to: Exposition, result: Result, labels: Mapping[str, str], times: Floats) -> None:
    table, marks = result.tables["checkpoints"], result.tables["marks"]
    completed = table["ended"] == Ended.COMPLETED
    failed = (table["ended"] == Ended.EXPIRED) | (table["ended"] == Ended.ABORTED)
    triggered = np.searchsorted(np.sort(table["triggered_s"]), times, "right")
    done, lost = (np.searchsorted(np.sort(table["ended_s"][which]), times, "right") for which in (completed, failed))
    to.add(f"{JOB}totalNumberOfCheckpoints", "checkpoints triggered", labels, times, triggered.astype(float))
    to.add(f"{JOB}numberOfCompletedCheckpoints", "checkpoints completed", labels, times, done.astype(float))
    to.add(f"{JOB}numberOfFailedCheckpoints", "checkpoints expired or aborted", labels, times, lost.astype(float))
    to.add(
        f"{JOB}numberOfInProgressCheckpoints", "checkpoints under way", labels, times, (triggered - done - lost).astype(float)
    )
    for name, means, values in (
        ("lastCheckpointDuration", "of the last completed checkpoint, ms", 1000 * (table["ended_s"] - table["triggered_s"])),
        ("lastCheckpointFullSize", "bytes of its state and in-flight data", table["state_bytes"] + table["persisted_bytes"]),
        ("lastCheckpointPersistedData", "bytes of in-flight data it holds", table["persisted_bytes"]),
        ("lastCompletedCheckpointId", "its number", table["number"]),
    ):
        order = np.argsort(table["ended_s"][completed], kind="stable")
        known = np.concatenate(([-1.0], values[completed][order].astype(float)))
        to.add(JOB + name, means, labels, times, known[done])
    restarts = np.sort(marks["time_s"][(marks["kind"] == "restart") & np.isin(marks["tier"], ITS_PROCESS)])
    to.add(f"{JOB}numRestarts", "restarts of the job", labels, times, np.searchsorted(restarts, times, "right").astype(float))


ITS_PROCESS = [TIERS.index("consumer"), TIERS.index("flink")]
"""Where a restart of the process that a Flink job is in is marked."""


def filtered(text: str) -> str:
    """A label as Flink writes it: every other character becomes an underscore."""
    return re.sub(r"[^a-zA-Z0-9:_]", "_", text)


def _identity(text: str) -> str:
    """32 hexadecimal digits, the same whenever the text is."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
