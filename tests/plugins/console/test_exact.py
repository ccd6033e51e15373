"""Exact answers over many flows in the console: how far they are, and how they are cancelled."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from appliance.flowlog import FLOW_LOG_FOLDER, FlowLogLimits, FlowLogWriter
from tests.benchmarks.history import HOUR, History, Traffic
from tests.collector.running import RunningCollector
from tests.plugins.console.conftest import RunningSite, Watched, administrator

pytestmark = pytest.mark.slow

FLOWS = 4_000_000
QUESTION = "explore?by=source,destination&exact=1&last=6h"


@pytest.fixture(scope="module")
def busy_site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[RunningSite]:
    """An appliance with some millions of flows, where that is more than it reads at once."""
    settings = "search:\n  exact_rows: 1000\n  memory: 1GB\n"
    running = RunningCollector(tmp_path_factory.mktemp("busy"), settings, command="run")
    now = int(time.time())
    writer = FlowLogWriter(running.data / FLOW_LOG_FOLDER, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    traffic = Traffic(History(1, FLOWS))
    for part in range(4):
        since = now - (4 - part) * HOUR
        writer.append(traffic.flows(since, since + HOUR, FLOWS // 4))
        writer.flush({}, now * 1000)
    writer.close(now * 1000)
    running.start()
    try:
        site = RunningSite(running)
        site.choose_password()
        yield site
    finally:
        running.stop()


@pytest.fixture
def busy(browser: Any, busy_site: RunningSite, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """The page of its administrator."""
    yield from administrator(browser, busy_site, request)


def test_exact_answer_when_there_are_millions_then_a_bar_and_then_the_groups(
    busy: Watched,
) -> None:
    page = busy.open(QUESTION)
    expect(page.get_by_role("progressbar", name="Flows read")).to_be_visible(timeout=20_000)
    expect(page.get_by_text(re.compile(r"Reading every flow: \d+ %"))).to_be_visible()
    rows = page.get_by_role("table", name="The groups of the chart").locator("tbody tr")
    expect(rows.first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("progressbar", name="Flows read")).to_have_count(0)
    expect(page.locator("main")).not_to_contain_text("≈")


def test_exact_answer_when_cancelled_then_it_ends_and_no_longer_stands_in_the_address(
    busy: Watched,
) -> None:
    page = busy.open(QUESTION)
    with page.expect_request(lambda sent: sent.method == "DELETE" and "/jobs/" in sent.url):
        page.get_by_role("button", name="Cancel").click()
    expect(page).not_to_have_url(re.compile("exact=1"))
    expect(page.get_by_role("progressbar", name="Flows read")).to_have_count(0)
