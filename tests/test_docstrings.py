"""The examples in docstrings are run, and print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["bpsim.comparison", "bpsim.sweeps", "bpsim.tuning"])
def test_the_examples_in_docstrings_print_what_they_say(module: str) -> None:
    done = doctest.testmod(import_module(module))
    assert done.attempted >= 4
    assert done.failed == 0
