"""Names of AS for answers: those of the databases, from what the collector kept of them.

A process that answers does not read a database itself, which takes seconds and much memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.plugins.names.databases import DatabaseError, FileState, file_state, read_kept_names

AS_COLUMNS = ("bgp_as_number", "bgp_source_as_number", "bgp_destination_as_number")
"""Of answers: either side, the source, the destination."""


class KeptNames:
    """Names in files that `open_database` keeps, read again when one is another than before.

    Parameters
    ----------
    files
        Of two that name an AS the first counts.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._read: tuple[list[FileState | None], Mapping[int, str]] = ([], {})

    def names(self) -> Mapping[int, str]:
        """Return the names by AS number; empty until the collector has read a database."""
        states = [_state_of(file) for file in self._files]
        if states != self._read[0]:
            names: dict[int, str] = {}
            for file in reversed(self._files):
                names.update(read_kept_names(file))
            self._read = states, names
        return self._read[1]


def _state_of(file: Path) -> FileState | None:
    try:
        return file_state(file)
    except DatabaseError:
        return None
