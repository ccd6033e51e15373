"""Capture files: every common form gives the same datagrams; a hostile one at worst a sentence."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import CaptureError
from appliance.flows import address_halves, address_text
from appliance.traffic import packets
from appliance.traffic.captures import LATEST_MS, CaptureReader
from tests.traffic.building import (
    Read,
    block,
    enhanced,
    ethernet,
    fragments,
    interface,
    ipv4,
    ipv6,
    option,
    payloads,
    pcap,
    read_capture,
    section,
    udp,
)

CORPUS = Path(__file__).parents[1] / "data"
FRAME = ethernet(ipv4(udp(b"flow")))
SECONDS = 1_700_000_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "units"), [(0xA1B2C3D4, 123_456), (0xA1B23C4D, 123_456_789)], ids=["micro", "nano"]
)
def test_read_when_pcap_has_either_order_and_resolution_then_time_and_ends_are_right(
    read: Read, order: str, magic: int, units: int
) -> None:
    [captured], reader = read(pcap(FRAME, order=order, magic=magic, units=units))
    datagram = captured.datagram
    assert datagram.payload == b"flow"
    assert datagram.received_ms == SECONDS * 1000 + 123
    assert address_text(datagram.address_hi, datagram.address_lo) == "192.0.2.10"
    assert datagram.port == 40000
    assert address_text(captured.destination_hi, captured.destination_lo) == "192.0.2.1"
    assert captured.destination_port == 2055
    assert (reader.packets, reader.datagrams, reader.warnings) == (1, 1, [])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "units"),
    [
        (b"", SECONDS * 10**6 + 123_456),
        (bytes(4) + option(9, b"\3"), SECONDS * 10**6 + 123_456),
        (option(9, b"\3"), SECONDS * 10**3 + 123),
        (option(9, b"\x09"), SECONDS * 10**9 + 123_456_789),
        (option(9, b"\x8a"), SECONDS * 1024 + 126),
    ],
    ids=["default", "behind the end", "milli", "nano", "binary"],
)
def test_read_when_pcapng_interface_has_a_resolution_then_time_is_right(
    read: Read, order: str, options: bytes, units: int
) -> None:
    if options[:1] == b"\x09" and order == ">":
        options = option(9, options[4:5], ">")
    octets = section(order) + interface(options=options, order=order)
    [captured], _ = read(octets + enhanced(FRAME, units, order=order))
    assert captured.datagram.received_ms == SECONDS * 1000 + 123
    assert captured.datagram.payload == b"flow"


@pytest.mark.parametrize(
    ("shift", "time_ms"), [(-60, SECONDS * 1000 - 60_000), (-(2**62), 0), (2**62, LATEST_MS)]
)
def test_read_when_pcapng_shifts_its_times_then_they_stay_in_range(
    read: Read, shift: int, time_ms: int
) -> None:
    options = option(9, b"\0") + option(14, struct.pack("<q", shift)) + bytes(4)
    [captured], _ = read(section() + interface(options=options) + enhanced(FRAME, SECONDS))
    assert captured.datagram.received_ms == time_ms


def test_read_when_pcapng_has_other_blocks_and_sections_then_all_packets_are_found(
    read: Read,
) -> None:
    raw = ipv4(udp(b"raw"))
    simple = block(3, struct.pack("<I", len(raw)) + raw)
    obsolete = block(2, struct.pack("<HHIIII", 1, 5, 0, 5_000_000, len(FRAME), len(FRAME)) + FRAME)
    octets = (
        section()
        + block(0xBAD, bytes(70_000))
        + interface(101)
        + interface(1)
        + enhanced(FRAME, 7_000_000, 1)
        + simple
        + obsolete
        + section(">")
        + interface(1, order=">")
        + enhanced(FRAME, 9_000_000, order=">")
    )
    found, reader = read(octets)
    assert payloads(found) == [b"flow", b"raw", b"flow", b"flow"]
    assert [captured.datagram.received_ms for captured in found] == [7000, 7000, 5000, 9000]
    assert reader.warnings == []


@pytest.mark.parametrize("snap", [0, 64])
def test_read_when_simple_packet_is_cut_then_counted(read: Read, snap: int) -> None:
    raw = ipv4(udp(bytes(100)))
    simple = block(3, struct.pack("<I", len(raw)) + raw[:64])
    _, reader = read(section() + interface(101, snap=snap) + simple)
    assert reader.skipped == {packets.CUT_SHORT: 1}
    assert reader.warnings == []


V6 = ipv6(udp(b"flow"))
V4 = ipv4(udp(b"flow"))
PAYLOAD = bytes(i % 251 for i in range(9000))


def test_read_when_file_is_gzipped_then_the_same_is_read(read: Read) -> None:
    found, _ = read(gzip.compress(pcap(FRAME, FRAME)))
    assert payloads(found) == [b"flow"] * 2


def test_read_when_ports_are_named_then_only_those(read: Read, tmp_path: Path) -> None:
    octets = pcap(*[ethernet(ipv4(udp(b"%d" % port, 1, port))) for port in (53, 2055, 4739)])
    found, reader = read(octets, {2055, 4739})
    assert payloads(found) == [b"2055", b"4739"]
    assert reader.skipped == {packets.OTHER_PORT: 1}
    every = list(read_capture(tmp_path / "capture"))
    assert [datagram.payload for datagram in every] == [b"53", b"2055", b"4739"]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_read_when_file_ends_anywhere_then_whole_packets_and_a_warning(
    read: Read, form: str, packed: bool
) -> None:
    head = pcap() if form == "pcap" else section() + interface()
    packet = pcap(FRAME)[24:] if form == "pcap" else enhanced(FRAME, 1)
    whole = head + packet + packet
    for end in range(len(head) + 1, len(whole)):
        octets = gzip.compress(whole[:end], 1) if packed else whole[:end]
        found, reader = read(octets)
        boundary = (end - len(head)) % len(packet) == 0
        # The last four octets of a pcapng block repeat its length: the packet before them is whole.
        least = (end - len(head)) // len(packet)
        assert least <= len(found) <= least + (form == "pcapng")
        assert len(reader.warnings) == (0 if boundary else 1)
    assert "ends early" in reader.warnings[0]


def test_read_when_gzip_ends_early_then_warning(read: Read) -> None:
    octets = gzip.compress(pcap(*[FRAME] * 5000))
    found, reader = read(octets[:-20])
    assert 0 < len(found) < 5000
    assert "ends early" in reader.warnings[0]


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (b"", "empty file"),
        (
            b"GIF89a and so on",
            "expected a pcap, pcapng or IPFIX file, found other octets",
        ),
        (pcap() + struct.pack("<IIII", 0, 0, 1 << 30, 0), "packet of 1073741824 octets, at most"),
        (section() + enhanced(FRAME, 1), "packet of interface 0, 0 are described"),
        (section() + struct.pack("<II", 5, 13) + bytes(20), "block of 13 octets, expected a mult"),
        (section() + block(6, bytes(4)), "block of 16 octets, expected at least 32"),
        (section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9)), "room for 0"),
        (section()[:8] + bytes(20), "section header without byte-order magic"),
        (section()[:4] + struct.pack("<I", 12) + section()[8:], "section header shorter than 28"),
        (section() + block(1, bytes(70_000)), "interface description of 70000 octets"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 100, "cannot be read"),
        (b"\x1f\x8b\x09\x00" + b"\xff" * 100, "cannot be read"),
    ],
)
def test_read_when_file_is_damaged_then_one_sentence(
    read: Read, tmp_path: Path, octets: bytes, problem: str
) -> None:
    with pytest.raises(CaptureError) as caught:
        read(octets)
    assert str(caught.value).startswith(f"{tmp_path / 'capture'}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_when_file_is_absent_or_a_directory_then_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such file"):
        list(CaptureReader(tmp_path / "absent"))
    with pytest.raises(CaptureError, match="is a directory"):
        list(CaptureReader(tmp_path))


def test_read_when_interfaces_flood_then_bounded(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.traffic.captures.MAX_INTERFACES", 10)
    with pytest.raises(CaptureError, match="too many"):
        read(section() + interface() * 11)


WELL_FORMED = [
    pcap(FRAME, *fragments(udp(PAYLOAD[:3000]), 1480), order=">"),
    section()
    + interface(options=option(9, b"\x09") + option(14, bytes(8)))
    + interface(101)
    + enhanced(FRAME, 1 << 60)
    + enhanced(V6, 5, 1)
    + block(3, struct.pack("<I", len(FRAME)) + FRAME)
    + block(2, struct.pack("<HHIIII", 1, 0, 0, 5, len(V4), len(V4)) + V4),
]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_read_when_octets_are_hostile_then_datagrams_or_capture_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    octets = bytearray(data.draw(st.sampled_from(WELL_FORMED)))
    position = st.integers(0, len(octets) - 1)
    for at, value in data.draw(st.lists(st.tuples(position, st.integers(0, 255)), max_size=8)):
        octets[at] = value
    octets = octets[: data.draw(st.integers(0, len(octets)))] + data.draw(st.binary(max_size=64))
    path = tmp_path / "hostile"
    path.write_bytes(octets)
    reader = CaptureReader(path)
    try:
        for captured in reader:
            datagram = captured.datagram
            assert len(datagram.payload) <= 65527
            assert 0 <= datagram.received_ms <= LATEST_MS
            assert 0 <= datagram.address_hi < 1 << 64 > datagram.address_lo >= 0
    except CaptureError:
        pass
    assert reader.datagrams <= reader.packets


CAPTURES = sorted(p for p in CORPUS.rglob("*.pcap") if p.with_suffix(".json").exists())


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_read_when_corpus_capture_then_its_truth_file_agrees(path: Path) -> None:
    truth = json.loads(path.with_suffix(".json").read_text())["datagrams"]
    found = list(CaptureReader(path))
    assert len(found) == len(truth)
    for captured, expected in zip(found, truth, strict=True):
        datagram = captured.datagram
        halves = (datagram.address_hi, datagram.address_lo)
        assert halves == address_halves(expected["exporter"])
        assert datagram.port == expected["sourcePort"]
        assert captured.destination_port == expected["destinationPort"]
        assert len(datagram.payload) == expected["payloadLength"]
        assert abs(datagram.received_ms - expected["captureTime"] * 1000) <= 1


@pytest.mark.skipif(not shutil.which("editcap"), reason="editcap (wireshark-common) is missing")
@pytest.mark.parametrize("form", ["pcapng", "nsecpcap", "pcap"])
def test_read_when_wireshark_rewrites_the_file_then_the_same_datagrams(
    read: Read, tmp_path: Path, form: str
) -> None:
    mixed = [FRAME, ethernet(V6), *map(ethernet, fragments(udp(PAYLOAD), 1480))]
    before, _ = read(pcap(*mixed))
    target = tmp_path / form
    subprocess.run(["editcap", "-F", form, tmp_path / "capture", target], check=True)
    assert list(CaptureReader(target)) == before
