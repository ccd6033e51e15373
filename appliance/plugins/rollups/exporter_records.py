"""Exporters: an identifier for each address, with name and info, in the appliance database.

The loader makes one when the first flow of an address comes, before it stores the flow: a crash in
between leaves an exporter without flows, never flows without their exporter. The flow database
keeps a copy of the identifiers, so that they come back when the appliance database is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from appliance.contracts import ExporterRecord
from appliance.errors import StorageError
from appliance.flows import address_halves, address_text
from appliance.plugins.rollups.dimensions import ALL_EXPORTERS
from appliance.plugins.rollups.forgetting import (
    chunks,
    exporter_activity,
    is_lasting,
    least_known,
    number_list,
    silent_exporters,
)
from appliance.plugins.rollups.progress import read_progress
from appliance.sql.database import SqlDatabase
from appliance.sql.table_names import EXPORTER, FORGOTTEN_EXPORTER, KNOWN_EXPORTER

MOST_EXPORTERS = 65_536
"""For one more, others give way. Where none can, its flows count among those of all only."""

_MOST_FORGOTTEN = 65_536
"""So many of the highest numbers are kept with the moment at which they were forgotten."""

_COLUMNS = "id, address, name, info, created, updated"


class Exporters:
    """The exporters of the appliance database.

    Parameters
    ----------
    is_named
        Whether the settings speak of an address.

    Attributes
    ----------
    addresses
        As text, by identifier, as far as `ids` has met them.
    """

    def __init__(
        self,
        appliance: SqlDatabase,
        flows: SqlDatabase,
        is_named: Callable[[tuple[int, int]], bool],
    ) -> None:
        self.appliance, self.flows, self._is_named = appliance, flows, is_named
        self._ids: dict[tuple[int, int], int] = {}
        self.addresses: dict[int, str] = {}
        self._copied: set[int] = set()

    def all(self) -> list[ExporterRecord]:
        """Return every exporter, by identifier."""
        with self.appliance.transaction():
            rows = self.appliance.rows(f"SELECT {_COLUMNS} FROM {EXPORTER} ORDER BY id")
        return [ExporterRecord(*row) for row in rows]

    def count(self) -> int:
        """Return how many there are."""
        with self.appliance.transaction():
            return int(self.appliance.rows(f"SELECT count(*) FROM {EXPORTER}")[0][0])

    def read_addresses(self) -> set[str]:
        """Return the addresses of all."""
        with self.appliance.transaction():
            return {str(text) for (text,) in self.appliance.rows(f"SELECT address FROM {EXPORTER}")}

    def without_newcomers(self, addresses: Set[str]) -> set[str]:
        """Return those of some addresses that are no newcomers.

        They are named in the settings, have a name or info, or were heard of for more than
        `KNOWN_AFTER_MS`: in a minute that began so long after they came.
        """
        named = {address for address in addresses if self._is_named(address_halves(address))}
        with self.appliance.transaction():
            rows = self.appliance.rows(f"SELECT id, address, name, info, created FROM {EXPORTER}")
        rows = [row for row in rows if row[1] in addresses and row[1] not in named]
        named |= {str(address) for _, address, name, info, _ in rows if name or info}
        since = {int(number): float(created) for number, *_, created in rows}
        with self.flows.transaction():
            activity = exporter_activity(self.flows, list(since))
        return named | {
            str(address)
            for number, address, *_ in rows
            if is_lasting(activity[int(number)], since[int(number)])
        }

    def change(self, exporter: int, name: str | None, info: str | None, now: float) -> None:
        """Set name or info.

        Raises
        ------
        KeyError
            There is no such exporter.
        """
        with self.appliance.transaction(write=True):
            found = self.appliance.rows(
                f"SELECT name, info FROM {EXPORTER} WHERE id = ?", (exporter,)
            )
            if not found:
                raise KeyError(exporter)
            wanted = (found[0][0] if name is None else name, found[0][1] if info is None else info)
            if wanted != tuple(found[0]):
                self.appliance.execute(
                    f"UPDATE {EXPORTER} SET name = ?, info = ?, updated = ? WHERE id = ?",
                    (*wanted, now, exporter),
                )

    def delete(self, exporter: int, now: float) -> None:
        """Forget an exporter: it is gone at once, and the loader deletes what is stored of it.

        Raises
        ------
        KeyError
            There is no such exporter.
        """
        with self.appliance.transaction(write=True):
            if not self._move([exporter], now):
                raise KeyError(exporter)

    def delete_unnamed(self, exporters: Sequence[int], now: float) -> None:
        """Forget those of some exporters that have neither name nor info."""
        with self.appliance.transaction(write=True):
            for part in chunks(exporters):
                self._move(part, now, " AND name = '' AND info = ''")

    def pending_deletions(self) -> dict[int, str]:
        """Return the addresses, by identifier, of exporters of which something may be stored."""
        with self.appliance.transaction():
            rows = self.appliance.rows(
                f"SELECT id, address FROM {FORGOTTEN_EXPORTER} WHERE pending"
            )
        return {int(number): str(address) for number, address in rows}

    def forgotten(self) -> dict[tuple[int, int], float]:
        """Return when each address (hi, lo) was forgotten last, in seconds."""
        with self.appliance.transaction():
            rows = self.appliance.rows(
                f"SELECT address, MAX(forgotten) FROM {FORGOTTEN_EXPORTER} GROUP BY address"
            )
        return {address_halves(address): float(moment) for address, moment in rows}

    def finish_deletions(self, exporters: Mapping[int, str]) -> None:
        """Note that nothing is stored of them any more.

        The rows with the highest numbers stay: no number is used again, and an exporter of a query
        source does not come back before it sends again.
        """
        with self.appliance.transaction(write=True):
            for part in chunks(exporters):
                self.appliance.execute(
                    f"UPDATE {FORGOTTEN_EXPORTER} SET pending = 0 WHERE id IN ({number_list(part)})"
                )
            highest = self.appliance.rows(f"SELECT MAX(id) FROM {FORGOTTEN_EXPORTER}")[0][0]
            self.appliance.execute(
                f"DELETE FROM {FORGOTTEN_EXPORTER} WHERE pending = 0 AND id <= ?",
                ((highest or 0) - _MOST_FORGOTTEN,),
            )
        for number, text in exporters.items():
            self.addresses.pop(number, None)
            address = address_halves(text)
            if self._ids.get(address) == number:
                del self._ids[address]

    def reset(self) -> None:
        """Read identifiers anew when they are next asked for."""
        self._ids.clear()
        self._copied = set()

    def silent(self, now: float) -> list[int]:
        """Return the exporters without name that sent next to nothing and are silent."""
        changed = self._unnamed()
        with self.flows.transaction():
            activity = exporter_activity(self.flows, list(changed))
        return silent_exporters(activity, changed, now)

    def giving_way(self, addresses: Iterable[tuple[int, int]]) -> list[int]:
        """Return the exporters without name that give way to addresses without room."""
        wanted = set(addresses)
        if not self._ids:
            self._read()
        missing = len(wanted - self._ids.keys())
        lacking = min(missing, MOST_EXPORTERS) + len(self._ids) - MOST_EXPORTERS
        if not missing or lacking <= 0:
            return []
        sending = {self._ids[address] for address in wanted if address in self._ids}
        others = [number for number in self._unnamed() if number not in sending]
        with self.flows.transaction():
            return least_known(exporter_activity(self.flows, others), lacking)

    def ids(
        self, addresses: Iterable[tuple[int, int]], now: float, *, make: bool = True
    ) -> list[int]:
        """Return the identifiers of addresses (hi, lo), making those that are missing.

        Call it outside of any transaction.

        Parameters
        ----------
        make
            False for what is stored already: whoever has no identifier now was forgotten since.

        Raises
        ------
        StorageError
            A database is away.
        """
        wanted = list(addresses)
        if not wanted:
            return []
        missing = [address for address in wanted if address not in self._ids]
        if missing:
            self._read()
            self._make([address for address in missing if address not in self._ids], now, make)
        self._copy()
        return [self._ids.get(address, ALL_EXPORTERS) for address in wanted]

    def _move(self, exporters: Sequence[int], now: float, condition: str = "") -> int:
        which = f"FROM {EXPORTER} WHERE id IN ({number_list(exporters)}){condition}"
        self.appliance.execute(
            f"REPLACE INTO {FORGOTTEN_EXPORTER} (id, address, forgotten, pending)"
            f" SELECT id, address, ?, 1 {which}",
            (now,),
        )
        return int(self.appliance.execute(f"DELETE {which}").rowcount)

    def _unnamed(self) -> dict[int, float]:
        """Return when exporters without name and info were changed last, by identifier."""
        with self.appliance.transaction():
            rows = self.appliance.rows(
                f"SELECT id, updated FROM {EXPORTER} WHERE name = '' AND info = ''"
            )
        return {int(number): float(updated) for number, updated in rows}

    def _read(self) -> None:
        with self.appliance.transaction():
            rows = self.appliance.rows(f"SELECT id, address FROM {EXPORTER}")
        self._ids = {address_halves(address): int(number) for number, address in rows}
        self.addresses = {int(number): str(address) for number, address in rows}

    def _make(self, addresses: list[tuple[int, int]], now: float, new: bool) -> None:
        room = MOST_EXPORTERS - len(self._ids)
        if not addresses or room <= 0:
            return
        with self.flows.transaction():
            copy = {str(a): int(n) for n, a in self.flows.rows(f"SELECT * FROM {KNOWN_EXPORTER}")}
            used = read_progress(self.flows).highest_exporter
        with self.appliance.transaction(write=True):
            forgotten = self.appliance.rows(f"SELECT id FROM {FORGOTTEN_EXPORTER}")
            gone = {int(number) for (number,) in forgotten}
            highest = max([used, *gone, *copy.values(), *self._ids.values()])
            # The copy has those that were forgotten until the loader comes to them.
            copy = {text: number for text, number in copy.items() if number not in gone}
            if not new:
                addresses = [a for a in addresses if address_text(*a) in copy]
            texts = [address_text(*address) for address in addresses[:room]]
            rows: list[tuple[Any, ...]] = []
            for text in texts:
                highest += text not in copy
                rows.append((copy.get(text, highest), text, "", "", now, now))
            self.appliance.executemany(
                f"{self.appliance.dialect.ignore} INTO {EXPORTER} ({_COLUMNS})"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        self._read()
        if any(address not in self._ids for address in addresses[:room]):
            raise StorageError(f"database {self.appliance.name}: exporters cannot be made")

    def _copy(self) -> None:
        """Copy the identifiers into the flow database that are not there."""
        rows = [row for row in self.addresses.items() if row[0] not in self._copied]
        if rows:
            with self.flows.transaction(write=True):
                self.flows.executemany(
                    f"REPLACE INTO {KNOWN_EXPORTER} (id, address) VALUES (?, ?)", rows
                )
        self._copied = set(self.addresses)
