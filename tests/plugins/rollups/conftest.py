"""What the tests of the roll-ups share: a world on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.rollups.world import World


@pytest.fixture(params=["sqlite", "mariadb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world on either database."""
    url = "sqlite:flows.sqlite"
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb").new_database()
    made = World(tmp_path, url)
    yield made
    made.restart()
    made.writer.close()


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite."""
    made = World(tmp_path, "sqlite:flows.sqlite")
    yield made
    made.restart()
    made.writer.close()
