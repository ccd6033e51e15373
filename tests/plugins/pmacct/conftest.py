"""Worlds for the tests of pmacct's tables, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.pmacct.world import PmacctWorld


@pytest.fixture(params=["sqlite", "mariadb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PmacctWorld]:
    """A world on either database."""
    server = request.getfixturevalue("mariadb") if request.param == "mariadb" else None
    made = PmacctWorld(tmp_path, server)
    yield made
    made.close()
