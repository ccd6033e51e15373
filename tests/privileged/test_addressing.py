"""Validation of network settings."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.privileged.addressing import (
    PARAMETERS,
    DhcpSettings,
    InvalidSettings,
    checked_interface,
    checked_settings,
)
from tests.privileged.interfaces_files import STATIC_VALUES, static_settings


def test_settings_when_as_documented_then_taken():
    settings = static_settings()
    assert (str(settings.address), settings.prefix) == ("192.1.1.18", 24)
    assert list(map(str, settings.name_servers)) == ["8.8.8.8", "8.8.4.4"]


def test_settings_when_dhcp_then_no_other_value_counts():
    assert checked_settings({"state": "dhcp", "ipaddress": "nonsense"}) == DhcpSettings()


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", [None, "", "1.2.3", "300.1.1.1", "01.2.3.4", "::1", "1.2.3.4\n"])
def test_settings_when_a_value_is_missing_or_no_address_then_named(name: str, value: str | None):
    values = dict(STATIC_VALUES)
    if value is None:
        del values[name]
    else:
        values[name] = value
    with pytest.raises(InvalidSettings, match=name):
        checked_settings(values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"netmask": "255.0.255.0"}, "netmask: '255.0.255.0' is not contiguous"),
        ({"netmask": "0.0.0.255"}, "netmask: '0.0.0.255' is not contiguous"),
        ({"netmask": "255.255.255.255"}, "netmask: '255.255.255.255' leaves no room"),
        ({"netmask": "0.0.0.0"}, "netmask: '0.0.0.0' leaves no room"),
        ({"network": "192.1.2.0"}, "network: expected 192.1.1.0, found '192.1.2.0'"),
        ({"gateway": "192.1.2.1"}, "gateway: 192.1.2.1 is not inside 192.1.1.0/24"),
        ({"gateway": "192.1.1.18"}, "gateway: is the address of the device itself"),
        ({"gateway": "192.1.1.255"}, "gateway: 192.1.1.255 is the broadcast address"),
        ({"ipaddress": "192.1.1.0"}, "ipaddress: 192.1.1.0 is the address of the network itself"),
        ({"ipaddress": "192.1.1.255"}, "ipaddress: 192.1.1.255 is the broadcast address"),
        ({"ipaddress": "127.0.0.5", "network": "127.0.0.0"}, "ipaddress: 127.0.0.5 is not the"),
        ({"ipaddress": "224.0.0.5", "network": "224.0.0.0"}, "ipaddress: 224.0.0.5 is not the"),
        ({"ipaddress": "0.0.0.5", "network": "0.0.0.0"}, "ipaddress: 0.0.0.5 is not the"),
        ({"nameserver2": "239.0.0.1"}, "nameserver2: 239.0.0.1 is not the address of a host"),
        ({"nameserver1": "255.255.255.255"}, "nameserver1: 255.255.255.255 is not the"),
        ({"state": "manual"}, "state: expected static or dhcp, found 'manual'"),
    ],
)
def test_settings_when_they_do_not_fit_then_one_sentence_says_why(values, problem: str):
    with pytest.raises(InvalidSettings) as raised:
        checked_settings(STATIC_VALUES | values)
    assert str(raised.value).startswith(problem)


def test_settings_when_two_hosts_only_then_both_addresses_count():
    values = {"netmask": "255.255.255.254", "network": "10.0.0.0"}
    settings = static_settings(ipaddress="10.0.0.1", gateway="10.0.0.0", **values)
    assert settings.prefix == 31


@given(st.ip_addresses(v=4), st.integers(1, 30), st.ip_addresses(v=4))
def test_settings_when_taken_then_address_and_gateway_are_hosts_of_the_network(
    address: ipaddress.IPv4Address, prefix: int, gateway: ipaddress.IPv4Address
):
    network = ipaddress.IPv4Network((int(address), prefix), strict=False)
    values = {
        "ipaddress": str(address),
        "netmask": str(network.netmask),
        "network": str(network.network_address),
        "gateway": str(gateway),
    }
    try:
        settings = static_settings(**values)
    except InvalidSettings:
        return
    assert settings.address in network
    assert settings.gateway in network
    assert not {settings.address, settings.gateway} & {network[0], network[-1]}
    assert settings.address != settings.gateway
    # RFC 6598: shared address space is neither, and as good as any behind a provider's NAT.
    shared = settings.address in ipaddress.ip_network("100.64.0.0/10")
    assert settings.address.is_global or settings.address.is_private or shared


@pytest.mark.parametrize("name", ["eth0", "eth0.10", "enp0s31f6", "br-lan", "wlx00c0ca"])
def test_interface_when_usual_then_taken(name: str):
    assert checked_interface(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "lo", "-a", "--all", "eth0 eth1", "/eth*", "eth0=x", "a" * 16, "eth0\n", "../x", "\xe9"],
)
def test_interface_when_it_means_something_else_to_ifup_then_refused(name: str):
    with pytest.raises(InvalidSettings):
        checked_interface(name)
