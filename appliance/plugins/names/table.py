"""What all databases say of addresses, as one table; read, and read anew, in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from appliance.flows import AnyArray
from appliance.plugins.names.databases import (
    AddressDatabase,
    DatabaseError,
    FileState,
    file_state,
    open_database,
)
from appliance.plugins.names.known_ranges import COUNTRY, KnownRanges, known_by_database
from appliance.plugins.names.lookup import AddressIndex
from appliance.plugins.names.ranges import merge_ranges

LOOK_SECONDS = 30.0
"""So often a database is looked at for a newer one."""

logger = logging.getLogger(__name__)


class AddressTable:
    """What is known of each address.

    Parameters
    ----------
    many
        Of two that say the AS of an address the first counts, of the country the last.

    Attributes
    ----------
    index
        Finds the number by which the others are sorted.
    values
        What is known, by what it is.
    """

    def __init__(self, many: Sequence[KnownRanges]) -> None:
        ranges, numbers = merge_ranges([known.ranges for known in many])
        self.index = AddressIndex(ranges)
        self.values: dict[str, AnyArray] = {}
        for known, places in zip(many, numbers, strict=True):
            for name, values in known.values.items():
                own, others = values[places], self.values.get(name)
                if others is not None:
                    first, second = (own, others) if name == COUNTRY else (others, own)
                    own = np.where(first != 0, first, second)
                self.values[name] = own
        self.values = {name: values for name, values in self.values.items() if values.any()}


class DatabaseFollower:
    """Databases, read in a thread, and read again when their files change.

    Parameters
    ----------
    folder
        Keeps what was read.
    networks
        Returns what settings tell beside them; called when it is first used.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        folder: Path,
        networks: Callable[[], Sequence[KnownRanges]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths, self._folder, self._clock = paths, folder, clock
        self._networks: Callable[[], Sequence[KnownRanges]] = cache(networks)
        self.table: AddressTable | None = None
        self._databases: dict[Path, AddressDatabase] = {}
        self._states: dict[Path, FileState] = {}
        self._problems: dict[Path, str] = {}
        self._next_look = clock()
        self._thread: threading.Thread | None = None

    def follow(self) -> AddressTable | None:
        """Return the table of what has been read; look for newer files now and then."""
        if self.table is None and self._networks():
            # Without databases, which take long to read, that is a matter of milliseconds.
            self.table = AddressTable(self._networks())
        now = self._clock()
        is_reading = self._thread is not None and self._thread.is_alive()
        if self.paths and now >= self._next_look and not is_reading:
            self._next_look = now + LOOK_SECONDS
            self._thread = threading.Thread(target=self.look, name="address-databases", daemon=True)
            self._thread.start()
        return self.table

    def look(self) -> None:
        """Read the files that are others than before; what was read before stays if it fails."""
        new_paths = [path for path in self.paths if self._reads(path)]
        if new_paths:
            in_order = [self._databases[path] for path in self.paths if path in self._databases]
            self.table = AddressTable([*map(known_by_database, in_order), *self._networks()])

    def _reads(self, path: Path) -> bool:
        """Read a file where it is another than before; tell whether it was."""
        try:
            state = file_state(path)
            is_new = state != self._states.get(path)
            if is_new:
                self._databases[path] = open_database(path, self._folder)
                self._states[path] = state
                logger.info("addresses: %s is read", path)
            self._problems.pop(path, None)
        except DatabaseError as error:
            if str(error) != self._problems.get(path):
                logger.warning("addresses: %s", error)
            self._problems[path] = str(error)
            return False
        return is_new
