"""Which subtasks share a TaskManager, and with it its network buffers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

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


def crowding(operators: Sequence[OperatorSpec], conf: FlinkConf) -> str:
    """What the first TaskManager whose pools could use more than there is would log, or nothing."""
    whole = (deploy(conf, here.values())[0].warning for here in _by_manager(tasks(operators), conf).values())
    return next((warning for warning in whole if warning), "")


def channels(operators: Sequence[OperatorSpec]) -> int:
    """Connections between subtasks, all exchanges together."""
    chain = tasks(operators)
    wide = [(before[0].parallelism, task[0].parallelism, task[0].exchange) for before, task in pairwise(chain)]
    return sum(here if exchange == "forward" else before * here for before, here, exchange in wide)


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
    forward = task[0].exchange == "forward"
    begin, channels = (first + number, 1) if forward else (first, before[0].parallelism)
    mine = here * conf.task_slots
    local = min(begin + channels, mine + conf.task_slots) - max(begin, mine)
    return channels, channels - max(0, local)
