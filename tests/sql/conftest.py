"""The tables of all plugins together are tested with the world of the roll-ups."""

from __future__ import annotations

from tests.plugins.rollups.conftest import sqlite_world, world

__all__ = ["sqlite_world", "world"]
