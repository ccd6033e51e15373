"""Room for the names of applications: when all places are taken, inventions give way.

Whoever can send a flow can send options records too, and give 65,536 names from one address. So
when there is no place left, the names of the exporter go that gave most, then of the next, until
an eighth of the places is free. Those of known exporters stay (see `collector.newcomers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from appliance.plugins.rollups import application_names
from appliance.plugins.rollups.application_names import ApplicationName, Applications
from appliance.plugins.rollups.exporter_records import Exporters

_FREED_PART = 8
_PAUSE_SECONDS = 60.0
"""Between two looks, as each reads what the exporters sent."""


class ApplicationRoom:
    """Says who gives way.

    Attributes
    ----------
    exporters
        Say which of them are known.
    """

    def __init__(self, exporters: Exporters) -> None:
        self.exporters = exporters
        self._look_at = 0.0

    def giving_way(
        self, applications: Applications, names: Iterable[ApplicationName], now: float
    ) -> list[str]:
        """Return the exporters whose names give way to new ones.

        Parameters
        ----------
        names
            What exporters just told.
        now
            Seconds since 1970.

        Raises
        ------
        StorageError
            A database is away.
        """
        lacking = applications.count + applications.count_new(names) - application_names.MOST_NAMES
        if lacking <= 0 or abs(now - self._look_at) < _PAUSE_SECONDS:
            return []
        self._look_at = now
        return _most_names(
            applications,
            self.exporters.without_newcomers(applications.names.keys()),
            lacking + application_names.MOST_NAMES // _FREED_PART,
        )


def _most_names(applications: Applications, known: Set[str], n_names: int) -> list[str]:
    """Return those that are not known and gave most names, as many as have so many names."""
    unknown = sorted(
        applications.names.keys() - known, key=lambda address: -applications.n_names(address)
    )
    leaving = []
    for address in unknown:
        if n_names <= 0:
            break
        leaving.append(address)
        n_names -= applications.n_names(address)
    return leaving
