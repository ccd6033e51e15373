"""Message headers and Sets of whole blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decoding.messages import headers as headers_module
from appliance.decoding.messages.block import DatagramBlock, block_of
from appliance.decoding.messages.headers import (
    MAX_SETS,
    Headers,
    Sets,
    ipfix_headers,
    v9_headers,
    versions,
    walk_sets,
)
from appliance.plugins.netflow_v5 import PROTOCOL as NETFLOW_V5
from tests.decoding.building import a_set, datagram, ipfix, v5, v5_record, v9


def block(*payloads: bytes) -> DatagramBlock:
    return block_of([datagram(payload) for payload in payloads])


def lists(headers: Headers, *names: str) -> list[list[int]]:
    return [getattr(headers, name).tolist() for name in names]


def test_block_when_rows_are_taken_then_payloads_stay() -> None:
    whole = block(b"a", b"bcd", b"")
    assert [whole.payload(row) for row in range(3)] == [b"a", b"bcd", b""]
    assert whole.take(np.array([2, 1])).payload(1) == b"bcd"
    assert whole.take(np.array([0])).octets.shape == (1, 1)
    assert whole.take(slice(1, 3)).payload(0) == b"bcd"
    assert len(block()) == 0


def test_versions_when_some_are_too_short_then_minus_one() -> None:
    assert versions(block(b"\0\x09x", b"\0", b"", b"\1\2")).tolist() == [9, -1, -1, 258]
    assert versions(block(b"\0", b"")).tolist() == [-1, -1]


def test_v5_header_when_sound_then_every_field() -> None:
    sent = v5(
        v5_record(), uptime=7, seconds=8, nanoseconds=9_000_000, sequence=1 << 31, engine=(1, 2)
    )
    headers = NETFLOW_V5.read_headers(block(sent))
    names = ("domain", "sequence", "export_ms", "uptime_ms", "end", "count")
    assert lists(headers, *names) == [[0x0102], [1 << 31], [8009], [7], [72], [1]]
    assert not headers.faults


@pytest.mark.parametrize(
    ("payload", "end", "reason"),
    [
        (v5(), 24, None),
        (v5(v5_record())[:23], 0, "header_cut"),
        (b"", 0, "header_cut"),
        (v5(v5_record(), count=2), 72, "count_too_large"),
        (v5(v5_record(), v5_record(), count=1), 72, None),
        (v5(v5_record())[:71], 24, "count_too_large"),
    ],
)
def test_v5_header_when_its_count_lies_then_the_records_present(
    payload: bytes, end: int, reason: str | None
) -> None:
    headers = NETFLOW_V5.read_headers(block(v5(), payload))
    assert headers.end.tolist() == [24, end]
    assert [(f.datagram, f.reason) for f in headers.faults] == ([(1, reason)] if reason else [])


def test_v9_header_when_sound_then_every_field() -> None:
    headers = v9_headers(block(v9(uptime=7, seconds=8, sequence=1 << 31, domain=1 << 30, count=3)))
    names = ("domain", "sequence", "export_ms", "uptime_ms", "end", "count")
    assert lists(headers, *names) == [[1 << 30], [1 << 31], [8000], [7], [20], [3]]


@pytest.mark.parametrize(
    ("length", "size", "end", "reason"),
    [
        (16, 16, 16, None),
        (16, 40, 16, None),
        (40, 40, 40, None),
        (41, 40, 0, "message_length"),
        (15, 40, 0, "message_length"),
        (0, 40, 0, "message_length"),
        (16, 15, 0, "header_cut"),
    ],
)
def test_ipfix_header_when_its_length_lies_then_refused(
    length: int, size: int, end: int, reason: str | None
) -> None:
    headers = ipfix_headers(block(ipfix(bytes(24), length=length, domain=5, sequence=6)[:size]))
    assert headers.end.tolist() == [end]
    assert [f.reason for f in headers.faults] == ([reason] if reason else [])
    assert lists(headers, "uptime_ms", "count") == [[0], [0]]


def walked(*payloads: bytes, zero_set_ends: bool = False) -> Sets:
    found = block(*payloads)
    return walk_sets(found, 20, found.lengths, zero_set_ends=zero_set_ends)


def rows(sets: Sets) -> list[tuple[int, ...]]:
    columns = (sets.datagram, sets.set_id, sets.offset, sets.length)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_sets_when_of_several_datagrams_then_in_the_order_of_arrival() -> None:
    sets = walked(v9(a_set(256, b"ab"), a_set(0, b"")), v9(), v9(a_set(7, b"xyz"), b"\1\2\3"))
    assert rows(sets) == [(0, 256, 24, 2), (0, 0, 30, 0), (2, 7, 24, 3)]
    assert not sets.faults


@pytest.mark.parametrize("length", [0, 1, 3, 7, 65535])
def test_sets_when_a_length_lies_then_those_before_and_a_fault(length: int) -> None:
    sets = walked(v9(a_set(256, b"ab"), a_set(257, b"xx", length)), v9(a_set(258, b"")))
    assert rows(sets) == [(0, 256, 24, 2), (1, 258, 24, 0)]
    assert [(f.datagram, f.reason) for f in sets.faults] == [(0, "set_length")]


def test_sets_when_zeros_follow_then_the_end_only_where_it_is_allowed() -> None:
    payload = v9(a_set(256, b"ab"), bytes(40))
    assert not walked(payload, zero_set_ends=True).faults
    assert [f.reason for f in walked(payload).faults] == ["set_length"]
    assert len(rows(walked(payload, zero_set_ends=True))) == 1


@pytest.mark.parametrize("n_datagrams", [1, 63, 64, 65, 100])
@pytest.mark.parametrize("n_sets", [1, 64, 65, MAX_SETS, MAX_SETS + 1])
def test_sets_when_there_are_too_many_then_the_same_number_of_each(
    n_datagrams: int, n_sets: int
) -> None:
    if n_datagrams * n_sets > 70_000:
        n_datagrams = 66
    sets = walked(*[v9(a_set(300, b"") * n_sets)] * n_datagrams)
    assert np.bincount(sets.datagram).tolist() == [min(n_sets, MAX_SETS)] * n_datagrams
    too_many = n_sets > MAX_SETS
    assert [f.reason for f in sets.faults] == ["too_many_sets"] * n_datagrams * too_many


pieces = st.lists(
    st.tuples(st.sampled_from([0, 2, 256, 300]), st.integers(0, 9), st.sampled_from([0] * 9 + [1]))
    | st.just((0, 0, -4)),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=8), st.booleans())
def test_sets_when_walked_together_or_alone_then_the_same(
    messages: list[list[tuple[int, int, int]]], zero_set_ends: bool
) -> None:
    payloads = [
        v9(*(a_set(number, bytes(n), n + 4 + lie) for number, n, lie in sets)) for sets in messages
    ]
    together = walked(*payloads, zero_set_ends=zero_set_ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headers_module, "_STEPS_TOGETHER", 1)
        alone = walked(*payloads, zero_set_ends=zero_set_ends)
    assert rows(together) == rows(alone)
    assert sorted(together.faults) == sorted(alone.faults)


@pytest.mark.parametrize("read", [NETFLOW_V5.read_headers, v9_headers, ipfix_headers])
def test_headers_when_the_block_is_narrower_than_they_then_refused(
    read: Callable[[DatagramBlock], Headers],
) -> None:
    headers = read(block(b"\0\5abc", b""))
    assert headers.end.tolist() == [0, 0]
    assert [f.reason for f in headers.faults] == ["header_cut"] * 2
