"""Exports as IPFIX messages: what our decoders, tshark and libfixbuf read back."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import InvalidQueryError
from appliance.flowlog.exports import FlowExport
from appliance.flowlog.message_export import MAX_MESSAGE_OCTETS, fields_of
from appliance.flowlog.questions import DEFAULT_COLUMNS, FlowQuestion
from appliance.flowlog.search import FlowSearch
from appliance.flows import FlowBatch, address_halves
from appliance.traffic.captures import CaptureReader
from tests.decoding.building import RECEIVED_MS, decode
from tests.flowlog.conftest import Log

COLUMNS = (*DEFAULT_COLUMNS, "source_mac_address", "vlan_id", "flow_direction", "flow_id")
N = 5000


@pytest.fixture
def exported(log: Log, tmp_path: Path) -> Path:
    """Export flows of IPv4 and IPv6, of two exporters, in turns."""
    log.write([flows(N)])
    search = FlowSearch(log.directory)
    path = tmp_path / "flows.ipfix"
    export = FlowExport(search, FlowQuestion(limit=None, columns=COLUMNS), "ipfix")
    path.write_bytes(b"".join(export.pieces()))
    assert export.n_rows == N
    return path


def flows(n: int) -> FlowBatch:
    number = np.arange(n)
    is_v6 = number % 3 == 0
    v6, v4 = address_halves("2001:db8::1"), address_halves("10.1.2.3")
    exporter = address_halves("192.0.2.1")

    def halves(six: tuple[int, int], four: tuple[int, int]) -> list[np.ndarray]:
        return [np.where(is_v6, a, b).astype(np.uint64) for a, b in zip(six, four, strict=True)]

    source, destination = halves(v6, v4), halves(v6, v4)
    return FlowBatch(
        n,
        {
            "collection_time_milliseconds": np.full(n, RECEIVED_MS, np.int64),
            "exporter_address_hi": np.full(n, exporter[0], np.uint64),
            "exporter_address_lo": np.full(n, exporter[1], np.uint64),
            "flow_start_milliseconds": (RECEIVED_MS - 5000 + number).astype(np.int64),
            "flow_end_milliseconds": (RECEIVED_MS - 1000 + number).astype(np.int64),
            "source_address_hi": source[0],
            "source_address_lo": source[1],
            "destination_address_hi": destination[0],
            "destination_address_lo": destination[1],
            "source_transport_port": (number % 60_000).astype(np.uint16),
            "destination_transport_port": np.full(n, 443, np.uint16),
            "protocol_identifier": np.where(number % 5, 6, 255).astype(np.uint8),
            "octet_delta_count": (number + (1 << 40)).astype(np.uint64),
            "packet_delta_count": (number + 1).astype(np.uint64),
            "sampling_rate": np.where(number % 2, 100.0, 0.0),
            "ingress_interface": number.astype(np.uint32),
            "source_mac_address": np.full(n, 0x0200_0000_0001, np.uint64),
            "vlan_id": np.full(n, 7, np.uint16),
            "flow_id": number.astype(np.uint64),
        },
    )


def test_export_when_of_messages_then_our_decoders_read_every_value(exported: Path):
    payloads = [one.datagram.payload for one in CaptureReader(exported)]
    assert max(map(len, payloads)) <= MAX_MESSAGE_OCTETS
    decoded = decode(*payloads, one_by_one=True)
    assert not decoded.faults
    assert not decoded.exporter().counts["lost"]
    rows = sorted(decoded.rows, key=lambda row: row.get("flow_id", 0))
    assert len(rows) == N
    assert [row.get("ingress_interface", 0) for row in rows] == list(range(N))
    for number in (0, 1, 3, 5, N - 1):
        row = rows[number]
        assert row["source_address"] == ("2001:db8::1" if number % 3 == 0 else "10.1.2.3")
        assert row["octet_delta_count"] == number + (1 << 40)
        assert row["packet_delta_count"] == number + 1
        assert row["flow_start_milliseconds"] == RECEIVED_MS - 5000 + number
        assert row["flow_end_milliseconds"] == RECEIVED_MS - 1000 + number
        assert row.get("protocol_identifier") == (6 if number % 5 else None)
        assert row.get("sampling_rate", 0.0) == (100.0 if number % 2 else 0.0)
        assert row["source_mac_address"] == 0x0200_0000_0001


@pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark")
def test_export_when_tshark_reads_it_then_every_flow_and_nothing_malformed(
    exported: Path, tmp_path: Path
):
    fields = ("cflow.octets", "cflow.srcaddr", "cflow.srcaddrv6", "_ws.malformed")
    command = ["tshark", "-r", str(exported), "-T", "fields", "-E", "occurrence=a"]
    printed = subprocess.run(
        [*command, *(word for field in fields for word in ("-e", field))],
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    ).stdout
    found: Counter[str] = Counter()
    for line in printed.splitlines():
        octets, four, six, malformed = (line.split("\t") + [""] * 4)[:4]
        assert not malformed
        found["flows"] += len(octets.split(","))
        found["v4"] += four.count("10.1.2.3")
        found["v6"] += six.count("2001:db8::1")
    assert found == {"flows": N, "v4": N - (N + 2) // 3, "v6": (N + 2) // 3}


@pytest.mark.skipif(shutil.which("ipfixDump") is None, reason="no libfixbuf-tools")
def test_export_when_libfixbuf_reads_it_then_every_flow(exported: Path):
    printed = subprocess.run(
        ["ipfixDump", "--in", str(exported)], check=True, capture_output=True, text=True
    ).stdout
    assert printed.count("sourceTransportPort") >= N
    assert "2001:0db8:" in printed or "2001:db8::1" in printed


def test_export_when_nothing_matches_then_an_empty_file(
    log: Log, make_batch: Callable[..., FlowBatch]
):
    log.write([make_batch(3, 0)])
    question = FlowQuestion(since_ms=1, until_ms=2, limit=None)
    assert b"".join(FlowExport(FlowSearch(log.directory), question, "ipfix").pieces()) == b""


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("octet_delta_count", "reverse"), "ipfix has no element for reverse: name other columns"),
        (("application_id", "icmp_type_code"), "application_id, icmp_type_code"),
        ((), "more: name other columns"),
    ],
)
def test_export_when_ipfix_has_no_element_then_refused_at_once(
    log: Log, columns: tuple[str, ...], said: str
):
    with pytest.raises(InvalidQueryError, match=said):
        FlowExport(FlowSearch(log.directory), FlowQuestion(columns=columns), "ipfix")


def test_fields_when_of_the_usual_columns_then_each_has_its_element():
    assert [field.name for field in fields_of(DEFAULT_COLUMNS)] == list(DEFAULT_COLUMNS)
