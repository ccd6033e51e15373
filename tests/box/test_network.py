"""A real interface and its address: DHCP, static, DHCP again, and the way back out of a mistake."""

from __future__ import annotations

import re
import signal
import time

import pytest

from tests.box.networks import TEST_LAN
from tests.box.processes import attempt, eventually, started, stopped

NETWORK = "/api/v1/admin/device/network"
STATIC = "198.18.9.50"
PROBE, PROBE_ADDRESS = "probe.example", "198.18.9.77"
INTERFACES = """\
# The second interface. This comment is the operator's.
allow-hotplug eth1
iface eth1 inet dhcp
    # indented as somebody liked it
\tmetric 50
"""
FILE = "/etc/network/interfaces.d/eth1"
DHCP_CLIENT_FOLDER = "/usr/lib/dhcpcd"
VLAN_INTERFACES = """\
# Tagged, on the same cable.
auto eth1.9
iface eth1.9 inet static
    address 198.18.19.2/24
"""
VLAN_FILE = "/etc/network/interfaces.d/vlan9"
VLAN_VALUES = {
    "state": "static",
    "ipaddress": "198.18.19.50",
    "netmask": "255.255.255.0",
    "network": "198.18.19.0",
    "gateway": "198.18.19.1",
    "nameserver1": TEST_LAN,
    "nameserver2": TEST_LAN,
}


@pytest.fixture(scope="module")
def lan(box, tmp_path_factory):
    """The other network has a DHCP and name server; the box has an interface there."""
    networks, machine = box.machine.networks, box.machine
    folder = tmp_path_factory.mktemp("dnsmasq")
    options = ["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--no-hosts"]
    options += ["--interface=lan1", "--bind-interfaces", "--no-resolv", "--log-facility=-"]
    options += [f"--dhcp-leasefile={folder}/leases", f"--pid-file={folder}/pid"]
    options += ["--dhcp-range=198.18.9.100,198.18.9.110,255.255.255.0,10m", "--no-ping"]
    options += [f"--dhcp-option=option:router,{TEST_LAN}", f"--address=/{PROBE}/{PROBE_ADDRESS}"]
    server = started(networks.in_lan(["dnsmasq", *options]), folder / "dnsmasq.log")
    # The way out has a default route of its own, which a box in one network would not have.
    machine.cut()
    machine.put(INTERFACES, FILE)
    before = machine.run("cat /etc/resolv.conf")
    try:
        box.converge("--tags", "appliance", appliance_settings=settings(20))
        machine.run("ifup eth1")
        yield networks
    finally:
        machine.attempt(f"ifdown --force eth1; ip address flush dev eth1; rm {FILE}")
        machine.attempt("rm /etc/resolv.conf")
        machine.put(before, "/etc/resolv.conf")
        stopped(server, signal.SIGTERM)
        machine.lead_out()


def settings(seconds: int) -> dict[str, object]:
    return {"host": {"interface": "eth1", "network_rollback_seconds": seconds}}


def address(box, device: str = "eth1") -> str:
    found = re.search(r"inet ([0-9.]+)", box.machine.run(f"ip -4 address show dev {device}"))
    return found[1] if found else ""


def change(box, token: str, **values: str):
    body = [word for name, value in values.items() for word in ("-d", f"{name}={value}")]
    return box.ask(NETWORK, token, "-X", "PUT", *body)


def static(gateway: str) -> dict[str, str]:
    return {
        "state": "static",
        "ipaddress": STATIC,
        "netmask": "255.255.255.0",
        "network": "198.18.9.0",
        "gateway": gateway,
        "nameserver1": TEST_LAN,
        "nameserver2": TEST_LAN,
    }


def state(box, token: str) -> str:
    return str(box.ask(f"{NETWORK}/change", token)["state"])


def answers(box, host: str) -> bool:
    """Ask without a token, which confirms nothing."""
    command = ["curl", "-sk", "--max-time", "3", f"https://{host}:8443/v1/api/"]
    return attempt(box.machine.networks.in_lan(command)).returncode == 0


def test_network_when_dhcp_then_static_then_dhcp_then_each_is_in_effect(box, lan):
    token = box.sign_in()
    leased = address(box)
    assert leased.startswith("198.18.9.1")
    found = box.ask(NETWORK, token)
    assert (found["networkType"], found["ip_address"], found["name"]) == ("dhcp", leased, "eth1")
    assert change(box, token, **static(TEST_LAN))["message"] == (
        "Static Network configured successfully!"
    )
    eventually(lambda: address(box) == STATIC and answers(box, STATIC), "static", 60)
    found = eventually(lambda: is_static(box, token), "shown as static", 30)
    assert (found["ip_address"], found["gateway_ip"]) == (STATIC, TEST_LAN)
    told = box.machine.run(f"getent hosts {PROBE}")
    assert told.split()[0] == PROBE_ADDRESS
    kept = box.machine.run(f"cat {FILE}")
    assert kept.startswith("# The second interface. This comment is the operator's.\n")
    eventually(lambda: state(box, token) == "confirmed", "confirmed", 60)
    assert change(box, token, state="dhcp")["message"] == "DHCP Network configured successfully!"
    eventually(lambda: address(box) == leased, "leased again", 60)
    eventually(lambda: state(box, token) == "confirmed", "confirmed", 60)
    assert folders_of_dhcp_client(box) <= {DHCP_CLIENT_FOLDER}


def folders_of_dhcp_client(box) -> set[str]:
    """Return what the unprivileged processes of Debian 13's DHCP client see as the root folder."""
    processes = "for pid in $(pgrep -u dhcpcd dhcpcd); do readlink /proc/$pid/root; done"
    return set(box.machine.attempt(processes).stdout.split())


def is_static(box, token: str):
    found = box.ask(NETWORK, token)
    return found if found["networkType"] == "static" else None


def test_network_when_nobody_reaches_it_any_more_then_the_old_settings_come_back(box, lan):
    """The API is dead meanwhile: the way back does not need it."""
    token = box.sign_in()
    before, leased = box.machine.run(f"cat {FILE}"), address(box)
    change(box, token, **static("198.18.9.254"))
    eventually(lambda: address(box) == STATIC, "changed", 60)
    box.machine.run("systemctl kill --signal=KILL appliance-api.service")
    assert box.machine.run(f"cat {FILE}") != before
    began = time.monotonic()
    eventually(lambda: box.machine.run(f"cat {FILE}") == before, "back", 120)
    eventually(lambda: address(box) == leased, "leased again", 60)
    print(f"rolled back after {time.monotonic() - began:.0f} s")
    assert state(box, box.sign_in()) != "confirmed"


def test_network_when_values_do_not_fit_then_refused_and_nothing_changes(box, lan):
    token = box.sign_in()
    before = box.machine.run(f"cat {FILE}")
    reply = change(box, token, **static("203.0.113.1"))
    assert reply["error"] == "Network not set, information is invalid please check format"
    assert box.machine.run(f"cat {FILE}") == before


def test_network_when_nobody_is_signed_in_then_refused(box, lan):
    assert box.status(NETWORK, "-X", "PUT", "-d", "state=dhcp") == 401


@pytest.fixture
def networkd(box, lan):
    """systemd-networkd is in charge of the interface, not ifupdown."""
    run, file = box.machine.run, "/etc/systemd/network/50-eth1.network"
    run("ifdown eth1")
    box.machine.put(f"[Match]\nName=eth1\n[Network]\nAddress={STATIC}/24\n", file)
    run("systemctl start systemd-networkd.service")
    eventually(lambda: address(box) == STATIC, "set up by networkd", 30)
    yield
    run(f"systemctl stop systemd-networkd.socket systemd-networkd.service; rm {file}")
    run("ip address flush dev eth1; ifup eth1")


def test_network_when_networkd_is_in_charge_then_says_so_and_nothing_is_written(box, networkd):
    token = box.sign_in()
    before = box.machine.run(f"cat {FILE} /etc/network/interfaces")
    found = box.ask(NETWORK, token)
    assert found["networkType"] == "ERROR"
    assert "ystemd-networkd manages eth1" in found["message"]
    refused = change(box, token, **static(TEST_LAN))
    assert "ystemd-networkd manages eth1" in str(refused)
    assert box.machine.run(f"cat {FILE} /etc/network/interfaces") == before
    assert address(box) == STATIC


@pytest.fixture
def vlan(box, lan):
    """The managed interface is a VLAN on the cable."""
    attempted = box.machine.attempt
    if attempted("ip link add link eth1 name eth1.9 type vlan id 9").returncode:
        pytest.skip("the kernel of this machine knows no VLANs (its module 8021q is missing)")
    box.machine.run("ip link delete eth1.9")
    box.machine.put(VLAN_INTERFACES, VLAN_FILE)
    own = {"host": {"interface": "eth1.9", "network_rollback_seconds": 20}}
    box.converge("--tags", "appliance", appliance_settings=own)
    box.machine.run("ifup eth1.9")
    yield
    attempted(f"ifdown --force eth1.9; ip link delete eth1.9; rm {VLAN_FILE}")


def test_network_when_the_interface_is_a_vlan_then_its_frames_are_tagged(box, vlan, tmp_path):
    token = box.sign_in()
    found = box.ask(NETWORK, token)
    assert (found["name"], found["ip_address"]) == ("eth1.9", "198.18.19.2")
    assert "configured successfully" in change(box, token, **VLAN_VALUES)["message"]
    eventually(lambda: address(box, "eth1.9") == "198.18.19.50", "changed", 60)
    eventually(lambda: state(box, token) == "confirmed", "confirmed", 60)
    assert box.machine.run(f"cat {VLAN_FILE}").startswith("# Tagged, on the same cable.\n")
    seen = tmp_path / "frames"
    listen = ["tcpdump", "-nn", "-e", "-l", "-i", "lan1", "vlan", "9"]
    listener = started(box.machine.networks.in_lan(listen), seen)
    try:
        box.machine.attempt("ping -c 5 -W 1 198.18.19.1")
        eventually(lambda: "vlan 9" in seen.read_text(), "tagged frames", 30)
    finally:
        stopped(listener, signal.SIGTERM)
