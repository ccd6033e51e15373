"""The dashboard in `conf/grafana`: every metric in it is one that `/metrics` has."""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.traffic.generator import ExporterProfile, Generator, Order, Transmission
from tests.collector.running import RunningCollector
from tests.decoding.building import V9, number
from tests.decoding.protocols import one_option

FILE = Path(__file__).parents[1] / "conf" / "grafana" / "netflow-appliance.json"
SELECTOR = re.compile(r"\b(appliance_\w+)(?:\{([^}]*)\})?")

LATE = frozenset({"appliance_interface_octets_total", "appliance_exporter_active_timeout_seconds"})
"""What the loader and the collector tell last, each in its own time."""


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Return the names of samples that an appliance with traffic tells, with their labels."""
    running = RunningCollector(tmp_path_factory.mktemp("grafana"), command="run")
    profile = ExporterProfile("v9", "v9", sampling=10, clients=50, servers=200)
    try:
        running.start()
        Transmission(Generator([profile]), running.target, Order(flows=3000)).run()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # The generator's exporters do not tell their own totals.
            report = V9.message(one_option(V9, (40, number(9, 8)), (41, number(9, 8))))
            sender.sendto(report, ("127.0.0.1", running.port))
        yield _samples_with(running, LATE)
    finally:
        running.close()


def _samples_with(running: RunningCollector, names: frozenset[str]) -> dict[str, set[str]]:
    """Ask until all of some samples are there."""
    deadline = time.monotonic() + 40
    while True:
        samples: dict[str, set[str]] = {}
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{running.api_port}/metrics") as reply:
                text = reply.read().decode()
        except OSError:
            text = ""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, set()).update(sample.labels)
        if names <= samples.keys():
            return samples
        assert time.monotonic() < deadline, sorted(samples)
        Event().wait(0.2)


def expressions(dashboard: Any) -> list[str]:
    queries = [variable["query"] for variable in dashboard["templating"]["list"]]
    targets = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    return [*targets, *(query for query in queries if "appliance_" in query)]


def test_dashboard_when_read_then_each_metric_and_label_is_one_that_there_is(
    dashboard: Any, samples: dict[str, set[str]]
) -> None:
    names = set()
    for expression in expressions(dashboard):
        for name, matchers in SELECTOR.findall(expression):
            names.add(name)
            assert name in samples, expression
            labels = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
            assert labels <= samples[name], expression
    assert len(names) >= 20


def test_dashboard_when_laid_out_then_panels_have_their_own_place(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    for panel in panels:
        assert panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_dashboard_when_imported_then_its_source_can_be_chosen(dashboard: Any) -> None:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "exporter"]
    sources = [panel["datasource"]["uid"] for panel in dashboard["panels"] if "targets" in panel]
    assert set(sources) == {"${datasource}"}
