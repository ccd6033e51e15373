"""A whole appliance in one process: every built-in plugin, real databases, and a client."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance.accounts.passwords import hash_password
from appliance.app import App, build_app
from appliance.contracts import ADMINISTRATOR, USER, AccountStore, UserChange
from appliance.plugin_manager import build_plugin_manager
from appliance.settings.file import SettingsFile
from appliance.web.application import build_web
from appliance.web.service import services_of
from appliance.web.store_access import StoreAccess
from tests.web.building import Client, Reply

PASSWORD = "th!s1s@paSw0RD"
PASSWORD_HASH = hash_password(PASSWORD, 8)
FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
JSON = {"CONTENT_TYPE": "application/json"}
ADMIN_PATH = "/api/v1/admin"


def basic(username: str, password: str = PASSWORD) -> dict[str, str]:
    octets = f"{username}:{password}".encode()
    return {"HTTP_AUTHORIZATION": f"Basic {base64.b64encode(octets).decode()}"}


@dataclass
class Appliance:
    """An appliance whose clock can be moved; `root` (an administrator) and `user` are there."""

    app: App
    stores: StoreAccess[Any]
    accounts: StoreAccess[AccountStore]
    client: Client
    ahead_seconds: float = 0.0
    admin: str = ""
    token: str = ""

    @property
    def store(self) -> AccountStore:
        return self.accounts.store()

    def now(self) -> float:
        return time.time() + self.ahead_seconds

    def add(self, username: str, *roles: str, password_hash: str = PASSWORD_HASH) -> int:
        values = {"username": username, "password_hash": password_hash}
        return self.store.create_user(UserChange(values, roles), time.time())

    def sign_in(self, username: str, password: str = PASSWORD, **environ: Any) -> Reply:
        return self.client("POST", "/auth", **basic(username, password), **environ)

    def __call__(self, method: str, path: str, body: Any = "", token: str | None = None) -> Reply:
        """Call a route below /api/v1/admin as the administrator."""
        octets = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = FORM if isinstance(body, str) else JSON
        token = self.admin if token is None else token
        return self.client(method, ADMIN_PATH + path, octets, token=token, **kind)

    def get(self, path: str) -> Any:
        return self("GET", path).json

    def close(self) -> None:
        self.stores.close()
        self.accounts.close()


def made_app(folder: Path, **settings: object) -> App:
    tree = {"data_directory": str(folder / "var"), "accounts.password_cost": "8", **settings}
    return build_app(build_plugin_manager(entry_points=()), SettingsFile(None, folder, tree))


def made_appliance(folder: Path, **settings: object) -> Appliance:
    app = made_app(folder, **settings)
    stores = StoreAccess(app.open_store)
    accounts = StoreAccess(app.open_accounts)
    made = Appliance(app, stores, accounts, Client(None))
    services = replace(services_of(app.web_parts(), stores, accounts), clock=made.now)
    made.client.web = build_web(app.routes, services)
    made.add("root", ADMINISTRATOR)
    made.add("user", USER)
    made.admin = made.sign_in("root").json["token"]
    made.token = made.sign_in("user").json["token"]
    return made
