"""SNMP against a real agent: Debian's snmpd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.interface_history import DeviceReading
from appliance.plugins.names.snmp.client import Limits, SnmpError, read_devices
from appliance.plugins.names.snmp.snmp_settings import Agent, Credentials
from tests.plugins.names.snmpd import AUTH_KEY, OLD_COMMUNITY, PRIVACY_KEY, PROGRAM, snmpd
from tests.snmp_agents import in_own_thread

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs snmpd (apt-get install snmpd)")

USER = Credentials(
    version="3",
    user="reader",
    auth_protocol="sha256",
    auth_key=AUTH_KEY,
    privacy_protocol="aes",
    privacy_key=PRIVACY_KEY,
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with snmpd(tmp_path_factory.mktemp("snmpd")) as port:
        yield port


def read(port: int, credentials: Credentials) -> DeviceReading | SnmpError:
    agent = Agent("192.0.2.1", "127.0.0.1", port, credentials)
    [(_, said)] = in_own_thread(lambda: asyncio.run(read_devices([agent], Limits(1, 1))))
    return said


@pytest.mark.parametrize("credentials", [Credentials(community="public"), USER], ids=["2c", "3"])
def test_snmpd_when_asked_then_the_interfaces_of_this_machine(port: int, credentials: Credentials):
    octets = int(Path("/sys/class/net/lo/statistics/rx_bytes").read_text())
    said = read(port, credentials)
    assert isinstance(said, DeviceReading)
    assert said.name == "debian"
    assert said.description.startswith("Linux ")
    loopback = {one.name: one for one in said.interfaces}["lo"]
    assert loopback.in_octets is not None
    # The daemon reads the kernel's counters every few seconds only.
    assert loopback.in_octets == pytest.approx(octets, rel=0.5, abs=10**7)


def test_snmpd_when_it_has_no_if_x_table_then_names_and_speeds_without_counters(port: int):
    new, old = (read(port, Credentials(community=name)) for name in ("public", OLD_COMMUNITY))
    assert isinstance(new, DeviceReading)
    assert isinstance(old, DeviceReading)
    loopback = {one.name: one for one in old.interfaces}["lo"]
    assert (loopback.speed, loopback.in_octets) == (10_000_000, None)
    assert [one.if_index for one in old.interfaces] == [one.if_index for one in new.interfaces]


@pytest.mark.parametrize(
    ("credentials", "text"),
    [
        (Credentials(version="3", user="stranger"), "Unknown USM user"),
        (Credentials(version="3", user="reader", auth_key="wrong-key-1"), ""),
    ],
)
def test_snmpd_when_credentials_are_wrong_then_it_says_why(
    port: int, credentials: Credentials, text: str
):
    said = read(port, credentials)
    assert isinstance(said, SnmpError)
    assert text in str(said)
