"""Fixtures that every folder of tests uses; each folder adds its own beside its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.sql_store.world import MariaDb, running_mariadb


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Make two groups: `make test` runs the box and everything else at the same time.

    More would not do: two cores are busy then, and tests that measure times get in each other's
    way.
    """
    from xdist.scheduler import LoadScopeScheduling

    class TwoGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "box" if nodeid.startswith("tests/box/") else "everything else"

    return TwoGroups(config, log)


@pytest.fixture(autouse=True)
def no_configuration_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the configuration of whoever runs the tests out of them."""
    monkeypatch.delenv("APPLIANCE_CONF", raising=False)


@pytest.fixture
def conf(tmp_path: Path) -> Callable[[str], Path]:
    """Write an `appliance.yml` and return its folder."""

    def write(text: str) -> Path:
        folder = tmp_path / "conf"
        folder.mkdir(exist_ok=True)
        (folder / "appliance.yml").write_text(text)
        return folder

    return write


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB of the tests' own."""
    with running_mariadb() as server:
        yield server
