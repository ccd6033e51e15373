"""The web server's way to the store of flows: opened when it is first asked, anew after a failure.

Each worker thread has a store of its own, so a store needs no locks for reading.
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
    """Opens stores and remembers the one of each thread."""

    def __init__(self, open_store: Callable[[], FlowStore]) -> None:
        self._open = open_store
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._stores: list[FlowStore] = []

    def store(self) -> FlowStore:
        """Return this thread's store.

        Raises
        ------
        StorageError
            It cannot be opened now.
        """
        store: FlowStore | None = getattr(self._of_thread, "store", None)
        if store is None:
            store = self._of_thread.store = self._open()
            with self._lock:
                self._stores.append(store)
        return store

    def discard(self) -> None:
        """Close this thread's store after it failed; the next question opens it anew."""
        store: FlowStore | None = getattr(self._of_thread, "store", None)
        self._of_thread.store = None
        if store is not None:
            with self._lock:
                self._stores.remove(store)
            with contextlib.suppress(StorageError):
                store.close()

    def close(self) -> None:
        """Close every thread's store; nothing may be asked any more."""
        with self._lock:
            stores, self._stores = self._stores, []
        for store in stores:
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
