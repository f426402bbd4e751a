"""Options of the test run."""

from __future__ import annotations

import pytest

from tests.run_length import CI_SHARE, FULL, RunLength


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=20, help="seeds a shipped scenario's claims are held over (default 20)")
    parser.addoption("--full", action="store_true", help="the full run lengths, not the share of them that CI takes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sweeps come first: short tests at the end leave no core idle."""
    items.sort(key=lambda item: item.get_closest_marker("sweep") is None)


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seeds"))


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


@pytest.fixture
def length(full: bool) -> RunLength:
    return FULL if full else RunLength(CI_SHARE)
