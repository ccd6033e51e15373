"""Passes what exporters told between the collectors of one database; in the loader's process."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from appliance.atomic_files import atomic_write
from appliance.errors import StorageError
from appliance.plugins.clickhouse.cluster import QUERY_SECONDS, Cluster
from appliance.plugins.clickhouse.http import literal
from appliance.plugins.clickhouse.schema import BODY_COLUMNS
from appliance.plugins.clickhouse.shared_bodies import BODIES, MAX_COLLECTORS, SharedBody
from appliance.ratelimit import RateLimited

log = RateLimited(logging.getLogger(__name__))

EXCHANGE_SECONDS = 10.0
REPEAT_SECONDS = 600.0
"""So often a collector writes what it knows again where nothing is new, as a sign of life."""

FORGET_SECONDS = 3600
"""What a collector wrote longer ago is not borrowed: its exporters may mean something else now."""


class CollectorExchange:
    """Writes what this collector knows to ClickHouse, and gets what others wrote there.

    Parameters
    ----------
    folder
        With the files of `shared_bodies`.
    """

    def __init__(self, cluster: Cluster, collector: str, folder: Path) -> None:
        self._next_at = 0.0
        self._bodies = [_Exchange(cluster, collector, folder, kind) for kind in BODIES]

    def exchange(self, now: float) -> None:
        """Pass on what is known and get others', every ten seconds; what fails is tried again."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + EXCHANGE_SECONDS
        for body in self._bodies:
            try:
                body.write_own(now)
                if body.kind.is_borrowed:
                    body.read_others(now)
            except (StorageError, OSError, ValueError) as error:
                what = body.kind.table
                log.warning("%s not shared with other collectors: %s", what, error)


class _Exchange:
    """Exchanges one kind of bodies."""

    def __init__(self, cluster: Cluster, collector: str, folder: Path, kind: SharedBody) -> None:
        self._cluster, self._collector, self._folder = cluster, collector, folder
        self.kind = kind
        self._repeat_at = 0.0
        self._written = ""
        self._read: list[list[Any]] | None = None

    def write_own(self, now: float) -> None:
        """Write the own body, where it has changed or a sign of life is due."""
        path = self._folder / self.kind.own_file
        body = path.read_text(encoding="utf-8") if path.exists() else "[]"
        is_as_before = body == self._written and time.monotonic() < self._repeat_at
        if is_as_before or len(body) > self.kind.most_octets:
            return
        values = {"collector": self._collector, "written_at": int(now), "body": body}
        self._cluster.insert_row(self.kind.table, BODY_COLUMNS, values)
        self._written, self._repeat_at = body, time.monotonic() + REPEAT_SECONDS

    def read_others(self, now: float) -> None:
        """Write what others know into the collector's file, where that has changed."""
        others = (
            f"FROM {self.kind.table} WHERE collector != {literal(self._collector)}"
            f" AND toUInt32(written_at) >= {max(int(now) - FORGET_SECONDS, 0)}"
            f" GROUP BY collector ORDER BY collector LIMIT {MAX_COLLECTORS}"
        )
        written = self._rows(f"SELECT collector, toUInt32(max(written_at)) {others}")
        if written == self._read:
            return
        bodies = self._rows(f"SELECT collector, argMax(body, written_at) {others}")
        with atomic_write(self._folder / self.kind.others_file) as file:
            file.write(json.dumps(dict(bodies)).encode())
        self._read = written

    def _rows(self, sql: str) -> list[list[Any]]:
        return self._cluster.any_node(lambda node: node.server.rows(sql, QUERY_SECONDS))
