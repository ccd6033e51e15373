"""Changes of the network on a real interface, by the real ifupdown, with a real neighbour."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.privileged.client import HelperRefused
from tests.privileged.box import INTERFACE, Box, needs_dhcp, needs_namespaces, started_box
from tests.privileged.interfaces_files import STATIC_VALUES

pytestmark = needs_namespaces

OLD = f"""# the old network
auto {INTERFACE}
iface {INTERFACE} inet static
    address 10.7.0.5/24
    gateway 10.7.0.1
    # kept
    mtu 1400
"""


@pytest.fixture
def box_with(tmp_path: Path) -> Iterator[Callable[[str], Box]]:
    with ExitStack() as boxes:

        def start(interfaces: str) -> Box:
            box = boxes.enter_context(started_box(tmp_path, interfaces))
            box.run("ifup", INTERFACE)
            return box

        yield start


@pytest.fixture
def box(box_with: Callable[[str], Box]) -> Box:
    return box_with(OLD)


def ask_change(box: Box, seconds: int = 5, **values: str) -> None:
    wanted = STATIC_VALUES | values if values.get("state") != "dhcp" else values
    box.ask("network_change", interface=INTERFACE, rollback_seconds=str(seconds), **wanted)


def give_neighbour(box: Box, *addresses: str) -> None:
    for address in addresses:
        box.run("ip", "address", "add", address, "dev", "lan0", where=box.beside())


def test_change_when_the_gateway_answers_then_it_is_kept(box: Box):
    give_neighbour(box, "192.1.1.1/24")
    ask_change(box)
    change = box.change_ends()
    assert (change["state"], change["message"]) == ("confirmed", "the gateway answers")
    assert box.addresses() == ["192.1.1.18/24"]
    assert "default via 192.1.1.1" in box.run("ip", "route")
    text = box.read("etc/network/interfaces")
    assert "address 192.1.1.18/24" in text
    assert "    # kept\n    mtu 1400\n" in text
    assert box.read("etc/resolv.conf") == (
        "# of the box\nsearch example.net\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    )


def test_change_when_nobody_reaches_the_box_then_everything_is_as_before(box: Box):
    give_neighbour(box, "10.7.0.1/24")
    ask_change(box)
    change = box.change_ends()
    assert change["state"] == "rolled back"
    assert change["message"] == "nobody confirmed the change within 5 seconds"
    assert box.addresses() == ["10.7.0.5/24"]
    assert box.read("etc/network/interfaces") == OLD
    assert box.read("etc/resolv.conf").endswith("nameserver 9.9.9.9\n")


def test_change_when_confirmed_in_time_then_it_is_kept(box: Box):
    ask_change(box, seconds=600)
    change = box.until(lambda: box.change()["state"] == "waiting")
    assert 590 < change["secondsLeft"] <= 600
    # The API reads it at each request, without any privilege.
    assert (box.state_folder / "pending").stat().st_mode & 0o777 == 0o644
    assert box.ask("network_confirm")["change"]["state"] == "confirmed"
    assert box.addresses() == ["192.1.1.18/24"]
    with pytest.raises(HelperRefused) as raised:
        box.ask("network_confirm")
    assert raised.value.status == 409


def test_change_when_announced_then_the_helper_hangs_up_and_goes_on(box: Box):
    with box.connected() as connection:
        request = {"act": "network_change", "interface": INTERFACE, "rollback_seconds": "600"}
        connection.sendall(json.dumps(request | STATIC_VALUES).encode() + b"\n")
        with connection.makefile("rb") as answer:
            assert json.loads(answer.readline())["change"]["state"] == "armed"
            assert answer.read() == b""
    box.until(lambda: box.change()["state"] == "waiting")
    box.ask("network_confirm")


def test_change_when_another_is_under_way_then_refused(box: Box):
    ask_change(box, seconds=600)
    for _ in ("while it is applied", "while it waits"):
        with pytest.raises(HelperRefused) as raised:
            ask_change(box)
        assert (raised.value.status, raised.value.sentence) == (
            409,
            "a change of the network is under way",
        )
        box.until(lambda: box.change()["state"] == "waiting")
    box.ask("network_confirm")


def test_change_when_the_machine_dies_while_it_waits_then_the_timer_takes_it_back(box: Box):
    ask_change(box, seconds=5)
    box.until(lambda: box.change()["state"] == "waiting")
    box.kill_helpers()
    box.until(lambda: box.change()["secondsLeft"] == 0)
    assert box.addresses() == ["192.1.1.18/24"]
    box.run(*box.helper_command[len(box.inside()) :], "rollback")
    assert box.change()["state"] == "rolled back"
    assert box.addresses() == ["10.7.0.5/24"]
    box.run(*box.helper_command[len(box.inside()) :], "rollback")
    assert box.read("etc/network/interfaces") == OLD


def test_change_when_ifup_fails_then_the_old_network_is_back_at_once(box: Box):
    hook = box.folder / "etc/network/if-pre-up.d/refuses"
    hook.write_text('#!/bin/sh\n[ "$IF_GATEWAY" != 192.1.1.1 ] || { echo broken hook; exit 1; }\n')
    hook.chmod(0o755)
    ask_change(box, seconds=600)
    change = box.change_ends()
    assert change["state"] == "rolled back"
    assert change["message"].startswith("ifup: ")
    assert box.addresses() == ["10.7.0.5/24"]


def test_change_when_the_stanza_is_in_another_file_then_only_that_is_changed(
    box_with: Callable[[str], Box],
):
    main = "source /etc/network/interfaces.d/*\n"
    beside = f"iface {INTERFACE} inet6 static\n    address fd00:7::5/64\n"
    box = box_with(main + OLD + beside)
    box.write("etc/network/interfaces.d/outside", OLD + beside)
    box.write("etc/network/interfaces", main)
    give_neighbour(box, "192.1.1.1/24")
    ask_change(box)
    assert box.change_ends()["state"] == "confirmed"
    assert box.read("etc/network/interfaces") == main
    assert "192.1.1.18/24" in box.read("etc/network/interfaces.d/outside")
    assert box.addresses() == ["192.1.1.18/24"]
    assert "fd00:7::5/64" in box.run("ip", "-6", "address", "show", "dev", INTERFACE)


@needs_dhcp
def test_change_when_dhcp_and_static_again_then_each_takes_effect(box: Box):
    give_neighbour(box, "10.7.0.1/24")
    box.background(
        *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--interface=lan0"),
        *("--bind-interfaces", "--dhcp-range=10.7.0.100,10.7.0.150", "--no-resolv", "--no-hosts"),
        *("--dhcp-leasefile=/dev/null", "--address=/box.test/10.7.0.77", "--log-facility=-"),
    )
    ask_change(box, seconds=30, state="dhcp")
    change = box.change_ends()
    assert (change["state"], change["message"]) == ("confirmed", "the gateway answers")
    assert box.addresses()[0].startswith("10.7.0.1")
    assert f"iface {INTERFACE} inet dhcp\n" in box.read("etc/network/interfaces")
    assert "nameserver 10.7.0.1\n" in box.read("etc/resolv.conf")
    ask_change(
        box,
        ipaddress="10.7.0.9",
        network="10.7.0.0",
        gateway="10.7.0.1",
        nameserver1="10.7.0.1",
        nameserver2="10.7.0.1",
    )
    assert box.change_ends()["state"] == "confirmed"
    assert box.addresses() == ["10.7.0.9/24"]
    assert "10.7.0.77" in box.run("getent", "hosts", "box.test")
    assert "dhclient" not in box.run("ip", "-4", "route")
