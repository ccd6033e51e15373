"""The collector as a process: what is sent to it is in its log, whatever happens to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from appliance.flowlog import FlowSearch
from appliance.traffic.generator import ExporterProfile, Generator, Order, Transmission
from appliance.traffic.generator.exporters import GeneratedBlock, Sums
from appliance.traffic.source_sockets import SourceSockets
from tests.asking import totals
from tests.collector.running import RunningCollector, free_port

TRAFFIC = Path(__file__).parents[1] / "data" / "traffic.pcap"

COUNTING = [
    ExporterProfile("v5", "v5", clients=50, servers=200),
    ExporterProfile("ipfix", "ipfix", 7, ipv6_share=0.3, clients=50, servers=200),
]
"""Exporters whose sequence numbers count records, so that every lost record can be named."""


def test_clean_stop_when_datagrams_just_arrived_then_loses_none(
    collector: RunningCollector,
) -> None:
    sent = Transmission(Generator(COUNTING), collector.target, Order(flows=40_000)).run()
    assert collector.stop() == 0
    assert collector.rows() == sent.flows
    assert collector.rows(options=True) == sent.option_records
    status = collector.status()
    assert status["lost"] == status["kernel_drops"] == status["records_dropped_by_log"] == 0


def test_totals_when_exporters_sample_then_are_scaled(collector: RunningCollector) -> None:
    profiles = [
        ExporterProfile("v5", "v5", sampling=10, clients=50, servers=200),
        ExporterProfile("v9", "v9", 1, sampling=100, nbar=True, clients=50, servers=200),
        ExporterProfile("ipfix", "ipfix", 2, sampling=1000, clients=50, servers=200),
    ]
    sent = Transmission(Generator(profiles), collector.target, Order(flows=3_000)).run()
    collector.wait_for("datagrams", sent.datagrams)
    assert collector.stop() == 0
    sums = totals(FlowSearch(collector.data / "flowlog"))
    assert sums.flows == sent.flows
    assert (sums.octets, sums.packets) == (sent.scaled_octets, sent.scaled_packets)
    exporters = collector.status()["exporters"]
    assert sum(e.get("sampling_assumed", 0) for e in exporters.values()) == 0


def test_restart_when_templates_were_learned_then_data_alone_is_decoded(
    collector: RunningCollector,
) -> None:
    generator = Generator(COUNTING[1:])
    with SourceSockets(collector.target) as sockets:  # so the exporter keeps its port
        first = [sent(block, sockets) for block in generator.datagrams(100)]
        collector.wait_for("datagrams", sum(block.datagrams for block in first))
        assert collector.stop() == 0
        collector.start()
        # The generator repeats templates once a minute, so none goes out now.
        second = [sent(block, sockets) for block in generator.datagrams(100)]
    assert sum(block.option_records for block in second) == 0
    assert collector.stop() == 0
    assert collector.rows() == sum(block.flows for block in first + second)


def sent(block: GeneratedBlock, sockets: SourceSockets) -> Sums:
    """Send a block and return what it holds."""
    sockets.send((block.exporter, 0), block.octets, block.lengths)
    return block.sums


def test_busy_port_when_starting_then_one_sentence_and_exit_code(
    collector: RunningCollector, tmp_path: Path
) -> None:
    other = RunningCollector(tmp_path / "other")
    text = (other.conf / "appliance.yml").read_text().replace(str(other.port), str(collector.port))
    (other.conf / "appliance.yml").write_text(text)
    found = subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{other.conf}/", "collect"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 2
    assert str(collector.port) in found.stderr
    assert found.stderr.count("\n") == 1


def test_second_collector_when_directory_is_taken_then_is_refused(
    collector: RunningCollector, tmp_path: Path
) -> None:
    conf = tmp_path / "twin"
    conf.mkdir()
    (conf / "appliance.yml").write_text(
        f'data_directory: {collector.data}\ncollector:\n  listen: ["127.0.0.1:{free_port()}"]\n'
    )
    found = subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{conf}/", "collect"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("appliance: a collector runs already, process ")
    assert found.stderr.count("\n") == 1
