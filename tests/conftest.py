"""Options of the test run."""

from __future__ import annotations

import pytest

from tests.run_length import CI_SHARE, FULL, RunLength


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=20, help="seeds a shipped scenario's claims are held over (default 20)")
    parser.addoption("--full", action="store_true", help="full run lengths against closed forms, not CI's share of them")


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seeds"))


@pytest.fixture
def length(request: pytest.FixtureRequest) -> RunLength:
    return FULL if request.config.getoption("--full") else RunLength(CI_SHARE)
