"""How fast the read APIs answer over long histories, and that this does not grow with traffic."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from appliance.contracts import Route
from appliance.plugins import analytics, devices
from appliance.plugins.analytics.routes import PREFIX as ANALYTICS
from tests.benchmarks.history import History, build
from tests.benchmarks.served import Client, served, write_configuration

RANGES = ("1h", "24h", "7d", "30d")
YEAR = "365d"
REQUESTS = 64
"""Of each route at least, spread over the ranges, with and without a device."""

YEAR_FLOWS, YEAR_EXPORTERS, YEAR_ACTIVE = 3_000_000, 10, 2
"""The year is made of fewer flows and exporters, of which two send in an hour: making its bins
would take longer than all else. Those of days and months are full even so."""

GOALS_MS = {"30 days": 50.0, "a tenth of the flows": 50.0, "365 days": 200.0}
Case = tuple[str, str]
"""A range, and "" or " device"."""

Request = tuple[Case, str]
"""A case and its path, `<device>` still open."""


def api(folder: Path, flows: int) -> dict[str, Any]:
    """Build the three histories below a folder, unless they are there, and ask each."""
    year = History(365, min(flows, YEAR_FLOWS), YEAR_EXPORTERS, YEAR_ACTIVE)
    plan = {
        "30 days": (History(30, flows), RANGES),
        "a tenth of the flows": (History(30, flows // 10), RANGES),
        "365 days": (year, (*RANGES, YEAR)),
    }
    report: dict[str, Any] = {}
    for name, (history, ranges) in plan.items():
        place = folder / history.name
        built = build(place, history)
        goal = GOALS_MS[name]
        routes = ask(place, ranges, history.exporters)
        missed = [route for route, found in routes.items() if found["p95_ms"] >= goal]
        report[name] = {"built": built, "goal_ms": goal, "missed": missed, "routes": routes}
    report["growth"] = growth(report["30 days"]["routes"], report["a tenth of the flows"]["routes"])
    return report


def growth(full: dict[str, Any], tenth: dict[str, Any]) -> dict[str, float]:
    """Return p95 of each route over that with a tenth of the flows."""
    return {route: full[route]["p95_ms"] / tenth[route]["p95_ms"] for route in full}


def ask(folder: Path, ranges: tuple[str, ...], exporters: int) -> dict[str, Any]:
    """Start the API on a history and time each route, one request after the other."""
    conf = write_configuration(folder)
    report = {}
    with served(conf, "serve") as client:
        for route in read_routes():
            cases = list(requests(route, ranges))
            report[route.path] = summary(timed(client, cases, exporters))
    return report


def read_routes() -> list[Route]:
    """Return what is read from the store: the analytics and device routes."""
    routes = [*analytics.register_routes(), *devices.register_routes()]
    return [route for route in routes if route.method == "GET"]


def timed(client: Client, cases: list[Request], exporters: int) -> dict[Case, list[float]]:
    """Ask a route again and again, its cases in turn; return milliseconds by case."""
    found: defaultdict[Case, list[float]] = defaultdict(list)
    for turn in range(-(-REQUESTS // len(cases))):
        for case, open_path in cases:
            path = open_path.replace("<device>", str(turn % exporters + 1))
            began = time.perf_counter()
            client.json(path)
            found[case].append((time.perf_counter() - began) * 1000)
    return found


def requests(route: Route, ranges: tuple[str, ...]) -> Iterator[Request]:
    """Yield the cases of a route and their paths."""
    if route.path.startswith(ANALYTICS):
        for range_, device in itertools.product(ranges, ("", " device")):
            query = f"?last={range_}" + ("&device=<device>" if device else "")
            yield (range_, device), route.path + query
    elif "<interval>" in route.path:
        device = " device" if "<device>" in route.path else ""
        for range_ in ranges:
            yield (range_, device), route.path.replace("<interval>", range_)
    else:
        yield ("", ""), route.path


def summary(found: dict[Case, list[float]]) -> dict[str, Any]:
    """Return the quantiles of all requests, the slowest of those that were first of their case
    (the server had nothing of it in memory), and which case is the slowest."""
    every = np.array([one for times in found.values() for one in times])
    p95 = {"".join(case): float(np.percentile(times, 95)) for case, times in found.items()}
    slowest = max(p95, key=lambda case: p95[case])
    return {
        "requests": len(every),
        "p50_ms": float(np.percentile(every, 50)),
        "p95_ms": float(np.percentile(every, 95)),
        "max_ms": float(every.max()),
        "first_ms": max(times[0] for times in found.values()),
        "slowest_case": slowest,
        "slowest_case_p95_ms": p95[slowest],
        "cases_p50_ms": {
            "".join(case): float(np.percentile(times, 50)) for case, times in found.items()
        },
    }
