"""Headers that keep who sent a datagram first, compared with RFC 768 word by word."""

from __future__ import annotations

import socket

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.flows import address_halves
from appliance.plugins.replicate.original_source import OriginalSource, padded_stride
from appliance.settings.types import ListenAddress


def test_can_keep_when_an_address_means_nothing_elsewhere_then_not() -> None:
    exporters = ["127.0.0.1", "192.0.2.1", "::1", "fe80::1", "2001:db8::1"]
    hi, lo = np.array([address_halves(text) for text in exporters], np.uint64).T
    of = {
        host: OriginalSource(ListenAddress(host, 2055)).can_keep(hi, lo).tolist()
        for host in ("192.0.2.9", "127.0.0.1", "2001:db8::9", "::1")
    }
    assert of == {
        "192.0.2.9": [False, True, False, False, False],
        "127.0.0.1": [True, True, False, False, False],
        "2001:db8::9": [False, False, False, False, True],
        "::1": [False, False, True, True, True],
    }


def reference_checksum(source: bytes, target: bytes, udp: bytes) -> int:
    """RFC 768, word by word."""
    pseudo = source + target + len(udp).to_bytes(4) + (17).to_bytes(4)
    octets = pseudo + udp + b"\0" * (len(udp) % 2)
    total = sum(int.from_bytes(octets[at : at + 2]) for at in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF) or 0xFFFF


@given(
    payloads=st.lists(st.binary(max_size=40), min_size=1, max_size=12),
    port=st.integers(0, 65535),
    target=st.sampled_from(["192.0.2.9", "2001:db8::9"]),
)
def test_headers_when_datagrams_are_anything_then_checksums_are_those_of_rfc_768(
    payloads: list[bytes], port: int, target: str
) -> None:
    exporter = "198.51.100.255" if "." in target else "2001:db8:ffff::ffff"
    lengths = np.array([len(p) for p in payloads])
    # What stands behind a datagram is of an earlier one.
    octets = np.full((len(payloads), padded_stride(int(lengths.max()))), 0xAA, np.uint8)
    for row, payload in enumerate(payloads):
        octets[row, : len(payload)] = np.frombuffer(payload, np.uint8)
    n = len(payloads)
    hi, lo = (np.full(n, half, np.uint64) for half in address_halves(exporter))
    source = OriginalSource(ListenAddress(target, 2055))
    rows = source.headers(octets, lengths, (hi, lo, np.full(n, port, np.uint16)))
    family = socket.AF_INET if "." in target else socket.AF_INET6
    addresses = (socket.inet_pton(family, exporter), socket.inet_pton(family, target))
    for row, payload in zip(rows, payloads, strict=True):
        udp = row.tobytes()[-8:]
        assert udp[:6] == port.to_bytes(2) + (2055).to_bytes(2) + (8 + len(payload)).to_bytes(2)
        assert b"".join(addresses) in row.tobytes()
        expected = reference_checksum(*addresses, udp[:6] + b"\0\0" + payload)
        assert int.from_bytes(udp[6:]) == expected
