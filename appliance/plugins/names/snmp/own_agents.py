"""Credentials of single exporters that administrators set in the console; they go before the
settings. A file of the owner's alone in the data directory, which no answer shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance import Settings
from appliance.plugins.names.snmp.snmp_settings import SECRETS, AgentValues, agent_values
from appliance.sqlite_file import SqliteFile

FILE = "snmp.sqlite"
_SCHEMA = """CREATE TABLE IF NOT EXISTS agent (exporter TEXT PRIMARY KEY, content TEXT)
    WITHOUT ROWID;"""


class OwnAgents:
    """Reads and writes the file of one data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path, _SCHEMA, 0o600)

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
        rows = self._file.rows("SELECT exporter, content FROM agent")
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
        with self._file.writing() as connection:
            sql = "INSERT OR REPLACE INTO agent VALUES (?, ?)"
            connection.execute(sql, (exporter, json.dumps(raw)))

    def remove(self, exporter: str) -> None:
        """Let the settings say again how an exporter is asked."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM agent WHERE exporter = ?", (exporter,))


def own_agents(settings: Settings) -> OwnAgents:
    """Return the file in the data directory of an appliance."""
    return OwnAgents(Path(settings["data_directory"]) / FILE)


def public_values(raw: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what may be shown: whether a secret is set, not which."""
    values = raw or {}
    return {
        **{name: value for name, value in values.items() if name not in SECRETS},
        **{f"has_{name}": bool(values.get(name)) for name in SECRETS},
    }
