"""Which subtasks share a TaskManager, and with it its network buffers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.graph import OperatorSpec, Task, slots, tasks
from bpsim.tiers.flink.pools import Deployed, TaskBuffers, deploy


def shares(operators: Sequence[OperatorSpec], conf: FlinkConf) -> dict[tuple[int, int], Deployed]:
    """The buffer pools of every subtask, by (task, number). Raises `FlinkError`, "Insufficient number of network buffers"."""
    found: dict[tuple[int, int], Deployed] = {}
    for here in _by_manager(tasks(operators), conf).values():
        _, pools = deploy(conf, here.values())
        found |= dict(zip(here, pools, strict=True))
    return found


def _by_manager(chain: list[Task], conf: FlinkConf) -> dict[int, dict[tuple[int, int], TaskBuffers]]:
    """What the subtasks of each TaskManager ask for."""
    first = slots(chain)
    found: dict[int, dict[tuple[int, int], TaskBuffers]] = defaultdict(dict)
    for index, task in enumerate(chain):
        after = chain[index + 1] if index + 1 < len(chain) else None
        partitions = () if after is None else (1 if after[0].exchange == "forward" else after[0].parallelism,)
        for number in range(task[0].parallelism):
            here = (first[index] + number) // conf.task_slots
            gates = (_channels(task, number, chain[index - 1], first[index - 1], here, conf),) if index else ()
            found[here][index, number] = TaskBuffers(gates, partitions)
    return found


def _channels(task: Task, number: int, before: Task, first: int, here: int, conf: FlinkConf) -> tuple[int, int]:
    """(channels, of which remote) of a gate."""
    senders = [number] if task[0].exchange == "forward" else range(before[0].parallelism)
    return len(senders), sum((first + sender) // conf.task_slots != here for sender in senders)
