"""The names that exporters give their applications, each in its session.

Options facts belong to the session that told them (RFC 7011 section 8): two exporters behind one
address differ by the port they send from and by their observation domain, and one application_id
may be two things. A session that has not told a name yet, as after a restart, takes the one that
all others of its address agree on; where they differ it has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.plugins.rollups.flow_tables import NAME_CHARACTERS
from appliance.services import Services
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import APPLICATION, SESSION_APPLICATION

MOST_APPLICATIONS = 65_536
"""Applications that one exporter may name; flows with further ones count by their port."""

MOST_SESSIONS = 16
"""Sessions of an address that may have names for one application; the longest unchanged goes."""

MOST_NAMES = 1_000_000
"""Names that all may give together."""

MOST_UNLISTED_NAMES = MOST_NAMES // 4
"""Names that exporters without a flow may give together: options records alone can be invented."""

UNKNOWN = "unknown"

_DOMAIN_BITS = 32


class ApplicationName(NamedTuple):
    """The name of an application, as a session told it.

    Attributes
    ----------
    exporter
        Its address.
    port, domain
        The UDP port that it sends from, and its observation domain.
    """

    exporter: str
    port: int
    domain: int
    application: int
    name: str

    @property
    def session(self) -> int:
        """The number of the session, as `classify.session_number` has it."""
        return self.port << _DOMAIN_BITS | self.domain


class Changes(NamedTuple):
    """What to store, with names as they were told, and what of it to delete first."""

    stored: list[ApplicationName]
    deleted: list[ApplicationName]


@dataclass
class Applications:
    """The names of applications: IANA's where the service has one.

    Attributes
    ----------
    names
        By the exporter's address and application_id: pairs of session and name, the one that was
        told last at the end. A session that agrees with all others is not among them.
    refused
        Names beyond the limits.
    """

    services: Services
    names: dict[str, dict[int, tuple[tuple[int, str], ...]]] = field(default_factory=dict)
    refused: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _known: int = 0

    def learn(self, names: Iterable[ApplicationName], listed: Set[str]) -> Changes:
        """Take over names; return what is to be stored.

        Parameters
        ----------
        listed
            Addresses of exporters that have sent a flow.
        """
        stored: list[ApplicationName] = []
        leaving: list[ApplicationName] = []
        unlisted = self.count_unlisted(listed)
        for item in names:
            cleaned = clean_name(item.name)
            name = self._service_name(cleaned)
            if not name or self.name(item.exporter, item.session, item.application) == name:
                continue
            before = self._counts[item.exporter]
            is_full = item.exporter not in listed and unlisted >= MOST_UNLISTED_NAMES
            leaving += self._add(item, name, is_full)
            unlisted += (item.exporter not in listed) * (self._counts[item.exporter] - before)
            if self.name(item.exporter, item.session, item.application) == name:
                stored.append(item._replace(name=cleaned))
        # Who gave way may have told a name again since.
        return Changes(stored, [item for item in leaving if not self._has(item)])

    def restore(self, stored: Iterable[ApplicationName]) -> None:
        """Take over names that are stored."""
        for item in stored:
            self._add(item, self._service_name(item.name), False)

    def _has(self, item: ApplicationName) -> bool:
        return item.session in dict(self.names[item.exporter][item.application])

    def _service_name(self, cleaned: str) -> str:
        return self.services.known_as.get(cleaned.lower(), cleaned)

    def _add(self, item: ApplicationName, name: str, is_full: bool) -> list[ApplicationName]:
        """Take over a name where there is room; return those that gave way."""
        known = self.names.setdefault(item.exporter, {})
        names = dict(known.get(item.application, ()))
        if item.session not in names:
            is_full |= self._known >= MOST_NAMES
            if is_full or (not names and len(known) >= MOST_APPLICATIONS):
                self.refused += 1
                return []
        names.pop(item.session, None)
        names[item.session] = name
        leaving = list(names)[:-MOST_SESSIONS]
        added = len(names) - len(leaving) - len(known.get(item.application, ()))
        self._known += added
        self._counts[item.exporter] += added
        known[item.application] = tuple(list(names.items())[-MOST_SESSIONS:])
        below = (1 << _DOMAIN_BITS) - 1
        return [
            item._replace(port=session >> _DOMAIN_BITS, domain=session & below, name="")
            for session in leaving
        ]

    def name(self, exporter: str, session: int, application: int) -> str | None:
        """Return the name of an application in a session; None where there is none."""
        names = dict(self.names.get(exporter, {}).get(application, ()))
        if session in names:
            return names[session]
        agreed = set(names.values())
        return agreed.pop() if len(agreed) == 1 else None

    @property
    def count(self) -> int:
        """How many names all gave."""
        return self._known

    def n_names(self, exporter: str) -> int:
        """Return how many names an exporter gave."""
        return self._counts[exporter]

    def count_new(self, names: Iterable[ApplicationName]) -> int:
        """Return how many places for names these would take that are not taken yet."""
        return len({item[:-1] for item in names if not self._is_known(item)})

    def _is_known(self, item: ApplicationName) -> bool:
        pairs = self.names.get(item.exporter, {}).get(item.application, ())
        agreed = self.name(item.exporter, item.session, item.application)
        is_same = agreed == self._service_name(clean_name(item.name))
        return is_same or any(session == item.session for session, _ in pairs)

    def count_unlisted(self, listed: Set[str]) -> int:
        """Return how many names exporters without a flow gave."""
        return sum(self._counts[exporter] for exporter in self.names.keys() - listed)

    def forget(self, exporters: Iterable[str]) -> None:
        """Let go of the names that some exporters gave."""
        for exporter in exporters:
            self.names.pop(exporter, None)
            self._known -= self._counts.pop(exporter, 0)


def names_in_database(database: SqlDatabase) -> list[ApplicationName]:
    """Return the names in the flow database, inside a transaction of the caller's.

    Those that were stored by address are of a session without port and domain.
    """
    query = (
        f"SELECT exporter, 0, 0, application_id, name FROM {APPLICATION} UNION ALL"
        f" SELECT exporter, port, domain, application_id, name FROM {SESSION_APPLICATION}"
    )
    return [
        ApplicationName(str(exporter), int(port), int(domain), int(application), str(name))
        for exporter, port, domain, application, name in database.rows(query)
    ]


def store_names(database: SqlDatabase, changes: Changes) -> None:
    """Store what changed, inside a transaction of the caller's."""
    database.executemany(
        f"REPLACE INTO {SESSION_APPLICATION} (exporter, port, domain, application_id, name)"
        " VALUES (?, ?, ?, ?, ?)",
        [(*key, str(application), name) for *key, application, name in changes.stored],
    )
    database.executemany(
        f"DELETE FROM {SESSION_APPLICATION}"
        " WHERE exporter = ? AND port = ? AND domain = ? AND application_id = ?",
        [(*key, str(application)) for *key, application, _ in changes.deleted],
    )


def clean_name(text: str) -> str:
    """Return a name as it can be stored: printable, trimmed, of limited length."""
    kept = "".join(c if c.isprintable() else " " for c in text[: 4 * NAME_CHARACTERS])
    return " ".join(kept.split())[:NAME_CHARACTERS].strip()
