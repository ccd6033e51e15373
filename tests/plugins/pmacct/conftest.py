"""Worlds for the tests of pmacct's tables, on either database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.plugins.pmacct.tables import history
from tests.plugins.pmacct.world import PmacctWorld


@pytest.fixture(params=["sqlite", "mariadb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PmacctWorld]:
    """A world on either database."""
    server = request.getfixturevalue("mariadb") if request.param == "mariadb" else None
    made = PmacctWorld(tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine be in New York; what is remembered of its clocks is gone afterwards."""
    monkeypatch.setenv("TZ", "America/New_York")
    _use_zone()
    yield
    monkeypatch.undo()
    _use_zone()


def _use_zone() -> None:
    time.tzset()
    history._utc_offset.cache_clear()
