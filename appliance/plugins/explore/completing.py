"""`/api/v1/explore/complete`: what may come next in a filter, with values from the data.

Names that take long to read are read in the background while somebody types, and kept for a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from appliance import Principal, RequestError, Settings
from appliance.collector.exporter_rows import exporter_rows
from appliance.collector.status import STATUS_FILE, read_status
from appliance.contracts import Selection
from appliance.errors import ApplianceError, StorageError
from appliance.interface_history import interface_history
from appliance.plugins.explore.parameters import OpenStore
from appliance.web.parameters import Query

if TYPE_CHECKING:
    from appliance.query.names import LogNames

MAX_TEXT = 4000
DAY_SECONDS = 86_400
PARAMETERS = ("text", "cursor")
EXAMPLE = {
    "from": 6,
    "to": 7,
    "suggestions": [{"text": "tcp", "kind": "value", "note": "6"}],
}
KEPT_SECONDS = 60.0
PATIENCE_SECONDS = 0.02
"""So long a completion waits for names that nobody has read yet."""

Pairs = Iterable[tuple[str, str]]


class KeptNames:
    """Names from the data, read by a thread of their own when they are old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._names: list[tuple[str, str]] = []
        self._due = 0.0

    def refresh(self, read: Callable[[], Pairs]) -> None:
        """Begin to read, where that is due.

        Parameters
        ----------
        read
            Returns texts and notes; names that cannot be read are none.
        """
        with self._lock:
            if self._thread is None and time.monotonic() >= self._due:
                self._thread = threading.Thread(
                    target=self._fill, args=(read,), daemon=True, name="names"
                )
                self._thread.start()

    def names(self) -> list[tuple[str, str]]:
        """Return the names; those of before, or none, where reading takes long."""
        thread = self._thread
        if thread is not None:
            thread.join(PATIENCE_SECONDS)
        return self._names

    def _fill(self, read: Callable[[], Pairs]) -> None:
        try:
            self._names = list(read())
        except ApplianceError:
            # There is no log or database yet; whoever asks for flows is told.
            pass
        finally:
            with self._lock:
                self._due, self._thread = time.monotonic() + KEPT_SECONDS, None


_kept: dict[tuple[str, str], KeptNames] = {}
"""By data directory and kind. Of this process, which has one web server."""


def completion(
    settings: Settings, query: Query, open_store: OpenStore, principal: Principal | None
) -> dict[str, Any]:
    """Return what may take the place of the word at the cursor; to a caller who is bound to a
    filter without names from the data and the settings.
    """
    from appliance.query.language.completion import complete

    text = query.verbatim("text") or ""
    if len(text) > MAX_TEXT:
        raise RequestError(400, f"text: expected at most {MAX_TEXT} characters")
    place = query.text("cursor") or str(len(text))
    if not (place.isascii() and place.isdecimal() and len(place) < 6):
        raise RequestError(400, "cursor: expected a whole number")
    is_bound = principal is not None and principal.filter is not None
    values = {} if is_bound else _values(settings, open_store, query.now)
    answer = complete(text, int(place), values, tells_names=not is_bound)
    return {
        "from": answer.start,
        "to": answer.end,
        "suggestions": [one._asdict() for one in answer.suggestions],
    }


def _values(
    settings: Settings, open_store: OpenStore, now: float
) -> Mapping[str, Callable[[], Pairs]]:
    return {
        "exporter": lambda: _exporters(settings, open_store),
        "application": _kept_names("application", settings, lambda: _applications(open_store, now)),
        "interface": _kept_names("interface", settings, lambda: _interfaces(settings)),
        "vrf": _kept_names("vrf", settings, lambda: _vrfs(settings)),
        "list": lambda: (
            (f"@{name}", path.name) for name, path in settings["search.lists"].items()
        ),
    }


def _kept_names(
    kind: str, settings: Settings, read: Callable[[], Pairs]
) -> Callable[[], list[tuple[str, str]]]:
    """Return what returns names of a kind; they are read while the field is still being typed."""
    kept = _kept.setdefault((str(settings["data_directory"]), kind), KeptNames())
    kept.refresh(read)
    return kept.names


def _exporters(settings: Settings, open_store: OpenStore) -> Iterator[tuple[str, str]]:
    from appliance.query.language.completion import quote_name

    names: dict[str, str] = {}
    devices = interface_history(settings).device_names()
    try:
        exporters = open_store().exporters()
        names = {one.address: one.name or devices.get(one.address, "") for one in exporters}
    except StorageError:
        # Their addresses are offered all the same.
        names = {}
    status = read_status(settings["data_directory"] / STATUS_FILE) or {}
    addresses = dict.fromkeys([*names, *(row.exporter for row in exporter_rows(status, settings))])
    for address in addresses:
        yield address, names.get(address, "")
    for address, name in names.items():
        if name:
            yield quote_name(name), address


def _applications(open_store: OpenStore, now: float) -> Iterator[tuple[str, str]]:
    """Yield the largest applications of the last day by name."""
    from appliance.query.language.completion import MAX_SUGGESTIONS, quote_name

    selection = Selection(since=int(now) - DAY_SECONDS)
    store = open_store()
    try:
        rows = store.top("application", selection, limit=MAX_SUGGESTIONS).rows
    finally:
        # This thread ends, and would leave its connection open.
        store.close()
    for row in rows:
        if row.key:
            yield quote_name(row.key), ""


def _interfaces(settings: Settings) -> Iterator[tuple[str, str]]:
    return _texts(_log_names(settings).interface_names())


def _vrfs(settings: Settings) -> Iterator[tuple[str, str]]:
    return _texts(_log_names(settings).vrf_names())


def _log_names(settings: Settings) -> LogNames:
    from appliance.query.engine import engine_from_settings
    from appliance.query.names import LogNames

    return LogNames(engine_from_settings(settings).search)


def _texts(names: Iterable[tuple[str, str, int]]) -> Iterator[tuple[str, str]]:
    """Yield names as they stand in a filter, with the exporter and the number."""
    from appliance.query.language.completion import quote_name

    for name, exporter, number in names:
        yield quote_name(name), f"{exporter}, {number}"
