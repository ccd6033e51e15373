"""Real probes, as the manual sets them up: what is stored is what they sent."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.flowlog import FlowSearch
from tests.asking import top, totals
from tests.collector.running import RunningCollector, free_port
from tests.decoding.building import decode
from tests.nfcapd import nfcapd
from tests.traffic.building import ethernet, ipv4, udp

ROOT = Path(__file__).parents[2]
TRAFFIC = ROOT / "tests" / "data" / "traffic.pcap"
RECIPES = ROOT / "appliance" / "manual" / "exporters.md"
VSWITCH_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
FRAME = ethernet(ipv4(udp(bytes(72))))


def softflowd(folder: Path, port: int, version: int) -> list[str]:
    return [
        *("softflowd", "-r", str(TRAFFIC), "-n", f"127.0.0.1:{port}", "-v", str(version)),
        *("-d", "-p", str(folder / "pid"), "-c", "none"),
    ]


def pmacctd(folder: Path, port: int, version: int) -> list[str]:
    """Return the command with the recipe's configuration, for a capture in place of a card."""
    recipe = recipe_with("nfprobe_receiver").replace("192.0.2.10:2055", f"127.0.0.1:{port}")
    text = recipe.replace("pcap_interface: eth0", f"pcap_savefile: {TRAFFIC}")
    configuration = folder / "pmacctd.conf"
    configuration.write_text(re.sub("nfprobe_version: .*", f"nfprobe_version: {version}", text))
    return ["pmacctd", "-f", str(configuration)]


def recipe_with(text: str) -> str:
    """Return the block of the manual that has a text."""
    blocks = re.findall(r"^```\n(.*?)^```", RECIPES.read_text(), re.DOTALL | re.MULTILINE)
    [block] = [block for block in blocks if text in block]
    return str(block)


@pytest.mark.skipif(not shutil.which("nfcapd"), reason="needs Debian's nfdump")
@pytest.mark.parametrize("version", [5, 9, 10])
@pytest.mark.parametrize("probe", [softflowd, pmacctd], ids=["softflowd", "pmacctd"])
def test_probe_when_it_exports_real_traffic_then_sums_equal_nfcapds(
    collector: RunningCollector, tmp_path: Path, probe: Callable[..., list[str]], version: int
) -> None:
    theirs = tmp_path / "nfcapd"
    theirs.mkdir()
    port = free_port()
    with nfcapd(theirs, port), _tee([collector.port, port]) as relay:
        command = probe(tmp_path, relay, version)
        if not shutil.which(command[0]):
            pytest.skip(f"needs Debian's {command[0]}")
        # pmacctd ends with 1 when its exporting process is done before it.
        # What came is what counts.
        subprocess.run(command, check=False, timeout=60)
        collector.wait_for("datagrams", 3)
    assert collector.stop() == 0
    sums = totals(FlowSearch(collector.data / "flowlog"))
    expected = _nfdump_sums(theirs)
    assert expected[0] > 100
    assert (sums.flows, sums.packets, sums.octets) == expected


@pytest.mark.skipif(not shutil.which("pmacctd"), reason="needs Debian's pmacct")
def test_pmacctd_when_it_samples_every_packet_then_each_is_a_flow(
    collector: RunningCollector, tmp_path: Path
) -> None:
    configuration = tmp_path / "pmacctd.conf"
    configuration.write_text(
        f"pcap_savefile: {TRAFFIC}\nplugins: sfprobe\naggregate: src_host\nsampling_rate: 1\n"
        f"sfprobe_receiver: 127.0.0.1:{collector.port}\nsfprobe_agentip: 192.0.2.77\n"
    )
    subprocess.run(["pmacctd", "-f", str(configuration)], check=False, timeout=60)
    collector.wait_for("datagrams", 70)
    assert collector.stop() == 0
    search = FlowSearch(collector.data / "flowlog")
    sums = totals(search)
    # Of 600 packets one is no IP; pmacctd may end before it has sent the last few.
    assert 540 < sums.flows == sums.packets <= 599
    assert 150_000 < sums.octets <= 198_407
    assert {row["exporter_address"] for row in top(search, "exporter")} == {"192.0.2.77"}


@pytest.mark.slow
@pytest.mark.skipif(not VSWITCH_SCHEMA.exists(), reason="needs Debian's openvswitch-switch")
def test_open_vswitch_when_set_up_by_the_recipe_then_its_flows_are_stored(
    collector: RunningCollector, tmp_path: Path
) -> None:
    with open_vswitch(tmp_path) as ask:
        recipe = recipe_with("create NetFlow").replace(
            "192.0.2.10:2055", f"127.0.0.1:{collector.port}"
        )
        switch_frames(ask, recipe)
        collector.wait_for("datagrams", 1)
    assert collector.stop() == 0
    sums = totals(FlowSearch(collector.data / "flowlog"))
    assert (sums.packets, sums.octets) == (3, 3 * len(FRAME))


@pytest.mark.slow
@pytest.mark.skipif(not VSWITCH_SCHEMA.exists(), reason="needs Debian's openvswitch-switch")
def test_open_vswitch_when_it_samples_by_the_recipe_then_each_packet_is_a_flow(
    collector: RunningCollector, tmp_path: Path
) -> None:
    with open_vswitch(tmp_path) as ask:
        ask("ovs-appctl", "netdev-dummy/ip4addr", "br0", "198.51.100.7/24")
        recipe = recipe_with("create sFlow")
        for old, new in (
            ("192.0.2.10:2055", f"127.0.0.1:{collector.port}"),
            ("agent=eth0", "agent=br0"),
            ("sampling=400", "sampling=1"),
        ):
            recipe = recipe.replace(old, new)
        switch_frames(ask, recipe)
        collector.wait_for("datagrams", 1)
    assert collector.stop() == 0
    search = FlowSearch(collector.data / "flowlog")
    assert totals(search) == (3, 3, 3 * (len(FRAME) - 14))
    assert {row["exporter_address"] for row in top(search, "exporter")} == {"198.51.100.7"}


@pytest.mark.slow
@pytest.mark.skipif(not VSWITCH_SCHEMA.exists(), reason="needs Debian's openvswitch-switch")
def test_open_vswitch_when_it_sends_counters_then_those_of_its_ports(tmp_path: Path) -> None:
    with open_vswitch(tmp_path) as ask, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        here.settimeout(30)
        ask("ovs-appctl", "netdev-dummy/ip4addr", "br0", "198.51.100.7/24")
        for name, number in (("p1", 1001), ("p2", 1002)):
            ask("ovs-vsctl", "set", "Interface", name, f"options:ifindex={number}")
        recipe = recipe_with("create sFlow")
        for old, new in (
            ("192.0.2.10:2055", f"127.0.0.1:{here.getsockname()[1]}"),
            ("agent=eth0", "agent=br0"),
        ):
            recipe = recipe.replace(old, new)
        switch_frames(ask, recipe)
        counted: dict[int, int | None] = {}
        expected = {1001: 3 * len(FRAME), 1002: 0}
        while not counted.items() >= expected.items():
            ask("ovs-appctl", "time/warp", "30000", "500")
            interfaces = decode(here.recv(65535)).interfaces
            counted |= {one.if_index: one.in_octets for one in interfaces}
        assert {one.exporter for one in interfaces} == {"198.51.100.7"}


@contextlib.contextmanager
def open_vswitch(folder: Path) -> Iterator[Callable[..., None]]:
    """Run a switch `br0` with two ports of its own invention and a clock that can be moved; yield
    what asks its programs."""
    database, clients = folder / "conf.db", f"unix:{folder / 'db.sock'}"
    environment = os.environ | dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR"), str(folder))

    def ask(program: str, *arguments: str) -> None:
        command = [program, *([f"--db={clients}"] if program == "ovs-vsctl" else ()), *arguments]
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert found.returncode == 0, found.stderr

    with contextlib.ExitStack() as running:
        ask("ovsdb-tool", "create", str(database), str(VSWITCH_SCHEMA))
        for program, *options in (
            ("ovsdb-server", str(database), f"--remote=p{clients}"),
            ("ovs-vswitchd", clients, "--enable-dummy=override", "--disable-system"),
        ):
            pid_file = folder / f"{program}.pid"
            ask(program, *options, "--detach", "--no-chdir", f"--pidfile={pid_file}", "--log-file")
            running.callback(ask, "ovs-appctl", "-t", program, "exit")
        ask("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail-mode=standalone")
        for name in ("p1", "p2"):
            ask("ovs-vsctl", *f"add-port br0 {name} -- set Interface {name} type=dummy".split())
        yield ask


def switch_frames(ask: Callable[..., None], recipe: str) -> None:
    """Set the switch up by a recipe, let it have three frames, and its clock go on."""
    ask(*shlex.split(recipe.replace("\\\n", " ")))
    for _ in range(3):
        ask("ovs-appctl", "netdev-dummy/receive", "p1", FRAME.hex())
    ask("ovs-appctl", "time/warp", "20000", "500")


@contextlib.contextmanager
def _tee(ports: list[int]) -> Iterator[int]:
    """Pass datagrams on to several ports; ends when none came for half a second."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back,
    ):
        front.bind(("127.0.0.1", 0))
        front.settimeout(0.5)
        done = threading.Event()

        def pass_on() -> None:
            while True:
                try:
                    datagram = front.recv(65535)
                except TimeoutError:
                    if done.is_set():
                        return
                    continue
                for port in ports:
                    back.sendto(datagram, ("127.0.0.1", port))

        thread = threading.Thread(target=pass_on)
        thread.start()
        try:
            yield front.getsockname()[1]
        finally:
            done.set()
            thread.join()


def _nfdump_sums(folder: Path) -> tuple[int, int, int]:
    files = sorted(str(path) for path in folder.glob("nfcapd.2*"))
    assert files
    flows = packets = octets = 0
    for file in files:
        text = subprocess.run(
            ["nfdump", "-r", file, "-q", "-N", "-o", "fmt:%fl %pkt %byt"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for line in text.splitlines():
            if line.strip():
                one, some, more = (int(word) for word in line.split())
                flows, packets, octets = flows + one, packets + some, octets + more
    return flows, packets, octets
