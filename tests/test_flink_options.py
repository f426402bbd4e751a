"""Flink's options in a scenario: inline, or in a file beside it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bpsim.tiers.flink import FlinkSpec
from bpsim.tiers.flink.graph import OperatorSpec
from bpsim.tiers.flink.placement import shares

JOB = [{"name": "source", "parallelism": 2}, {"name": "sink", "parallelism": 2}]


def spec(**changes: Any) -> FlinkSpec:
    return FlinkSpec.model_validate({"operators": JOB} | changes)


def test_options_are_flinks_text_whatever_yaml_made_of_them() -> None:
    options = {"taskmanager.network.memory.buffer-debloat.enabled": True, "parallelism.default": 4, "a": 0.5, "b": "1 s"}
    found = spec(options=options)
    assert found.options == {"taskmanager.network.memory.buffer-debloat.enabled": "true", "parallelism.default": "4",
                             "a": "0.5", "b": "1 s"}  # fmt: skip
    assert found.resolved.debloating is not None
    assert found.resolved.parallelism == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"taskmanager": {"memory": {}}}}, "keys are written in one piece"),
        ({"options": {"execution.buffer-timeout": "soon"}}, "text does not start with a number"),
        ({"options": {"taskmanager.memory.network.min": "64 MiB"}}, "did you mean '64m'?"),
        ({"version": "3.0"}, "1.14 to 2.3"),
        ({"operators": [], "service": 0.001, "options": {"a": 1}}, "options has no effect without operators"),
        ({"operators": [], "service": 0.001, "version": "1.20"}, "version has no effect without operators"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**changes)
    assert said in str(caught.value)


def test_a_job_that_does_not_fit_into_the_network_memory_is_refused_in_flinks_words() -> None:
    wide = [{"name": name, "parallelism": 40} for name in ("source", "sink")]
    slots = {"taskmanager.numberOfTaskSlots": 20}
    spec(operators=wide, options=slots)
    with pytest.raises(ValidationError, match=r"Insufficient number of network buffers: required .* 512 of 32768 bytes each"):
        spec(operators=wide, options=slots | {"taskmanager.memory.network.min": "16m", "taskmanager.memory.network.max": "16m"})


def test_channels_within_a_task_manager_ask_for_no_buffers() -> None:
    operators = [OperatorSpec(name=name, parallelism=2) for name in ("source", "sink")]
    apart = shares(operators, spec().resolved)
    together = shares(operators, spec(options={"taskmanager.numberOfTaskSlots": 2}).resolved)
    assert apart.keys() == together.keys() == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert apart[0, 0].outputs[0].size == together[0, 0].outputs[0].size == 12
    assert apart[1, 0].floating[0].size == 8


def test_pools_get_less_when_buffers_are_scarce() -> None:
    operators = [OperatorSpec(name=name, parallelism=10) for name in ("source", "sink")]
    scarce = {
        "taskmanager.numberOfTaskSlots": "5",
        "taskmanager.memory.network.min": "6m",
        "taskmanager.memory.network.max": "6m",
    }
    found = shares(operators, spec(options=scarce).resolved)
    assert 11 <= found[0, 0].outputs[0].size < 28
    assert sum(found[0, n].outputs[0].size + found[1, n].floating[0].size + 5 * 2 for n in range(5)) == 192
