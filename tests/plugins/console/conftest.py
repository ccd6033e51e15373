"""A whole appliance with invented exporters, and a browser that looks at its console."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.running import RunningCollector
from tests.plugins.console.sites import CHROMIUM, WIDE, Site, running_browser, wait_for_groups

EXPECTED = re.compile("status of 4(01|29)|autocomplete attributes")
"""What a browser says of answers that the console expects: the first one without a session, and a
question that has to wait for its turn."""


class RunningSite(Site):
    """A site whose appliance runs in this test."""

    def __init__(self, running: RunningCollector) -> None:
        self.running = running
        super().__init__(f"http://127.0.0.1:{running.api_port}", lambda: running.output)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing (apt-get install chromium)")
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[RunningSite]:
    """The demo, once flows are in its answers."""
    running = RunningCollector(tmp_path_factory.mktemp("site"), command="demo").start()
    try:
        site = RunningSite(running)
        context = browser.new_context(base_url=site.url)
        _change_first_password(context.new_page(), site)
        wait_for_groups(context, "application", 4)
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

    def open_settled(self, place: str) -> Any:
        """Open a page, and return it when nothing on it is loading any more."""
        from playwright.sync_api import expect

        page = self.open(place)
        page.wait_for_selector("main .panel, main .empty")
        expect(page.locator(".skeleton, [aria-busy=true]")).to_have_count(0, timeout=20_000)
        return page


@pytest.fixture
def visitor(browser: Any, site: Site) -> Iterator[Watched]:
    """Somebody who is not signed in."""
    context = browser.new_context(viewport=WIDE, base_url=site.url)
    watched = Watched(context.new_page(), site)
    yield watched
    _close(context)
    assert not watched.complaints


@pytest.fixture
def console(browser: Any, site: Site, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """An administrator, signed in."""
    yield from administrator(browser, site, request)


def administrator(browser: Any, site: Site, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Yield the page of an administrator of a site, then judge what the browser complained of."""
    context = site.signed_in(browser)
    watched = Watched(context.new_page(), site)
    yield watched
    if folder := os.environ.get("APPLIANCE_SCREENSHOTS"):
        name = re.sub(r"\W+", "-", request.node.name)
        watched.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    _close(context)
    assert not watched.complaints


def _close(context: Any) -> None:
    """Close pages; an answer that a test is still changing meanwhile fails no later test."""
    for page in context.pages:
        page.unroute_all(behavior="ignoreErrors")
    context.close()
