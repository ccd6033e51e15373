"""The console in a browser over 30 days of data: until something shows, until the data shows, what
that moves, and what an hour of live refresh leaves in memory."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from appliance.flowlog.samples.keeper import SampleKeeper
from tests.benchmarks.history import DAY, HOUR, History, build
from tests.benchmarks.served import Client, served, write_configuration
from tests.plugins.console.sites import CHROMIUM, WIDE, running_browser

DAYS, TRIES = 30, 5
LIVE_MS, REFRESHES, SETTLING_REFRESHES = 15_000, 240, 10
"""An hour of live refresh, and how many come before memory is first measured."""

QUIET_SECONDS, ANSWER_SECONDS = 0.3, 60.0
GOALS = {"first_paint_ms": 1000.0, "slowest_request_ms": 200.0, "data_ms": 1000.0}
_WATCH = """
window.longTasks = []
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((one) => one.duration)))
  .observe({ type: "longtask", buffered: true })
window.dataMs = 0
let isWaiting = true
new MutationObserver(() => {
  const waits = !document.querySelector("main .panel") || document.querySelector("main .skeleton")
  if (isWaiting && !waits) window.dataMs = performance.now()
  isWaiting = Boolean(waits)
}).observe(document, { childList: true, subtree: true })
"""
_FIGURES = """() => {
  const resources = performance.getEntriesByType("resource")
  const all = [...performance.getEntriesByType("navigation"), ...resources]
  const asked = resources.filter((one) => one.name.includes("/api/"))
  return {
    first_paint_ms: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    data_ms: dataMs,
    octets: all.reduce((sum, one) => sum + one.transferSize, 0),
    requests: all.length,
    slowest_request_ms: Math.max(...asked.map((one) => one.responseEnd - one.requestStart)),
    long_tasks: longTasks.length,
    longest_task_ms: Math.max(0, ...longTasks),
  }
}"""


def console(folder: Path, flows: int) -> dict[str, Any]:
    """Build 30 days below a folder, unless they are there, and look at them.

    Returns
    -------
    dict
        By page: median and largest of each figure; "live": octets of JavaScript's heap.

    Raises
    ------
    RuntimeError
        There is no browser.
    """
    if CHROMIUM is None:
        raise RuntimeError("Chromium is missing: apt-get install chromium")
    history = History(DAYS, flows)
    place = folder / history.name
    end = build(place, history)["end"]
    _keep_samples(place / "data", end)
    hour = f"from={end - HOUR}&to={end}"
    pages = {
        "overview, 1 hour": f"?{hour}",
        "overview, 30 days": "?last=30d",
        "explore, 1 hour": f"explore?{hour}",
        "explore, 30 days": "explore?last=30d",
        "explore pairs, 30 days": "explore?last=30d&by=pair",
    }
    with served(write_configuration(place), "serve") as client, running_browser() as browser:
        report = {name: _summary(browser, client, at) for name, at in pages.items()}
        live = _live(browser, client)
    return {"flows": flows, "goals": GOALS, "pages": report, "live": live}


def _keep_samples(data: Path, end: int) -> None:
    """Make the samples that the loader of a running appliance would have made."""
    folder = data / "samples"
    if folder.is_dir():
        return
    keeper = SampleKeeper(data / "flowlog", folder)
    while keeper.load_once(end).busy:
        pass
    keeper.finish(end)
    keeper.load_once(end + DAY)


def _summary(browser: Any, client: Client, place: str) -> dict[str, Any]:
    looks = [_look(browser, client, place) for _ in range(TRIES)]
    return {
        name: {
            "median": statistics.median(look[name] for look in looks),
            "largest": max(look[name] for look in looks),
        }
        for name in looks[0]
    }


def _look(browser: Any, client: Client, place: str) -> dict[str, float]:
    """Open a page as somebody whose browser keeps nothing of it."""
    page = _signed_in(browser, client)
    page.add_init_script(_WATCH)
    requests = _Requests(page)
    page.goto(f"/console/{place}")
    page.wait_for_selector("main .panel")
    requests.wait_until_quiet()
    figures: dict[str, float] = page.evaluate(_FIGURES)
    page.context.close()
    return figures


def _live(browser: Any, client: Client) -> dict[str, float]:
    """Leave the overview open for an hour of live refresh, with the browser's clock ahead."""
    page = _signed_in(browser, client)
    requests = _Requests(page)
    page.clock.install()
    page.goto("/console/?last=1d")
    page.wait_for_selector("main .panel")
    requests.wait_until_quiet()
    session = page.context.new_cdp_session(page)
    heap = []
    for number in range(REFRESHES + 1):
        if number in (SETTLING_REFRESHES, REFRESHES):
            session.send("HeapProfiler.collectGarbage")
            heap.append(session.send("Runtime.getHeapUsage")["usedSize"])
        page.clock.fast_forward(LIVE_MS)
        requests.wait_until_quiet()
    nodes = page.evaluate("document.getElementsByTagName('*').length")
    page.context.close()
    first, last = heap
    return {"refreshes": REFRESHES, "heap_first": first, "heap_last": last, "elements": nodes}


def _signed_in(browser: Any, client: Client) -> Any:
    url = f"http://127.0.0.1:{client.port}"
    context = browser.new_context(viewport=WIDE, base_url=url)
    context.add_cookies([{"name": "access_token", "value": client.token, "url": url}])
    return context.new_page()


class _Requests:
    """The requests of a page that are under way."""

    def __init__(self, page: Any) -> None:
        self._page, self._open = page, 0
        page.on("request", lambda request: self._count(request, 1))
        for event in ("requestfinished", "requestfailed"):
            page.on(event, lambda request: self._count(request, -1))

    def _count(self, request: Any, step: int) -> None:
        # The renewal of the session leaves its answer unread, and so never finishes.
        if request.method == "GET":
            self._open += step
            self._changed = time.monotonic()

    def wait_until_quiet(self) -> None:
        """Wait until nothing has been asked for a while."""
        self._changed = time.monotonic()
        deadline = self._changed + ANSWER_SECONDS
        while self._open or time.monotonic() - self._changed < QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._open} requests of the console are not answered")
            self._page.wait_for_timeout(20)
