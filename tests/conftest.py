"""Fixtures that every folder of tests uses; each folder adds its own beside its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugins.sql_store.world import MariaDb, running_mariadb


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make two groups: `make test` runs the box and everything else at the same time.

    More would not do: two cores are busy then, and tests that measure times get in each other's
    way.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            group = "box" if item.path.parent.name == "box" else "everything else"
            item.add_marker(pytest.mark.xdist_group(group))


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
