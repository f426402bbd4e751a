"""Which subtasks share a TaskManager, and with it its network buffers."""

from __future__ import annotations

from collections import defaultdict

from bpsim.tiers.flink.buffers import Place
from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.graph import Task
from bpsim.tiers.flink.pools import Deployed, TaskBuffers, deploy
from bpsim.tiers.flink.topology import Topology


def shares(topology: Topology, conf: FlinkConf) -> dict[Place, Deployed]:
    """The buffer pools of every subtask. Raises `FlinkError`, "Insufficient number of network buffers"."""
    found: dict[Place, Deployed] = {}
    for here in _by_manager(topology, conf).values():
        _, pools = deploy(conf, here.values())
        found |= dict(zip(here, pools, strict=True))
    return found


def crowding(topology: Topology, conf: FlinkConf) -> str:
    """What the first TaskManager whose pools could use more than there is would log, or nothing."""
    whole = (deploy(conf, here.values())[0].warning for here in _by_manager(topology, conf).values())
    return next((warning for warning in whole if warning), "")


def channels(topology: Topology) -> int:
    """Connections between subtasks, all exchanges together."""
    return sum(before[0].parallelism * subpartitions(task) for before, task in topology.exchanges)


def subpartitions(task: Task) -> int:
    """Of each output of those it reads from."""
    return 1 if task[0].exchange == "forward" else task[0].parallelism


def _by_manager(topology: Topology, conf: FlinkConf) -> dict[int, dict[Place, TaskBuffers]]:
    """What the subtasks of each TaskManager ask for."""
    first = topology.slots
    found: dict[int, dict[Place, TaskBuffers]] = defaultdict(dict)
    for index, task in enumerate(topology.tasks):
        partitions = tuple(subpartitions(topology.tasks[reader]) for reader in topology.outputs[index])
        for number in range(task[0].parallelism):
            here = (first[index] + number) // conf.task_slots
            gates = [
                _channels(task, number, topology.tasks[sender], first[sender], here, conf) for sender in topology.inputs[index]
            ]
            found[here][index, number] = TaskBuffers(tuple(gates), partitions)
    return found


def _channels(task: Task, number: int, before: Task, first: int, here: int, conf: FlinkConf) -> tuple[int, int]:
    """(channels, of which remote) of a gate."""
    forward = task[0].exchange == "forward"
    begin, channels = (first + number, 1) if forward else (first, before[0].parallelism)
    mine = here * conf.task_slots
    local = min(begin + channels, mine + conf.task_slots) - max(begin, mine)
    return channels, channels - max(0, local)
