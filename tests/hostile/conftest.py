from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.appliance import Appliance, made_appliance


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    """A whole appliance on SQLite, with `root` (an administrator) and `user`."""
    made = made_appliance(tmp_path)
    yield made
    made.close()
