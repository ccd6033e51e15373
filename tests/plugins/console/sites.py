"""Debian's Chromium, and an appliance in which its first administrator is signed in."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
START_SECONDS = 60.0
WIDE = {"width": 1440, "height": 900}


class Site:
    """A running appliance and its first administrator.

    Attributes
    ----------
    url
        Without a slash at the end.
    first_password, password
        What the appliance printed, and what the administrator chooses instead.
    basic
        The headers of a sign-in with the chosen password.
    """

    def __init__(self, url: str, lines: Callable[[], list[str]]) -> None:
        """Read name and password in what the appliance prints; `lines` returns that so far."""
        self.url = url
        self.name, self.first_password = _first_administrator(lines)
        self.password = "An0ther@paSw0RD"
        self.basic = basic(self.name, self.password)

    def choose_password(self) -> None:
        """Change the first password, by the API."""
        token = self._ask("POST", "/auth", basic(self.name, self.first_password))["token"]
        self._ask(
            "PUT",
            "/api/v1/account/password",
            {"Authorization": f"Bearer {token}"},
            {"password": self.first_password, "newPassword": self.password},
        )

    def signed_in(self, browser: Any, viewport: dict[str, int] = WIDE, **options: Any) -> Any:
        """Return a context of the browser in which the administrator is signed in."""
        context = browser.new_context(viewport=viewport, base_url=self.url, **options)
        assert context.request.post(f"{self.url}/auth", headers=self.basic).ok
        return context

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, str] | None = None
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = headers if body is None else {**headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running_browser() -> Iterator[Any]:
    """Run Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def wait_for_groups(context: Any, by: str, n: int, seconds: float = 60.0) -> None:
    """Wait until answers of the last hour have at least n groups."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = context.request.get(f"/api/v1/explore/top?by={by}&last=1h&limit={n}")
        if answer.ok and len(answer.json()["rows"]) >= n:
            return
        time.sleep(0.5)
    raise AssertionError(f"fewer than {n} groups by {by} are in answers")


def _first_administrator(lines: Callable[[], list[str]]) -> tuple[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for line in lines():
            if match := re.search(r"administrator (\S+), password (\S+)", line):
                return match[1], match[2]
        time.sleep(0.1)
    raise AssertionError("\n".join(lines()))


def basic(name: str, password: str) -> dict[str, str]:
    """Return the header of a sign-in."""
    code = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {code}"}
