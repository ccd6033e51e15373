"""Credentials of single exporters that administrators set in the console; they go before the
settings. A file of the owner's alone in the data directory, which no answer shows."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from appliance import Settings, StorageError
from appliance.plugins.names.snmp.snmp_settings import AgentValues, agent_values

FILE = "snmp.sqlite"
_BUSY_SECONDS = 5.0


class OwnAgents:
    """Reads and writes the file of one data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> dict[str, AgentValues]:
        """Return what differs for exporters, by address; None for one that is not to be asked.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        return {
            exporter: None if raw is None else agent_values(raw, self.path.parent)
            for exporter, raw in self.raw().items()
        }

    def raw(self) -> dict[str, Mapping[str, str] | None]:
        """Return the same as it was written."""
        if not self.path.exists():
            return {}
        try:
            with closing(self._open("ro")) as connection:
                rows = connection.execute("SELECT exporter, content FROM agent").fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self.path} cannot be read: {error}") from error
        return {str(exporter): json.loads(content) for exporter, content in rows}

    def put(self, exporter: str, raw: Mapping[str, str] | None) -> None:
        """Keep what differs for an exporter; None: it is not to be asked.

        Raises
        ------
        ValueError
            A value does not fit.
        """
        if raw is not None:
            agent_values(raw, self.path.parent)
        with self._writing() as connection:
            sql = "INSERT OR REPLACE INTO agent VALUES (?, ?)"
            connection.execute(sql, (exporter, json.dumps(raw)))

    def remove(self, exporter: str) -> None:
        """Let the settings say again how an exporter is asked."""
        with self._writing() as connection:
            connection.execute("DELETE FROM agent WHERE exporter = ?", (exporter,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(self._open("rwc")) as connection, connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS agent"
                    " (exporter TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID"
                )
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{self.path} cannot be written: {error}") from error

    def _open(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)


def own_agents(settings: Settings) -> OwnAgents:
    """Return the file in the data directory of an appliance."""
    return OwnAgents(Path(settings["data_directory"]) / FILE)


def shown_values(raw: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what may be shown: whether a secret is set, not which."""
    from appliance.plugins.names.snmp.snmp_settings import SECRETS

    values = raw or {}
    return {
        **{name: value for name, value in values.items() if name not in SECRETS},
        **{f"has_{name}": bool(values.get(name)) for name in SECRETS},
    }
