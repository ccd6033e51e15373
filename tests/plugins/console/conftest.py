"""A whole appliance with invented exporters, and Debian's Chromium that looks at its console."""

from __future__ import annotations

import base64
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.running import RunningCollector

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
EXPECTED = re.compile("status of 4(01|29)|autocomplete attributes")
"""What a browser says of answers that the console expects: the first one without a session, and a
question that has to wait for its turn."""


class Site:
    """A running appliance and its first administrator."""

    def __init__(self, running: RunningCollector) -> None:
        self.url = f"http://127.0.0.1:{running.api_port}"
        self.running = running
        self.name, self.first_password = self._first_administrator()
        self.password = "An0ther@paSw0RD"
        code = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        self.basic = {"Authorization": f"Basic {code}"}

    def _first_administrator(self) -> tuple[str, str]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in self.running.output:
                if found := re.search(r"administrator (\S+), password (\S+)", line):
                    return found[1], found[2]
            time.sleep(0.1)
        raise AssertionError("\n".join(self.running.output))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:
    """The demo, once flows are in its answers."""
    running = RunningCollector(tmp_path_factory.mktemp("site"), command="demo").start()
    try:
        site = Site(running)
        context = browser.new_context()
        _change_first_password(context.new_page(), site)
        _wait_for_flows(context, site)
        context.close()
        yield site
    finally:
        running.stop()


def _change_first_password(page: Any, site: Site) -> None:
    """Do what the console asks for at the first sign-in."""
    page.goto(f"{site.url}/console/")
    page.fill("input[autocomplete=username]", site.name)
    page.fill("input[type=password]", site.first_password)
    page.click("text=Sign in")
    page.wait_for_selector("text=Choose a password of your own")
    page.fill("input[autocomplete=current-password]", site.first_password)
    for field in page.query_selector_all("input[autocomplete=new-password]"):
        field.fill(site.password)
    page.click("text=Change the password")
    page.wait_for_selector("nav a:has-text('Overview')")


def _wait_for_flows(context: Any, site: Site) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = context.request.get(f"{site.url}/api/v1/explore/top?by=application&last=1h")
        if answer.ok and len(answer.json()["rows"]) > 3:
            return
        time.sleep(0.5)
    raise AssertionError("no flows of the demo are in answers")


class Watched:
    """A page whose complaints fail the test."""

    def __init__(self, page: Any, site: Site) -> None:
        self.page, self.site = page, site
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.complaints.append(message.text)

    def open(self, place: str = "") -> Any:
        self.page.goto(f"{self.site.url}/console/{place}")
        self.page.wait_for_selector("main, .card")
        return self.page


@pytest.fixture
def visitor(browser: Any, site: Site) -> Iterator[Watched]:
    """Somebody who is not signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=site.url)
    watched = Watched(context.new_page(), site)
    yield watched
    context.close()
    assert not watched.complaints


@pytest.fixture
def console(browser: Any, site: Site, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """An administrator, signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=site.url)
    assert context.request.post(f"{site.url}/auth", headers=site.basic).ok
    watched = Watched(context.new_page(), site)
    yield watched
    if folder := os.environ.get("APPLIANCE_SCREENSHOTS"):
        name = re.sub(r"\W+", "-", request.node.name)
        watched.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    context.close()
    assert not watched.complaints
