"""SNMP: what is read of devices, of honest ones and of others."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import appliance
from appliance.app import build_app, open_app
from appliance.contracts import ExporterRecord
from appliance.errors import SettingsError
from appliance.flows import set_plugin_columns
from appliance.interface_history import DeviceReading, InterfaceReading, interface_history
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins.names.snmp import client
from appliance.plugins.names.snmp.client import Limits, SnmpError, read_devices
from appliance.plugins.names.snmp.poller import SnmpPoller
from appliance.plugins.names.snmp.snmp_settings import (
    SETTINGS,
    Agent,
    Credentials,
    agent_of,
    is_configured,
)
from appliance.process_parts import gather_pollers
from appliance.settings.file import Settings, SettingsFile, sample_setting
from tests.snmp_agents import (
    COUNTER64,
    GET,
    IF_X,
    OCTETS,
    AgentServer,
    Answer,
    agent_settings,
    ber,
    device,
    honest,
    in_own_thread,
    read_request,
    response,
)

LIMITS = Limits(0.2, 20)
EXPORTER = "192.0.2.1"
ROUTER = {1: ("lo0", "", 0), 3: ("Gi0/1", "uplink Vienna", 1000), 70_000: ("Po1", "", 40_000)}
COUNTERS = {3: (1 << 63, (1 << 64) - 1)}


def settings_of(tmp_path: Path, **snmp: Any) -> Settings:
    file = SettingsFile(None, tmp_path, {"data_directory": str(tmp_path / "var"), "snmp": snmp})
    (tmp_path / "var").mkdir(exist_ok=True)
    return build_app(build_plugin_manager(entry_points=()), file).settings


def record(address: str) -> ExporterRecord:
    return ExporterRecord(1, address, "", "", 0.0, 0.0)


def read(server: AgentServer, limits: Limits = LIMITS) -> DeviceReading | SnmpError:
    agent = Agent(EXPORTER, "127.0.0.1", server.port, Credentials(community="public"))
    [(_, said)] = in_own_thread(lambda: asyncio.run(read_devices([agent], limits)))
    return said


def test_device_when_it_answers_then_names_speeds_and_counters_of_64_bits():
    with AgentServer(honest(device(ROUTER, COUNTERS, name="core1"))) as server:
        said = read(server)
    assert isinstance(said, DeviceReading)
    assert (said.exporter, said.name, said.uptime_ms) == (EXPORTER, "core1", 1_000_000)
    assert said.description == "a device of the tests"
    assert list(said.interfaces) == [
        InterfaceReading(1, "lo0", "", 0, 0, 0),
        InterfaceReading(3, "Gi0/1", "uplink Vienna", 10**9, 1 << 63, (1 << 64) - 1),
        InterfaceReading(70_000, "Po1", "", 40 * 10**9, 0, 0),
    ]


def test_device_when_it_has_more_rows_than_an_answer_then_all_are_read():
    many = {index: (f"Gi0/{index}", "", 1000) for index in range(1, 48)}
    with AgentServer(honest(device(many))) as server:
        said = read(server)
    assert isinstance(said, DeviceReading)
    assert [one.name for one in said.interfaces] == [name for name, _, _ in many.values()]


def test_device_when_the_community_is_another_then_it_is_silent():
    with AgentServer(honest(device(ROUTER), b"secret")) as server:
        said = read(server, Limits(0.05, 1))
    assert isinstance(said, SnmpError)
    assert "timeout" in str(said)


def test_device_when_a_column_is_missing_then_the_others_are_read():
    mib = device(ROUTER)
    for index in ROUTER:
        del mib.objects[*IF_X, 18, index]
    with AgentServer(honest(type(mib)(mib.objects))) as server:
        said = read(server)
    assert isinstance(said, DeviceReading)
    assert [(one.name, one.alias) for one in said.interfaces][1] == ("Gi0/1", "")


def after_the_system(lie: Callable[[bytes], Sequence[bytes]]) -> Answer:
    """Answer what is asked of the system group, then lie."""
    own = honest(device(ROUTER))
    return lambda datagram: own(datagram) if read_request(datagram)[2] == GET else lie(datagram)


def endless(datagram: bytes) -> list[bytes]:
    """Always the same row again."""
    oids = read_request(datagram)[5]
    row = [((*oid[:11], 5), ber(OCTETS, b"again")) for oid in oids]
    return [response(datagram, row * 10)]


def another_column(datagram: bytes) -> list[bytes]:
    return [response(datagram, [((1, 3, 6, 1, 2, 1, 1, 5, 0), ber(OCTETS, b"no"))] * 5)]


def nothing(datagram: bytes) -> list[bytes]:
    return [response(datagram, [])]


def huge_numbers(datagram: bytes) -> list[bytes]:
    oids = read_request(datagram)[5]
    value = ber(COUNTER64, b"\xff" * 40)
    return [response(datagram, [((*oid[:11], 7), value) for oid in oids])]


@pytest.mark.parametrize("lie", [endless, another_column])
def test_device_when_it_lies_about_rows_then_the_walk_ends(lie: Answer):
    with AgentServer(after_the_system(lie)) as server:
        said = read(server)
        assert server.requests < 10
    assert isinstance(said, DeviceReading)
    assert len(said.interfaces) <= 1


def test_device_when_an_answer_is_empty_then_an_error():
    with AgentServer(after_the_system(nothing)) as server:
        said = read(server)
    assert str(said) == "Empty SNMP response message"


def test_device_when_rows_do_not_end_then_a_bound_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "MAX_INTERFACES", 50)

    def growing(datagram: bytes) -> list[bytes]:
        oids = read_request(datagram)[5]
        starts = [oid[11] if len(oid) > 11 else 0 for oid in oids]
        rows = [
            ((*oid[:11], start + step), ber(OCTETS, b"x"))
            for step in range(1, 11)
            for oid, start in zip(oids, starts, strict=True)
        ]
        return [response(datagram, rows)]

    with AgentServer(after_the_system(growing)) as server:
        said = read(server)
    assert isinstance(said, DeviceReading)
    assert len(said.interfaces) == 50


def test_device_when_numbers_are_impossible_then_they_are_not_taken():
    with AgentServer(after_the_system(huge_numbers)) as server:
        said = read(server)
    if isinstance(said, DeviceReading):
        assert all(one.in_octets is None and not one.speed for one in said.interfaces)


def test_text_when_it_is_long_or_cannot_be_printed_then_one_short_line():
    rows = {1: ("a\n\x1b[31mb\tc", "x" * 1000, 0)}
    with AgentServer(honest(device(rows, name="\x00 r1 \u202e"))) as server:
        said = read(server)
    assert isinstance(said, DeviceReading)
    assert said.name == "r1"
    assert said.interfaces[0].name == "a [31mb c"
    assert said.interfaces[0].alias == "x" * 256


def test_device_when_it_takes_too_long_then_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "DEVICE_SECONDS", 0.1)
    with AgentServer(lambda datagram: []) as server:
        said = read(server, Limits(5, 1))
    assert str(said) == "took longer than 0 s"


@settings(max_examples=20, deadline=None)
@given(place=st.integers(0, 1 << 16), octet=st.integers(0, 255), n_cut=st.integers(0, 40))
def test_device_when_its_octets_are_damaged_then_an_error_or_a_reading(
    place: int, octet: int, n_cut: int
):
    own = honest(device(ROUTER, COUNTERS))

    def damaged(datagram: bytes) -> list[bytes]:
        octets = bytearray(own(datagram)[0])
        octets[place % len(octets)] = octet
        return [bytes(octets[: len(octets) - n_cut * (place % 2)])]

    with AgentServer(damaged) as server:
        said = read(server, Limits(0.01, 1))
    assert isinstance(said, DeviceReading | SnmpError)


def test_poller_when_some_are_silent_then_the_others_are_kept_and_both_are_reported(
    tmp_path: Path,
):
    with AgentServer(honest(device(ROUTER, COUNTERS, name="core1"))) as server:
        exporters = {
            EXPORTER: agent_settings(server),
            "192.0.2.2": agent_settings(server, community="wrong"),
            "192.0.2.3": "off",
        }
        own = settings_of(tmp_path, exporters=exporters, timeout="50ms")
        poller = SnmpPoller(own)
        assert poller.interval_seconds == 300
        addresses = (EXPORTER, "192.0.2.2", "192.0.2.3", "192.0.2.4")
        records = [record(address) for address in addresses]
        report = in_own_thread(lambda: poller.poll(records, 1_800_000_000.0))
    assert report.answered == 1
    assert report.silent == ["192.0.2.2"]
    assert report.warnings == ["192.0.2.2 at 127.0.0.1: No SNMP response received before timeout"]
    history = interface_history(own)
    assert history.device_names() == {EXPORTER: "core1"}
    assert history.interfaces_of(EXPORTER) == [1, 3, 70_000]


def test_pollers_when_no_credentials_are_set_then_there_are_none(tmp_path: Path):
    manager = build_plugin_manager(entry_points=())
    app = build_app(manager, SettingsFile(None, tmp_path, {}))
    assert gather_pollers(app) == ()
    app = build_app(manager, SettingsFile(None, tmp_path, {"snmp": {"community": "public"}}))
    assert [poller.name for poller in gather_pollers(app)] == ["SNMP"]


def test_settings_when_they_hold_secrets_then_nobody_sees_them():
    types = {setting.name: setting.type for setting in SETTINGS}
    secret = "topsecret"
    for name in ("community", "auth_key", "privacy_key"):
        assert sample_setting(types[f"snmp.{name}"], secret) == '"***"'
    raw = {"192.0.2.1": {"community": secret, "port": "1"}, "192.0.2.2": secret}
    text = sample_setting(types["snmp.exporters"], raw)
    assert secret not in text
    assert "port: 1" in text
    assert secret not in sample_setting(types["snmp.exporters"], [secret])


def test_settings_when_an_exporter_differs_then_its_own_count(tmp_path: Path):
    other = {"version": "3", "user": "reader", "auth_key": "password1", "port": "1161"}
    own = settings_of(
        tmp_path, community="public", exporters={"192.0.2.0/28": other, "192.0.2.0/24": "off"}
    )
    first = agent_of("192.0.2.1", own)
    assert first is not None
    assert (first.port, first.credentials.version, first.credentials.user) == (1161, "3", "reader")
    assert agent_of("192.0.2.99", own) is None
    usual = agent_of("10.1.2.3", own)
    assert usual == Agent("10.1.2.3", "10.1.2.3", 161, Credentials(community="public"))
    # Who sends flows from anywhere must not be sent the community.
    assert agent_of("198.51.100.1", own) is None
    assert is_configured(own)


@pytest.mark.parametrize(
    "values",
    [
        {"auth_key": "short"},
        {"version": "1"},
        {"exporters": {"192.0.2.1": {"comunity": "x"}}},
        {"exporters": {"192.0.2.1": {"address": "router1"}}},
        {"exporters": {"nonsense": {}}},
    ],
)
def test_settings_when_a_value_does_not_fit_then_refused_without_the_secret(
    tmp_path: Path, values: dict[str, Any]
):
    with pytest.raises(SettingsError, match=r"snmp\.") as caught:
        settings_of(tmp_path, **values)
    assert "short" not in str(caught.value)


def test_setting_when_written_as_in_the_manual_then_read(conf: Callable[[str], Path]) -> None:
    manual = (Path(appliance.__file__).parent / "manual" / "exporters.md").read_text()
    (block,) = re.findall(r"^    snmp:\n(?:     .*\n)+", manual, re.MULTILINE)
    found = open_app(conf(textwrap.dedent(block))).settings
    asked, other, silent = (agent_of(f"192.0.2.{last}", found) for last in (7, 1, 9))
    assert asked is not None
    assert other is not None
    assert (asked.credentials.version, other.credentials.version) == ("2c", "3")
    assert silent is None
    set_plugin_columns(())
