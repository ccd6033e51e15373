"""Flows out of tables that a real nfacctd fills: as our engine, and in somebody else's database."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from appliance.contracts import FlowStore, Selection
from appliance.traffic.generator import ExporterProfile, Generator, Order, Transmission
from tests.at_work import opened_store
from tests.collector.running import RunningCollector
from tests.plugins.pmacct.nfacctd import NFACCTD, configuration, make_table, use_nfacctd
from tests.sql.mariadb import MariaDb

pytestmark = pytest.mark.skipif(not NFACCTD, reason="needs Debian's pmacct")

CAPTURE = Path(__file__).parents[3] / "data/captures/v9_pynetflow_softflowd-stream.pcap"


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A database that nfacctd has filled from a capture."""
    database = tmp_path / "pmacct.sqlite"
    make_table(database)
    file = tmp_path / "nfacctd.conf"
    file.write_text(
        configuration(database, f"pcap_savefile: {CAPTURE}\n").replace("true", "false", 1)
    )
    assert NFACCTD is not None
    subprocess.run(
        [NFACCTD, "-f", str(file)], check=True, capture_output=True, timeout=60, cwd=tmp_path
    )
    return database


def wait_for_flows(store: FlowStore, at_least: int = 1, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while store.totals(Selection()).flows < at_least:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def reading(folder: Path, database: Path, table: str = "acct") -> RunningCollector:
    running = RunningCollector(folder, command="run")
    running.words = ["run", "--pmacct", f"sqlite:{database}", "--table", table]
    running.ready_pattern = "  reads "
    return running


def answers(store: FlowStore) -> dict[str, object]:
    """Return sums, without lists of the largest: when they are made depends on the time."""
    found: dict[str, object] = {"total": store.totals(Selection())}
    found["protocol"] = sorted(store.top("protocol", Selection(), limit=1000).rows)
    found["exporters"] = {
        exporter.address: store.totals(Selection(exporter=exporter.id))
        for exporter in store.exporters()
    }
    return found


def answers_of_our_own(folder: Path, capture: Path) -> dict[str, object]:
    """Return what the appliance makes of a capture itself."""
    own = RunningCollector(folder, command="run")
    subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{own.conf}/", "import", str(capture)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with opened_store(own) as store:
        while store.load_once(time.time()).busy:
            pass
        return answers(store)


@pytest.mark.slow
def test_pmacct_when_its_table_is_read_then_answers_are_those_of_our_own_engine(
    tmp_path: Path, filled: Path
) -> None:
    before = filled.read_bytes()
    running = reading(tmp_path / "theirs", filled)
    try:
        running.start()
        with opened_store(running) as store:
            wait_for_flows(store, 44)
            theirs = answers(store)
        assert running.stop() == 0
    finally:
        running.close()
    assert theirs == answers_of_our_own(tmp_path / "own", CAPTURE)
    assert filled.read_bytes() == before


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("CREATE TABLE acct (ip_src TEXT, packets INT, bytes INT)", "no column stamp_inserted"),
        ("CREATE TABLE acct (ip_src TEXT, stamp_inserted DATETIME)", "neither bytes nor packets"),
        ("CREATE TABLE other (ip_src TEXT)", "does not exist"),
    ],
)
def test_pmacct_when_the_table_cannot_be_used_then_one_sentence_says_why(
    tmp_path: Path, schema: str, said: str
) -> None:
    database = tmp_path / "pmacct.sqlite"
    make_table(database, schema)
    running = reading(tmp_path, database)
    found = subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", *running.words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_engine_nfacctd_when_flows_come_then_roll_ups_have_them_once_their_bin_is_complete(
    tmp_path: Path, mariadb: MariaDb
) -> None:
    engines = [RunningCollector(tmp_path / name, command="run") for name in ("file", "server")]
    exporter = ExporterProfile("v9", "v9", clients=5, servers=5)
    sent = []
    try:
        for running, server in zip(engines, (None, mariadb), strict=True):
            use_nfacctd(running, server)
            running.start()
            order = Order(500, flows=1000)
            sent.append(Transmission(Generator([exporter]), running.target, order))
            sent[-1].run()
        for running, transmission in zip(engines, sent, strict=True):
            with opened_store(running) as store:
                wait_for_flows(store, transmission.total.flows, seconds=220)
                totals = store.totals(Selection())
            assert running.stop() == 0
            assert (totals.flows, totals.packets, totals.octets) == (
                transmission.total.flows,
                transmission.total.packets,
                transmission.total.octets,
            )
    finally:
        for running in engines:
            running.close()


def test_engine_nfacctd_when_the_collector_is_killed_then_the_daemon_ends(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path)
    use_nfacctd(running)
    try:
        running.start()
        assert running.process is not None
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert any(process.name().startswith("nfacctd") for process in family)
        running.kill()
        assert not psutil.wait_procs(family, timeout=30)[1]
    finally:
        running.close()


def findings(running: RunningCollector) -> list[dict[str, str]]:
    """Return what `appliance check` says of the machine."""
    found = subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", "check", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    environment: list[dict[str, str]] = json.loads(found.stdout)["environment"]
    return environment


def test_check_when_a_primitive_is_missing_then_names_it_and_what_follows(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path)
    database = use_nfacctd(running)
    database.unlink()
    make_table(
        database,
        "CREATE TABLE acct (ip_src TEXT, bytes INT, packets INT, stamp_inserted DATETIME)",
    )
    texts = [
        finding["text"]
        for finding in findings(running)
        if finding["what"] == "nfacctd" and finding["status"] == "hint"
    ]
    for primitive in ("peer_src_ip", "dst_host", "proto", "flows"):
        assert any(f"lacks the primitive {primitive}:" in text for text in texts)
    assert not any("src_host" in text for text in texts)


def test_check_when_nfacctd_runs_then_its_port_is_used_by_the_collector(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path)
    use_nfacctd(running)
    try:
        running.start()
        checked = findings(running)
    finally:
        running.close()
    ports = [finding for finding in checked if finding["what"] == f"port {running.port}"]
    assert [(finding["status"], "running collector" in finding["text"]) for finding in ports] == [
        ("ok", True)
    ]
