"""Views of Explore that somebody gave a name: their own, and those that everybody sees."""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance import SIGNED_IN, Principal, RequestError, Route, Settings, StorageError
from appliance.atomic_files import atomic_write
from appliance.web.bodies import Body
from appliance.web.openapi import operation

PATH = "/api/v1/console/views"
TAG = "Console"
MAX_NAME, MAX_QUERY, MAX_OF_USER = 80, 6000, 200
_FILE = "views.json"
_EXAMPLE = {
    "id": "9f2c",
    "name": "Uplink",
    "query": "filter=in+if+1&by=application",
    "owner": "admin",
    "is_own": True,
    "is_shared": False,
}

_lock = threading.Lock()


class Views:
    """The views of all users, in one file.

    Raises
    ------
    StorageError
        The file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE

    def load(self) -> list[dict[str, Any]]:
        """Return every view; what is no view is left out."""
        try:
            found = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise StorageError(f"the saved views cannot be read: {error}") from None
        return [view for view in found if _is_view(view)] if isinstance(found, list) else []

    def save(self, views: list[dict[str, Any]]) -> None:
        """Replace them all."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path, 0o600, keep=True, durable=True) as file:
                file.write(json.dumps(views, indent=1).encode())
        except OSError as error:
            raise StorageError(f"the saved views cannot be written: {error.strerror}") from None


class ViewsBackup:
    """What a backup holds of the console."""

    name = "console"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, folder: Path) -> None:
        """Copy the file."""
        if (self._folder / _FILE).is_file():
            shutil.copyfile(self._folder / _FILE, folder / _FILE)

    def restore(self, folder: Path) -> None:
        """Put back what `save` wrote; a file that is none of ours changes nothing."""
        if (folder / _FILE).is_file():
            Views(self._folder).save(Views(folder).load())


def views_folder(settings: Settings) -> Path:
    """Return where the views are kept."""
    folder: Path = settings["data_directory"]
    return folder / "console"


def list_views(settings: Settings, principal: Principal) -> dict[str, Any]:
    """Return one's own views and the shared ones, by name; to a user who is bound to a filter none
    of others, whose filters tell of what is hidden.
    """
    is_bound = principal.filter is not None
    views = [
        _view_for(view, principal)
        for view in Views(views_folder(settings)).load()
        if view["owner"] == principal.name or (view["is_shared"] and not is_bound)
    ]
    return {"views": sorted(views, key=lambda view: str(view["name"]).casefold())}


def add_view(settings: Settings, principal: Principal, body: Body) -> dict[str, Any]:
    """Keep a view; one of the same owner and name is replaced."""
    given = body.single(("name", "query", "shared"))
    name = _text(given, "name", MAX_NAME, 1)
    is_shared = given.get("shared") == "yes"
    if is_shared and principal.filter is not None:
        raise RequestError(403, "Your account is bound to a filter, and shares no views")
    view = {
        "id": secrets.token_hex(8),
        "name": name,
        "query": _text(given, "query", MAX_QUERY),
        "owner": principal.name,
        "is_shared": is_shared,
    }
    with _lock:
        store = Views(views_folder(settings))
        others = [
            one for one in store.load() if (one["owner"], one["name"]) != (principal.name, name)
        ]
        if sum(one["owner"] == principal.name for one in others) >= MAX_OF_USER:
            raise RequestError(409, f"You have {MAX_OF_USER} views, delete one first")
        store.save([*others, view])
    return _view_for(view, principal)


def delete_view(settings: Settings, principal: Principal, view_id: str) -> dict[str, Any]:
    """Delete one of one's own views."""
    with _lock:
        store = Views(views_folder(settings))
        views = store.load()
        rest = [one for one in views if (one["id"], one["owner"]) != (view_id, principal.name)]
        if len(rest) == len(views):
            raise RequestError(404, "You have no such view")
        store.save(rest)
    return {"success": True}


def view_routes() -> list[Route]:
    """Return the routes of saved views."""
    body = {"name": "Uplink", "query": "by=application", "shared": "no"}
    table = (
        ("GET", PATH, list_views, operation("Saved views", {"views": [_EXAMPLE]}, tag=TAG)),
        ("POST", PATH, add_view, operation("Save a view", _EXAMPLE, body=body, tag=TAG)),
        (
            "DELETE",
            f"{PATH}/<view_id>",
            delete_view,
            operation("Delete a view of one's own", {"success": True}, tag=TAG),
        ),
    )
    return [
        Route(method, path, handler, role=SIGNED_IN, schema=schema, open_to_bound_users=True)
        for method, path, handler, schema in table
    ]


def _text(given: Mapping[str, str], name: str, most: int, least: int = 0) -> str:
    value = given.get(name, "").strip()
    if not least <= len(value) <= most:
        raise RequestError(400, f"{name}: expected {least} to {most} characters")
    return value


def _is_view(value: object) -> bool:
    texts = ("id", "name", "query", "owner")
    return isinstance(value, dict) and all(isinstance(value.get(text), str) for text in texts)


def _view_for(view: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    is_own = view["owner"] == principal.name
    return {**view, "is_shared": bool(view.get("is_shared")), "is_own": is_own}
