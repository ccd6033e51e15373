"""The enricher: AS and country of both sides of a flow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from appliance import FlowBatch
from appliance.flows import AnyArray
from appliance.plugins.names.databases import (
    AddressDatabase,
    DatabaseError,
    FileState,
    file_state,
    open_database,
)
from appliance.plugins.names.ranges import SortedAddresses

LOOK_SECONDS = 30.0
"""So often a database is looked at for a newer one."""

_AS_COLUMNS = ("bgp_source_as_number", "bgp_destination_as_number")
_SIDES = ("source", "destination")

AS_TRANS = 23456
_PRIVATE_AS = ((64512, 65535), (4_200_000_000, 4_294_967_295))
"""For private use (RFC 6996), the last of each reserved (RFC 7300): they say nothing of others."""

logger = logging.getLogger(__name__)


class DatabaseFollower:
    """One database, read in a thread, and read again when its file changes.

    Parameters
    ----------
    folder
        Keeps what was read.
    """

    def __init__(
        self, path: Path, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path, self._folder, self._clock = path, folder, clock
        self.database: AddressDatabase | None = None
        self.problem = ""
        self._state: FileState | None = None
        self._next_look = clock()
        self._thread: threading.Thread | None = None

    def follow(self) -> AddressDatabase | None:
        """Return the database as far as it has been read; look for a newer file now and then."""
        now = self._clock()
        if now >= self._next_look and (self._thread is None or not self._thread.is_alive()):
            self._next_look = now + LOOK_SECONDS
            self._thread = threading.Thread(target=self.look, name="address-database", daemon=True)
            self._thread.start()
        return self.database

    def look(self) -> None:
        """Read the file where it is another than before; what was read before stays if it fails."""
        try:
            state = file_state(self.path)
            if state != self._state:
                self.database = open_database(self.path, self._folder)
                self._state = state
                logger.info("addresses: %s is read", self.path)
            self.problem = ""
        except DatabaseError as error:
            if str(error) != self.problem:
                logger.warning("addresses: %s", error)
            self.problem = str(error)


class AddressEnricher:
    """Adds countries, and AS where the exporter says none, or a private one."""

    def __init__(self, followers: Sequence[DatabaseFollower]) -> None:
        self.followers = followers

    def __call__(self, batch: FlowBatch) -> FlowBatch | None:
        """Return the batch with more columns; None where nothing is known."""
        if batch.options or not batch.n_records:
            return None
        databases = [database for f in self.followers if (database := f.follow()) is not None]
        added: dict[str, AnyArray] = {}
        for side, as_column in zip(_SIDES, _AS_COLUMNS, strict=True):
            if not databases or f"{side}_address_lo" not in batch.columns:
                continue
            addresses = SortedAddresses(
                batch.column(f"{side}_address_hi"), batch.column(f"{side}_address_lo")
            )
            for database in databases:
                look = partial(database.ranges.values, addresses)
                if database.says_countries:
                    added[f"{side}_country"] = look(database.countries)
                if database.says_as:
                    own = added.get(as_column, batch.column(as_column))
                    added[as_column] = _fill(own, look(database.as_numbers))
        return replace(batch, columns=batch.columns | added) if added else None


def _fill(own: AnyArray, known: AnyArray) -> AnyArray:
    """Return what exporters say, and what is known where they say nothing."""
    if not own.any():
        return known
    return np.where(says_nothing(own) & (known != 0), known, own)


def says_nothing(as_numbers: AnyArray) -> Any:
    """Tell of each AS number whether it is none, private, or a stand-in (RFC 6793 section 9)."""
    is_nothing = (as_numbers == 0) | (as_numbers == AS_TRANS)
    for first, last in _PRIVATE_AS:
        is_nothing |= (as_numbers >= first) & (as_numbers <= last)
    return is_nothing
