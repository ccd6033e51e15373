"""The routes that only look: figures of the machine and its network settings."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from appliance import OK, Finding
from appliance.plugins.host import network as network_module
from appliance.plugins.host.machine import Machine
from appliance.plugins.host.network import (
    interface_findings,
    interface_name,
    network_type,
    own_addresses,
)
from appliance.plugins.host.routes import HostRoutes
from tests.privileged.scripted import ScriptedRoot
from tests.web.appliance import Appliance

DOCUMENT = (Path(__file__).parents[2] / "data" / "api" / "api-destne.md").read_text()
MEGABYTE = 2**20


def example(section: str) -> dict[str, object]:
    text = DOCUMENT.partition(f"\n## {section}\n")[2]
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.parametrize(
    ("path", "section", "more"),
    [
        ("system", "Get System Information", {"pythonVersion"}),
        ("cpuLoad", "Get CPU Load", set()),
        ("storage", "Get System Storage", {"availableStorage"}),
        ("memory", "Get Memory (RAM) Information", set()),
        ("devStats", "Get Device Statistics", {"pythonVersion", "availableStorage"}),
        ("dns", "Get DNS Information", set()),
        ("network", "Get Network Information", {"message"}),
    ],
)
def test_route_when_asked_then_keys_and_types_as_documented(
    appliance: Appliance, path: str, section: str, more: set[str]
):
    answer, documented = appliance.get(f"/device/{path}"), example(section)
    assert set(answer) - more == set(documented)
    for name, value in documented.items():
        assert answer[name] is None or type(answer[name]) is type(value), name


def test_figures_when_asked_then_in_the_documented_units(appliance: Appliance):
    answer = appliance.get("/device/devStats")
    disk, memory = psutil.disk_usage("/"), psutil.virtual_memory()
    assert answer["totalStorage"] == disk.total // MEGABYTE
    assert answer["usedStorage"] == answer["totalStorage"] - answer["freeStorage"]
    assert answer["totalMemory"] == memory.total
    assert answer["usedMemory"] == answer["totalMemory"] - answer["freeMemory"]
    assert abs(answer["uptime"] - (time.time() - psutil.boot_time())) < 60
    assert answer["hostname"] == socket.gethostname()
    assert len(answer["cpuLoad"]) == 3


def test_storage_when_asked_then_as_df_says(appliance: Appliance):
    answer = appliance.get("/device/storage")
    command = ["df", "--block-size=1M", "--output=size,used,avail", "/"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    total, used, available = map(int, output.splitlines()[1].split())
    # df rounds up, and others write to the disk meanwhile.
    assert abs(answer["totalStorage"] - total) <= 1
    assert abs(answer["usedStorage"] - used) < 100
    assert abs(answer["availableStorage"] - available) < 100


def test_network_when_the_loopback_then_as_the_kernel_says(tmp_path: Path):
    scripted = ScriptedRoot(tmp_path)
    scripted.write("etc/network/interfaces", "iface lo inet static\n address 127.0.0.1/8\n")
    scripted.write("etc/resolv.conf", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n")
    assert HostRoutes(Machine(), "lo", root=tmp_path).network() == {
        "name": "lo",
        "ip_address": "127.0.0.1",
        "mac_address": "00:00:00:00:00:00",
        "type": "Wired",
        "netmask": "255.0.0.0",
        "gateway_ip": None,
        "networkType": "static",
        "dnsServers": [{"server": "8.8.8.8"}, {"server": "8.8.4.4"}],
    }


def test_network_when_there_is_no_such_interface_then_null_and_a_sentence(tmp_path: Path):
    answer = HostRoutes(Machine(), "nfa9", root=tmp_path).network()
    assert answer["ip_address"] is None
    assert answer["networkType"] == "ERROR"
    assert answer["message"].startswith("There is no /etc/network/interfaces")


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("etc/network/interfaces", "iface eth0 inet dhcp\n", ("dhcp", "")),
        ("etc/network/interfaces", "iface eth0 inet6 auto\n", ("ERROR", "no IPv4 settings of")),
        ("etc/network/interfaces", "iface eth0 inet ppp\n", ("ERROR", "is ppp, neither static")),
        ("proc/7/comm", "NetworkManager\n", ("ERROR", "NetworkManager is running")),
    ],
)
def test_network_type_when_read_then_one_of_three_and_why(
    tmp_path: Path, path: str, text: str, expected: tuple[str, str]
):
    ScriptedRoot(tmp_path).write(path, text)
    kind, problem = network_type("eth0", tmp_path)
    assert kind == expected[0]
    assert expected[1] in problem
    assert bool(problem) == (kind == "ERROR")


def test_network_when_wireless_then_says_so(tmp_path: Path):
    (tmp_path / "sys/class/net/lo/wireless").mkdir(parents=True)
    assert HostRoutes(Machine(), "lo", root=tmp_path).network()["type"] == "Wireless"


def test_interface_when_configured_then_that_one_else_the_default_routes(
    monkeypatch: pytest.MonkeyPatch,
):
    assert interface_name("eth7") == "eth7"
    gateways = {"default": {network_module.netifaces.AF_INET: ("10.0.0.1", "eth5")}}
    monkeypatch.setattr(network_module.netifaces, "gateways", lambda: gateways)
    assert interface_name("") == "eth5"
    monkeypatch.setattr(network_module.netifaces, "gateways", dict)
    assert interface_name("") != "lo"


def test_own_addresses_when_asked_then_the_loopbacks_too():
    assert {"127.0.0.1"} <= own_addresses()


def test_interface_when_it_is_here_then_its_finding_is_ok() -> None:
    assert interface_findings("lo") == [Finding(OK, "interface", "lo is here")]
