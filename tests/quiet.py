"""Which tests run at the same time: most beside any other, those marked `quiet` alone.

Each test holds one lock of the whole run while it lasts, shared or, where it is marked, for itself.
It is taken behind a gate, so that a test that wants it for itself is not overtaken by others.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


class TestLocks:
    """A plugin of pytest for each of the workers that share a folder of locks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @pytest.hookimpl(tryfirst=True, wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Hold the lock while a test is prepared, runs and is cleared away; before its timeout."""
        is_quiet = item.get_closest_marker("quiet") is not None
        with (self.folder / "tests").open("a") as lock:
            with (self.folder / "gate").open("a") as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                fcntl.flock(lock, fcntl.LOCK_EX if is_quiet else fcntl.LOCK_SH)
            return (yield)
