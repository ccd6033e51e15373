"""The manual's section on moving from one machine, walked through with collectors that run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.flowlog import FlowLogReader
from appliance.manual import chapter_text
from appliance.traffic.generator import ExporterProfile, Generator, Order, Transmission
from tests.collector.running import RunningCollector
from tests.plugins.clickhouse.world import Place, stored_sums

PROFILES = [ExporterProfile("ipfix", "ipfix", 7, clients=50, servers=200)]
TOP = ("top", "source", "--last", "1d", "--format", "json")


class Site:
    """Collectors of one place, by name, and what was sent to them."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self.place = folder, place
        self.collectors: dict[str, RunningCollector] = {}
        self.flows = self.octets = 0

    def collector(self, name: str) -> RunningCollector:
        """Return a collector that runs."""
        if name not in self.collectors:
            self.collectors[name] = RunningCollector(self.folder / name)
            self.collectors[name].start()
        return self.collectors[name]

    def send(self, name: str, n: int) -> None:
        """Send flows to a collector, and wait until its log has them."""
        collector = self.collector(name)
        reader = FlowLogReader(collector.data / "flowlog")
        before = sum(span.n_rows for span in reader.spans())
        sent = Transmission(Generator(PROFILES), collector.target, Order(flows=n)).run()
        wait_until(lambda: sum(s.n_rows for s in reader.spans()) == before + sent.flows)
        self.flows, self.octets = self.flows + sent.flows, self.octets + sent.octets

    def settle(self, name: str, **more: dict[str, Any]) -> None:
        """Write what the manual says to a collector's settings, and restart it."""
        collector = self.collector(name)
        collector.stop()
        target = {
            "addresses": self.place.addresses,
            "cluster": self.place.cluster,
            "database": self.place.database,
        }
        listen = [str(collector.target)]
        values = {"data_directory": "../data", "clickhouse": target, **more}
        values["collector"] = {"listen": listen, "name": name}
        (collector.conf / "appliance.yml").write_text(json.dumps(values))
        collector.start()

    def run(self, name: str, *words: str) -> str:
        """Run a command on a collector's settings."""
        command = [sys.executable, "-m", "appliance", "-confPath", f"{self.collector(name).conf}/"]
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def check_servers(self, name: str) -> None:
        """Look at what `appliance check` says of the servers; its other lines may be what they
        may."""
        command = [sys.executable, "-m", "appliance", "-confPath", f"{self.collector(name).conf}/"]
        done = subprocess.run([*command, "check"], capture_output=True, text=True, check=False)
        lines = [line.split() for line in done.stdout.splitlines() if "ClickHouse" in line]
        assert len(lines) > len(self.place.addresses)
        assert {line[0] for line in lines} == {"ok"}

    def wait_for_flows(self) -> None:
        """Wait until ClickHouse has all flows that were sent, and their sums, which come after."""
        server = self.place.server()
        wait_until(lambda: server.rows("SELECT count() FROM flows") == [[self.flows]])
        wait_until(lambda: server.rows("SELECT sum(rows) FROM sums") == [[self.flows]])
        self.place.wait_for_replicas()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def site(place: Place, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, place)
    yield made
    for collector in made.collectors.values():
        collector.close()


def steps() -> list[str]:
    """Return the numbered steps of the section."""
    section = chapter_text("clickhouse").partition("## Moving from one machine")[2]
    return re.findall(r"^\d\. ((?:.*\n)(?:   .*\n)*)", section.partition("\n## ")[0], re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_moving_when_the_manual_is_followed_then_no_flow_is_lost_and_answers_are_the_same(
    site: Site,
):
    named, restart, fill, answers, shorter, more = steps()
    site.send("old", 3_000)
    before = site.run("old", *TOP)

    assert "`clickhouse.addresses`, `clickhouse.cluster`" in named
    assert "Restart the collector" in restart
    site.settle("old")
    assert "`appliance check`" in named
    site.check_servers("old")
    site.send("old", 500)
    before_fill = site.run("old", *TOP)
    assert before_fill != before

    assert "`appliance clickhouse fill`" in fill
    assert f"done: {site.flows:,} flows, {site.octets:,} octets" in site.run(
        "old", "clickhouse", "fill"
    )

    assert "`search.source: clickhouse`" in answers
    site.settle("old", search={"source": "clickhouse"})
    assert site.run("old", *TOP) == before_fill

    assert "`flow_log.retention_age`" in shorter
    site.settle("old", search={"source": "clickhouse"}, flow_log={"retention_age": "2d"})

    assert "`collector.name`" in more
    site.collector("new")
    site.settle("new", search={"source": "clickhouse"})
    site.send("new", 700)
    site.wait_for_flows()
    assert stored_sums(site.place.server())[:2] == (site.flows, site.octets)
    assert site.run("old", *TOP) == site.run("new", *TOP)
    (exporter,) = site.run("new", *TOP[:1], "exporter", *TOP[2:]).splitlines()
    assert json.loads(exporter)["flows"] == site.flows
