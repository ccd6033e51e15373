"""The documented routes over a store, asked through the WSGI validator."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from appliance.app import open_app
from appliance.plugins import analytics, devices
from appliance.plugins.analytics.routes import PREFIX as ANALYTICS
from appliance.plugins.rollups.configuration import StoreLimits
from appliance.plugins.rollups.source_store import SourceStore
from appliance.plugins.rollups.store import SqlStore
from appliance.query.sources import query_source
from tests.plugins.clickhouse.world import START, Place, load_all
from tests.web.building import Client, web_of

HOUR = 3600
NOW = float(START + 3 * HOUR + 7)
EXPORTERS = ("0.0.0.1", "0.0.0.2", "0.0.0.3")
UNEQUAL = {"ID", "device_id", "CreatedAt", "UpdatedAt"}
"""Each appliance numbers exporters itself."""

QUERIES = (
    "",
    f"from={START}&to={START + HOUR}",
    f"from={START + 300}&to={START + HOUR + 960}&limit=3",
    "last=2h",
    f"device={EXPORTERS[1]}",
    f"device={EXPORTERS[2]}&from={START + HOUR}",
    "fill=true&last=3h",
)
INTERVALS = ("15m", "3h", "2d", "1M")


def client_of(folder: Path, tree: dict[str, Any]) -> tuple[Client, SqlStore]:
    folder.mkdir(exist_ok=True)
    (folder / "appliance.yml").write_text(json.dumps({"data_directory": str(folder), **tree}))
    settings = open_app(folder).settings
    limits = StoreLimits(top=1000, top_per_exporter=1000, provisional_seconds=0)
    url, source = "sqlite:flows.sqlite", query_source(settings)
    store = (
        SqlStore(url, settings, limits, clock=lambda: NOW)
        if source is None
        else SourceStore(url, settings, source, limits, clock=lambda: NOW)
    )
    return Client(web_of(store, settings, now=NOW)), store  # type: ignore[arg-type]


def load(store: SqlStore) -> None:
    while store.load_once(NOW).busy:
        pass


def fill(place: Place, folder: Path) -> None:
    """Write what is new in a flow log to ClickHouse."""
    loader = place.loader(folder)
    assert load_all(loader) > 0
    loader.close()
    place.wait_for_replicas()


def source_settings(place: Place) -> dict[str, Any]:
    target = {
        "addresses": place.addresses,
        "cluster": place.cluster,
        "database": place.database,
    }
    return {"search": {"source": "clickhouse"}, "clickhouse": target}


def paths() -> list[str]:
    """Return the paths of all documented routes that only ask, with their queries."""
    found: list[str] = []
    for route in (*analytics.register_routes(), *devices.register_routes()):
        if route.method != "GET":
            continue
        intervals = INTERVALS if "<interval>" in route.path else ("",)
        addresses = EXPORTERS[:2] if "<device>" in route.path else ("",)
        for interval, address in itertools.product(intervals, addresses):
            path = route.path.replace("<interval>", interval).replace("<device>", address)
            queries = QUERIES if route.path.startswith(ANALYTICS) else ("",)
            found += [f"{path}?{query}" for query in queries]
    return found


def plain(answer: Any) -> Any:
    """Return an answer without what is of one appliance alone."""
    if isinstance(answer, list):
        of_devices = (
            answer
            and isinstance(answer[0], dict)
            and not {"Device", "device"}.isdisjoint(answer[0])
        )
        rows = [plain(each) for each in answer]
        return sorted(rows, key=str) if of_devices else rows
    if isinstance(answer, dict):
        return {name: plain(value) for name, value in answer.items() if name not in UNEQUAL}
    return answer
