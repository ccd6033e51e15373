"""The web server's way to its stores, of flows and of accounts: opened when first asked for.

One store serves all worker threads; one that cannot be opened is tried again with the next request.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from appliance.contracts import FlowStore, StoreFactory
from appliance.errors import SettingsError, StorageError
from appliance.settings.overrides import OverridableSettings
from appliance.stores import store_factory
from appliance.web.parts import WebParts


class Closable(Protocol):
    """What is open until it is closed."""

    def close(self) -> None:
        """Close it."""
        ...


S = TypeVar("S", bound=Closable)


class StoreAccess(Generic[S]):
    """Opens a store and remembers it.

    Parameters
    ----------
    version
        What the store depends on: when it is another value than before, the store is opened anew.
    """

    def __init__(
        self, open_store: Callable[[], S], version: Callable[[], object] = lambda: None
    ) -> None:
        self._open, self._version = open_store, version
        self._lock = threading.Lock()
        self._opened: S | None = None
        self._opened_at: object = None

    def store(self) -> S:
        """Return the store.

        Raises
        ------
        StorageError
            It cannot be opened now.
        """
        version = self._version()
        with self._lock:
            if self._opened is None or version != self._opened_at:
                # A former one may still answer others; it ends with the last of them.
                self._opened, self._opened_at = self._open(), version
            return self._opened

    def close(self) -> None:
        """Close the store; a later question opens it anew."""
        with self._lock:
            store, self._opened = self._opened, None
        if store is not None:
            with contextlib.suppress(StorageError):
                store.close()


def flow_store_access(parts: WebParts) -> StoreAccess[FlowStore]:
    """Return the way to the store of flows; it changes with what other files decide."""
    open_store = store_opener(parts.stores, parts.overridable)
    return StoreAccess(open_store, parts.overridable.version)


def store_opener(
    stores: Mapping[str, StoreFactory], overridable: OverridableSettings
) -> Callable[[], FlowStore]:
    """Return a function that opens the store that the configuration names at that moment.

    The returned callable raises StorageError when no plugin knows its URL's scheme.
    """

    def open_store() -> FlowStore:
        try:
            opener = store_factory(stores, overridable.active())
        except SettingsError as error:
            raise StorageError(str(error)) from None
        if opener is None:
            raise StorageError("no plugin opens the flow database")
        return opener()

    return open_store


def preflight_of(parts: WebParts) -> Callable[[], None]:
    """Return a function that looks whether the collector could be started as its file is now.

    The returned callable raises SettingsError or StorageError, which say what is wrong.
    """

    def preflight() -> None:
        opener = store_factory(parts.stores, parts.overridable.upcoming())
        if opener is None:
            return
        store = opener()
        try:
            store.cursor()
        finally:
            store.close()

    return preflight
