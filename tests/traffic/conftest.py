"""What tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.traffic.captures import CaptureReader
from tests.traffic.building import Read


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads octets as a capture file."""

    def reading(octets: bytes, ports: set[int] | None = None):  # type: ignore[no-untyped-def]
        path = tmp_path / "capture"
        path.write_bytes(octets)
        reader = CaptureReader(path, ports)
        return list(reader), reader

    return reading
