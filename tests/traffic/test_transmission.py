"""Sending invented flows: exactly what was ordered leaves, and nfcapd counts the same."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.collector.receiver import Receiver
from appliance.settings.types import ListenAddress
from appliance.traffic.generator import (
    PROTOCOLS,
    ExporterProfile,
    Generator,
    Order,
    Transmission,
    demo_exporters,
    invent_exporters,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver([ListenAddress("127.0.0.1", 0)], receive_buffer_octets=16 << 20)
    receiver.start()
    yield receiver
    receiver.stop()


def arrived(receiver: Receiver) -> tuple[int, int, set[int]]:
    """Stop receiving; return datagrams, octets, and the last octets of the senders' addresses."""
    receiver.stop_receiving()
    senders: set[int] = set()
    while (block := receiver.receive(0)) is not None:
        senders |= set((block.address_lo & np.uint64(255)).tolist())
    return receiver.counters.datagrams, receiver.counters.octets, senders


def test_transmission_when_flows_are_counted_then_exactly_those_arrive(receiver: Receiver) -> None:
    generator = Generator(invent_exporters(PROTOCOLS, 6))
    transmission = Transmission(generator, receiver.addresses[0], Order(flows=5001))
    sums = transmission.run()
    assert sums.flows == 5001
    assert sums == transmission.total
    datagrams, octets, senders = arrived(receiver)
    assert (datagrams, octets) == (sums.datagrams, sums.datagram_octets)
    assert senders == {2, 3, 4, 5, 6, 7}
    assert all(exporter.flows for exporter in transmission.sums)


def test_transmission_when_rate_and_time_are_given_then_kept(receiver: Receiver) -> None:
    generator = Generator(demo_exporters())
    order = Order(rate=20_000, seconds=0.3)
    start = time.monotonic()
    sums = Transmission(generator, receiver.addresses[0], order).run()
    assert 0.3 <= time.monotonic() - start < 2
    assert abs(sums.flows - 6000) <= 1
    assert arrived(receiver)[0] == sums.datagrams


def test_transmission_when_rhythm_is_on_then_slower_than_the_busiest_hour(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.traffic.generator.live.rhythm", lambda hour: 0.1)
    order = Order(rate=20_000, seconds=0.2, daily_rhythm=True)
    sums = Transmission(Generator(demo_exporters()), receiver.addresses[0], order).run()
    assert abs(sums.flows - 400) <= 1


def test_transmission_when_stopped_then_the_sums_say_what_was_sent(receiver: Receiver) -> None:
    def stop(transmission: Transmission) -> None:
        if transmission.total.flows > 500:
            transmission.stop()

    order = Order(rate=50_000)
    transmission = Transmission(Generator(demo_exporters()), receiver.addresses[0], order)
    transmission.run(stop)
    assert arrived(receiver)[0] == transmission.total.datagrams > 0


def test_transmission_when_nobody_listens_then_counted() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = ListenAddress("127.0.0.1", closed.getsockname()[1])
    transmission = Transmission(Generator(demo_exporters()), nobody, Order(flows=100))
    assert transmission.run().flows == 100
    assert transmission.refused > 0


@pytest.mark.skipif(not shutil.which("nfcapd"), reason="nfcapd (Debian's nfdump) is missing")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nfcapd_when_it_receives_the_flows_then_it_counts_the_same(
    protocol: str, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["-w", str(tmp_path), "-p", str(port), "-b", "127.0.0.1", "-B", "8000000"]
    with subprocess.Popen(
        ["nfcapd", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as nfcapd:
        wait_until_bound(port)
        profile = ExporterProfile("one", protocol, ipv6_share=0 if protocol == "v5" else 0.3)
        target = ListenAddress("127.0.0.1", port)
        sums = Transmission(Generator([profile]), target, Order(flows=3000)).run()
        wait_until_read(port)
        nfcapd.terminate()
        nfcapd.communicate(timeout=10)
    [file] = tmp_path.glob("nfcapd.2*")
    told = subprocess.run(["nfdump", "-r", file, "-I"], capture_output=True, text=True, check=True)
    counted = dict(line.split(": ") for line in told.stdout.splitlines() if ": " in line)
    assert int(counted["Flows"]) == sums.flows
    assert int(counted["Packets"]) == sums.packets
    assert int(counted["Bytes"]) == sums.octets
    assert int(counted["Sequence failures"]) == 0


def udp_queue(port: int) -> int | None:
    """Return the octets waiting in the socket bound to a port, None when there is none."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].partition(":")[2], 16) == port:
            return int(columns[4].partition(":")[2], 16)
    return None


def wait_until_bound(port: int) -> None:
    deadline = time.monotonic() + 10
    while udp_queue(port) is None and time.monotonic() < deadline:
        time.sleep(0.01)


def wait_until_read(port: int) -> None:
    deadline = time.monotonic() + 10
    while udp_queue(port) and time.monotonic() < deadline:
        time.sleep(0.01)
