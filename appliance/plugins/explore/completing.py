"""`/api/v1/explore/complete`: what may come next in a filter, with values from the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from appliance import RequestError, Settings
from appliance.collector.exporter_rows import exporter_rows
from appliance.collector.status import read_status
from appliance.contracts import FlowStore, Selection
from appliance.errors import ApplianceError, StorageError
from appliance.query.language.completion import MAX_SUGGESTIONS, complete
from appliance.web.parameters import Query

MAX_TEXT = 4000
DAY_SECONDS = 86_400
STATUS_FILE = "collector.json"
PARAMETERS = ("text", "cursor")
EXAMPLE = {
    "from": 6,
    "to": 7,
    "suggestions": [{"text": "tcp", "kind": "value", "note": "6"}],
}


def completion(
    settings: Settings, query: Query, open_store: Callable[[], FlowStore]
) -> dict[str, Any]:
    """Return what may take the place of the word at the cursor."""
    text = query.verbatim("text") or ""
    if len(text) > MAX_TEXT:
        raise RequestError(400, f"text: expected at most {MAX_TEXT} characters")
    place = query.text("cursor") or str(len(text))
    if not (place.isascii() and place.isdecimal() and len(place) < 6):
        raise RequestError(400, "cursor: expected a whole number")
    values = {
        "exporter": lambda: _exporters(settings, open_store),
        "app": lambda: _applications(open_store, query.now),
        "application": lambda: _applications(open_store, query.now),
    }
    found = complete(text, int(place), values)
    return {
        "from": found.start,
        "to": found.end,
        "suggestions": [one._asdict() for one in found.suggestions],
    }


def _exporters(
    settings: Settings, open_store: Callable[[], FlowStore]
) -> Iterator[tuple[str, str]]:
    names: dict[str, str] = {}
    try:
        names = {record.address: record.name for record in open_store().exporters()}
    except StorageError:
        # Their addresses are offered all the same.
        names = {}
    status = read_status(settings["data_directory"] / STATUS_FILE) or {}
    addresses = dict.fromkeys([*names, *(row.exporter for row in exporter_rows(status, settings))])
    for address in addresses:
        yield address, names.get(address, "")


def _applications(open_store: Callable[[], FlowStore], now: float) -> list[tuple[str, str]]:
    """Return the largest applications of the last day by name."""
    selection = Selection(since=int(now) - DAY_SECONDS)
    try:
        rows = open_store().top("application", selection, limit=MAX_SUGGESTIONS).rows
    except ApplianceError:
        return []
    return [(f'"{row.key}"', "") for row in rows if row.key and '"' not in row.key]
