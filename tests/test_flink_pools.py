"""Network buffers: what Flink's own pool did (tests/data/flink/pool.txt), and when a job does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpsim.tiers.flink.conf import FlinkConf
from bpsim.tiers.flink.pools import GateBuffers, NetworkBufferPool, TaskBuffers, deploy, input_gate, result_partition
from bpsim.tiers.flink.values import FlinkError

GOLDEN = (Path(__file__).parent / "data" / "flink" / "pool.txt").read_text().splitlines()
REQUIRED_MAX = "taskmanager.network.memory.read-buffer.required-per-gate.max"


def sizes(pool: NetworkBufferPool) -> list[int]:
    return [each.size for each in pool.pools]


def test_buffers_are_divided_as_flinks_pool_divides_them() -> None:
    pool = NetworkBufferPool(100, 4096)
    pool.add(5, 16)
    assert GOLDEN[0] == f"out size {sizes(pool)[0]}"
    pool.reserve(8)
    pool.add(1, 8)
    assert GOLDEN[1] == "out {} in {}".format(*sizes(pool))
    pool.add(41, 88)
    assert GOLDEN[2] == "out 13 in 6 out2 73 usage% 112"
    assert sum(sizes(pool)) == 13 + 6 + 73
    assert all(abs(mine - theirs) <= 1 for mine, theirs in zip(sizes(pool), (13, 6, 73), strict=True)), "by hash there"
    assert round(100 * pool.usage) == 112
    assert "[112%]" in pool.warning
    pool.reserve(20)
    assert GOLDEN[3] == "out 12 in 5 out2 55"
    assert sum(sizes(pool)) == 12 + 5 + 55
    assert all(abs(mine - theirs) <= 1 for mine, theirs in zip(sizes(pool), (12, 5, 55), strict=True))


@pytest.mark.parametrize(("required", "line"), [(41, 4), (80, 5)])
def test_too_few_buffers_get_flinks_error(required: int, line: int) -> None:
    pool = NetworkBufferPool(100, 4096)
    pool.reserve(75)
    with pytest.raises(FlinkError) as caught:
        pool.add(required, 88)
    assert str(caught.value) == GOLDEN[line]
    assert pool.pools == []
    pool.reserve(24)
    assert GOLDEN[6] == "ok 24"
    pool.reserve(1)
    with pytest.raises(FlinkError, match="required 1, but only 0 available"):
        pool.reserve(1)


def test_a_gate_has_two_exclusive_buffers_a_channel_and_up_to_eight_floating() -> None:
    assert input_gate(FlinkConf.of("2.3"), 4) == GateBuffers(2, 1, 8)
    assert input_gate(FlinkConf.of("1.14"), 4) == GateBuffers(2, 1, 8)


def test_a_gate_with_a_bound_on_what_it_requires_gives_up_exclusive_buffers_for_floating_ones() -> None:
    assert input_gate(FlinkConf.of("2.3", {REQUIRED_MAX: "5"}), 4) == GateBuffers(1, 1, 12)
    assert input_gate(FlinkConf.of("2.3", {REQUIRED_MAX: "1"}), 4) == GateBuffers(0, 1, 16)
    assert input_gate(FlinkConf.of("1.16", {REQUIRED_MAX: "5"}), 4) == GateBuffers(2, 1, 8)


def test_an_output_pool_grows_with_its_consumers() -> None:
    assert result_partition(FlinkConf.of("2.3"), 1) == (2, 10)
    assert result_partition(FlinkConf.of("1.20", {"taskmanager.network.memory.buffers-per-channel": "1"}), 4) == (5, 12)


def all_to_all(parallelism: int) -> list[TaskBuffers]:
    """Source → sink, every subtask in one TaskManager of a job that has as many elsewhere."""
    sources = [TaskBuffers(partitions=(parallelism,))] * parallelism
    return [*sources, *[TaskBuffers(gates=((parallelism, parallelism),))] * parallelism]


def test_a_job_that_fits_has_full_pools() -> None:
    pool, tasks = deploy(FlinkConf.of("2.3"), all_to_all(4))
    assert [task.outputs[0].size for task in tasks[:4]] == [16] * 4
    assert [task.floating[0].size for task in tasks[4:]] == [8] * 4
    assert pool.warning == ""


def test_required_buffers_grow_with_the_square_of_the_parallelism() -> None:
    conf = FlinkConf.of("2.3")
    assert conf.buffers == 4096
    deploy(conf, all_to_all(36))
    with pytest.raises(
        FlinkError, match=r"required \d+, but only \d+ available\. The total number of network buffers .* 4096 of"
    ):
        deploy(conf, all_to_all(37))


def test_before_they_run_out_pools_shrink() -> None:
    pool, tasks = deploy(FlinkConf.of("2.3"), all_to_all(36))
    assert 37 <= tasks[0].outputs[0].size < 36 * 2 + 8
    assert sum(sizes(pool)) + 36 * 36 * 2 == pool.total, "nothing is left over"


def test_local_channels_need_no_buffers() -> None:
    conf = FlinkConf.of("2.3", {"taskmanager.memory.network.max": "64mb"})
    assert conf.buffers == 2048
    parallelism = 30
    remote = [TaskBuffers(gates=((parallelism, parallelism),))] * parallelism
    local = [TaskBuffers(gates=((parallelism, 0),))] * parallelism
    sources = [TaskBuffers(partitions=(parallelism,))] * parallelism
    deploy(conf, sources + local)
    with pytest.raises(FlinkError):
        deploy(conf, sources + remote)
