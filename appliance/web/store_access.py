"""The web server's way to the store of flows: opened when it is first asked, by any thread.

One store serves all worker threads; one that cannot be opened is tried again with the next request.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from appliance.app import App
from appliance.errors import StorageError
from appliance.stores import FlowStore

DATABASE = "flows.database"


class StoreAccess:
    """Opens the store and remembers it."""

    def __init__(self, open_store: Callable[[], FlowStore]) -> None:
        self._open = open_store
        self._lock = threading.Lock()
        self._opened: FlowStore | None = None

    def store(self) -> FlowStore:
        """Return the store.

        Raises
        ------
        StorageError
            It cannot be opened now.
        """
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def close(self) -> None:
        """Close the store; a later question opens it anew."""
        with self._lock:
            store, self._opened = self._opened, None
        if store is not None:
            with contextlib.suppress(StorageError):
                store.close()


def configured_store(app: App) -> Callable[[], FlowStore]:
    """Return what opens the store that `flows.database` names.

    The returned callable raises StorageError when no plugin knows its URL's scheme.
    """
    settings = app.settings

    def open_store() -> FlowStore:
        url = str(settings[DATABASE]) if DATABASE in settings else ""
        factory = (app.stores or {}).get(url.partition(":")[0])
        if factory is None:
            raise StorageError("no plugin opens the flow database")
        store: FlowStore = factory(url, settings)
        return store

    return open_store
