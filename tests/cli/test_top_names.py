"""`appliance top`: names that exporters send in options records, each in its session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from tests.decoding.building import EXPORTER, RECEIVED_MS, Datagram, Exporter, datagram, decode
from tests.decoding.building import number as octets_of_number
from tests.decoding.protocols import Field, both, one_option, one_record

Top = Callable[..., list[dict[str, Any]]]
OTHER = "192.0.2.11"


def field(element: int, value: int | str, octets: int = 4) -> Field:
    if isinstance(value, str):
        return element, value.encode()
    return element, octets_of_number(value, octets)


def options(
    protocol: Exporter, *fields: Field, exporter: str = EXPORTER, port: int = 2000, at: int = 0
) -> Datagram:
    """Lay an options record of a session, sent some seconds after the first."""
    message = protocol.message(one_option(protocol, *fields))
    return datagram(message, exporter, port, RECEIVED_MS + at * 1000)


def flow(
    protocol: Exporter, *fields: Field, exporter: str = EXPORTER, port: int = 2000, octets: int = 1
) -> Datagram:
    record = one_record(protocol, (8, b"\x0a\0\0\1"), field(1, octets), *fields)
    return datagram(protocol.message(record), exporter, port)


@pytest.fixture
def top(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Top]:
    """Store what datagrams hold; return what asks for the rows of a dimension."""

    def stored(*datagrams: Datagram) -> Top:
        writer = FlowLogWriter(tmp_path / "log", FlowLogLimits(minimum_free_octets=0))
        writer.start()
        for one in datagrams:
            for batch in decode(one).batches:
                writer.append(batch)
        writer.flush({}, 1)
        writer.close(1)

        def rows(*words: str) -> list[dict[str, Any]]:
            given = ["top", *words, "--directory", str(tmp_path / "log"), "--format", "json"]
            assert run_command_line(group, given) == 0
            return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

        return rows

    return stored


@both
def test_top_when_options_records_name_vrfs_then_each_exporter_has_its_own(
    protocol: Exporter, top: Callable[..., Top]
) -> None:
    rows = top(
        options(protocol, field(234, 7), field(236, "red\0\0")),
        options(protocol, field(234, 7), field(236, "blue"), exporter=OTHER),
        options(protocol, field(235, 8), field(236, "green")),
        flow(protocol, field(234, 7), field(235, 8), octets=100),
        flow(protocol, field(234, 7), exporter=OTHER, octets=10),
    )
    both_sides = [(row["exporter_address"], row["vrf_id"], row["vrf_name"]) for row in rows("vrf")]
    assert both_sides == [(EXPORTER, 7, "red"), (EXPORTER, 8, "green"), (OTHER, 7, "blue")]
    first, second = rows("ingress_vrf", "egress_vrf")
    assert (first["vrf_name"], first["egress_vrf_name"]) == ("red", "green")
    assert second["vrf_name"] == "blue"
    assert [row["octets"] for row in rows("protocol", 'in vrf "RED"')] == [100]
    assert [row["octets"] for row in rows("protocol", "vrf green or vrf blue")] == [110]


@both
def test_top_when_sessions_of_an_address_differ_then_the_row_shows_each_name(
    protocol: Exporter, top: Callable[..., Top]
) -> None:
    told = [
        options(protocol, field(10, 1), field(82, name), port=port, at=at)
        for at in (0, 60)
        for port, name in ((2000, "eth0"), (2001, "wan0"))
    ]
    sent = [flow(protocol, field(10, 1), port=port) for port in (2000, 2001)]
    (row,) = top(*told, *sent)("interface")
    assert sorted(row["interface_name"].split(" / ")) == ["eth0", "wan0"]


@both
def test_top_when_an_exporter_restarts_with_another_name_then_the_new_one(
    protocol: Exporter, top: Callable[..., Top]
) -> None:
    rows = top(
        options(protocol, field(10, 1), field(82, "old"), port=2000, at=0),
        options(protocol, field(10, 1), field(82, "old"), port=2000, at=60),
        options(protocol, field(10, 1), field(82, "new"), port=2001, at=120),
        flow(protocol, field(10, 1), port=2001),
    )
    assert [row["interface_name"] for row in rows("ingress_interface")] == ["new"]


@both
def test_top_when_exporters_differ_on_an_application_then_each_beside_it_has_its_own(
    protocol: Exporter, top: Callable[..., Top]
) -> None:
    names = {f"192.0.2.{n}": f"app {n}" for n in range(1, 6)}
    sent = []
    for n, (exporter, name) in enumerate(names.items()):
        of_it = {"exporter": exporter}
        sent.append(options(protocol, field(95, 6 << 24 | 1), field(96, name), at=n, **of_it))
        sent.append(flow(protocol, field(95, 6 << 24 | 1), **of_it))
    rows = top(*sent)
    by_both = rows("exporter", "application")
    assert {row["exporter_address"]: row["application_name"] for row in by_both} == names
    (row,) = rows("application")
    assert row["application_name"] == "app 5 / app 4 / app 3 / …"
