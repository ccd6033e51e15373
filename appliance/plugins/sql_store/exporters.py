"""Exporters: an identifier for each address, with name and info, in the appliance database.

The loader makes one when the first flow of an address comes, before it stores the flow: a crash in
between leaves an exporter without flows, never flows without their exporter. The flow database
keeps a copy of the identifiers, so that they come back when the appliance database is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.errors import StorageError
from appliance.flows import address_halves, address_text
from appliance.plugins.sql_store.database import SqlDatabase
from appliance.plugins.sql_store.dimensions import ALL_EXPORTERS
from appliance.stores import ExporterRecord

MOST_EXPORTERS = 65_536
"""Addresses beyond get no identifier: their flows count among those of all exporters only."""

_COLUMNS = "id, address, name, info, created, updated"


class Exporters:
    """The exporters of the appliance database.

    Attributes
    ----------
    addresses
        As text, by identifier, as far as `ids` has met them.
    """

    def __init__(self, appliance: SqlDatabase, flows: SqlDatabase) -> None:
        self.appliance, self.flows = appliance, flows
        self._ids: dict[tuple[int, int], int] = {}
        self.addresses: dict[int, str] = {}
        self._copied = False

    def all(self) -> list[ExporterRecord]:
        """Return every exporter, by identifier."""
        with self.appliance.transaction():
            rows = self.appliance.rows(f"SELECT {_COLUMNS} FROM exporter ORDER BY id")  # noqa: S608
        return [ExporterRecord(*row) for row in rows]

    def change(self, exporter: int, name: str | None, info: str | None, now: float) -> None:
        """Set name or info.

        Raises
        ------
        KeyError
            There is no such exporter.
        """
        with self.appliance.transaction(write=True):
            found = self.appliance.rows("SELECT name, info FROM exporter WHERE id = ?", (exporter,))
            if not found:
                raise KeyError(exporter)
            wanted = (found[0][0] if name is None else name, found[0][1] if info is None else info)
            if wanted != tuple(found[0]):
                self.appliance.execute(
                    "UPDATE exporter SET name = ?, info = ?, updated = ? WHERE id = ?",
                    (*wanted, now, exporter),
                )

    def forget(self) -> None:
        """Read identifiers anew when they are next asked for."""
        self._ids.clear()
        self._copied = False

    def ids(self, addresses: Iterable[tuple[int, int]], now: float) -> list[int]:
        """Return the identifiers of addresses (hi, lo), making those that are missing.

        Call it outside of any transaction.

        Raises
        ------
        StorageError
            A database is away.
        """
        wanted = list(addresses)
        missing = [address for address in wanted if address not in self._ids]
        if missing:
            self._read()
            self._make([address for address in missing if address not in self._ids], now)
        if not self._copied:
            self._copy()
        return [self._ids.get(address, ALL_EXPORTERS) for address in wanted]

    def _read(self) -> None:
        with self.appliance.transaction():
            rows = self.appliance.rows("SELECT id, address FROM exporter")
        self._ids = {address_halves(address): int(number) for number, address in rows}
        self.addresses = {int(number): str(address) for number, address in rows}

    def _make(self, addresses: list[tuple[int, int]], now: float) -> None:
        room = MOST_EXPORTERS - len(self._ids)
        if not addresses or room <= 0:
            return
        with self.flows.transaction():
            copy = {str(a): int(n) for n, a in self.flows.rows("SELECT * FROM known_exporter")}
        texts = [address_text(*address) for address in addresses[:room]]
        with self.appliance.transaction(write=True):
            highest = max([0, *copy.values(), *self._ids.values()])
            rows: list[tuple[Any, ...]] = []
            for text in texts:
                highest += text not in copy
                rows.append((copy.get(text, highest), text, "", "", now, now))
            self.appliance.executemany(
                f"{self.appliance.dialect.ignore} INTO exporter ({_COLUMNS})"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        self._read()
        self._copied = False
        if any(address not in self._ids for address in addresses[:room]):
            raise StorageError(f"database {self.appliance.name}: exporters cannot be made")

    def _copy(self) -> None:
        with self.flows.transaction(write=True):
            self.flows.executemany(
                "REPLACE INTO known_exporter (id, address) VALUES (?, ?)",
                list(self.addresses.items()),
            )
        self._copied = True
