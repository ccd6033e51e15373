"""The path for records of fixed length and the careful one give the same columns.

The careful path is held against a few lines of Python that know nothing of numpy.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from appliance.decoding import templated
from appliance.decoding.records.scalar_records import ScalarRecords, scalar_records
from appliance.decoding.results import DecodeOptions
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.flows import COLUMN
from appliance.information_elements import elements
from tests.decoding.building import (
    V9,
    VARIABLE,
    Decoded,
    Exporter,
    a_set,
    decode,
    template,
    variable,
)
from tests.decoding.protocols import both

NO_EXPLAINING = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
KNOWN = sorted(element for enterprise, element in elements() if enterprise == 0)
USED = [
    1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24, 27, 28, 29, 30, 32,
    34, 48, 50, 56, 57, 58, 59, 60, 61, 62, 63, 80, 81, 85, 86, 89, 95, 136, 139, 148, 150, 151,
    152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 176, 177, 178, 179, 180, 181, 182, 183,
    225, 226, 227, 228, 230, 231, 232, 233, 234, 235, 252, 253, 281, 282, 298, 299, 302, 305, 306,
    309, 310, 311, 322, 323, 324, 325, 352, 40005,
]  # fmt: skip
ENTERPRISES = (0, 0, 0, 0, 29305, 9)

fields = st.tuples(
    st.sampled_from(USED) | st.sampled_from(KNOWN), st.integers(0, 20), st.sampled_from(ENTERPRISES)
)
layouts = st.lists(fields, min_size=1, max_size=14).filter(lambda f: sum(x[1] for x in f) > 0)


def _field(protocol: Exporter, element: int, length: int, enterprise: int) -> tuple[int, ...]:
    if protocol is V9:
        return element, length
    return (element % 32768, length, enterprise)


def _carefully(plan: DecodePlan, flat: Any, starts: Any, lengths: Any) -> Any:
    """Do what `fixed_records` does, record by record and field by field."""
    records, counts = [], []
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        body = memoryview(flat[start : start + length].tobytes())
        found, _ = scalar_records(plan, body, 1 << 20)
        records += found
        counts.append(len(found))
    return ScalarRecords(plan, records), np.array(counts, np.int64)


def _both_ways(*payloads: bytes, **given: Any) -> tuple[Decoded, Decoded]:
    quick = decode(*payloads, **given)
    with mock.patch.object(templated, "fixed_records", _carefully):
        return quick, decode(*payloads, **given)


@both
@settings(max_examples=100, deadline=None, phases=NO_EXPLAINING)
@given(layout=layouts, octets=st.binary(min_size=1, max_size=400), copies=st.integers(1, 3))
def test_records_of_fixed_length_when_read_either_way_then_the_same_columns(
    protocol: Exporter, layout: list[tuple[int, int, int]], octets: bytes, copies: int
) -> None:
    placed = [_field(protocol, *field) for field in layout]
    raw = tuple({(f[2] if len(f) > 2 else 0, f[0]) for f in placed})
    told = protocol.templates(template(300, *placed))
    bodies = [octets[: max(len(octets) - n, 0)] for n in range(copies)]
    sets = [a_set(300, body) for body in bodies]
    quick, careful = _both_ways(
        protocol.message(told, *sets), options=DecodeOptions(raw_elements=raw)
    )
    assert quick.rows == careful.rows
    assert quick.counts == careful.counts
    size = sum(length for _, length, *_ in placed)
    n_records = sum(len(body) // size for body in bodies)
    assert quick.counts["records"] >= n_records
    assert len([row for row in quick.rows if "reverse" not in row]) == n_records


@pytest.mark.parametrize("length", range(1, 21))
@both
@pytest.mark.parametrize("octet", [0x00, 0x01, 0x7F, 0xFF])
def test_every_element_when_of_this_length_then_read_either_way(
    protocol: Exporter, length: int, octet: int
) -> None:
    for at in range(0, len(USED), 30):
        part = [(element % 32768, length) for element in USED[at : at + 30]]
        data = a_set(300, bytes([octet]) * length * len(part) * 2)
        quick, careful = _both_ways(
            protocol.message(protocol.templates(template(300, *part)), data)
        )
        assert quick.rows == careful.rows
        assert quick.rows


@pytest.mark.parametrize("length", [1, 2, 3, 4, 8, 9, 16, 17])
@both
def test_every_element_when_by_itself_then_read_either_way(protocol: Exporter, length: int) -> None:
    for element in USED:
        layout = protocol.templates(template(300, (element % 32768, length)))
        octets = b"\xff" * length + bytes(length) + b"\x01" * length
        quick, careful = _both_ways(protocol.message(layout, a_set(300, octets)))
        assert quick.rows == careful.rows
        assert len(quick.rows) >= 3


@both
@settings(max_examples=100, deadline=None, phases=NO_EXPLAINING)
@given(layout=layouts, octets=st.binary(min_size=1, max_size=300))
def test_options_when_read_either_way_then_the_same_is_learned(
    protocol: Exporter, layout: list[tuple[int, int, int]], octets: bytes
) -> None:
    placed = [(element % 32768, length) for element, length, _ in layout]
    told = protocol.options_templates(protocol.options(400, placed[:1], placed[1:]))
    quick, careful = _both_ways(protocol.message(told, a_set(400, octets)))
    assert quick.options == careful.options
    for exporter, state in quick.states.exporters.items():
        other = careful.states.exporters[exporter]
        assert state.sampling_of == other.sampling_of
        assert {port: session.names for port, session in state.sessions.items()} == {
            port: session.names for port, session in other.sessions.items()
        }


values = st.binary(max_size=20) | st.binary(min_size=250, max_size=300)


@both
@settings(max_examples=120, deadline=None, phases=NO_EXPLAINING)
@given(data=st.data())
def test_records_of_variable_length_when_read_then_every_octet_in_its_place(
    protocol: Exporter, data: st.DataObject
) -> None:
    layout = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 2, 4, 7, 8, 12, 82, 95, 1, 7]),
                st.sampled_from([VARIABLE, VARIABLE, 0, 1, 2, 3, 4, 8, 16]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    # What a header has, several times, is a tunnel: which counts is another test's matter.
    layout = [f for place, f in enumerate(layout) if not _is_repeated(layout[:place], f[0])]
    if all(length != VARIABLE for _, length in layout):
        layout.append((82, VARIABLE))
    records = data.draw(
        st.lists(st.tuples(*(_value_of(length) for _, length in layout)), min_size=1, max_size=5)
    )
    long_form = data.draw(st.booleans())
    body = b"".join(
        variable(value, long_form) if length == VARIABLE else value
        for record in records
        for (_, length), value in zip(layout, record, strict=True)
    )
    raw = tuple((0, element) for element in {e for e, _ in layout})
    told = protocol.templates(template(300, *layout))
    found = decode(
        protocol.message(told, a_set(300, body)), options=DecodeOptions(raw_elements=raw)
    )
    expected = [_expected(layout, record) for record in records]
    names = {name for row in expected for name in row}
    assert [{name: row.get(name) for name in names} for row in found.rows] == [
        {name: row.get(name) for name in names} for row in expected
    ]
    assert not found.faults


def _is_repeated(before: list[tuple[int, int]], element: int) -> bool:
    return element in (4, 7, 8, 12) and element in {seen for seen, _ in before}


def _value_of(length: int) -> st.SearchStrategy[bytes]:
    return values if length == VARIABLE else st.binary(min_size=length, max_size=length)


COLUMNS = {
    1: ("octet_delta_count", 8),
    2: ("packet_delta_count", 8),
    4: ("protocol_identifier", 1),
    7: ("source_transport_port", 2),
}


def _expected(layout: list[tuple[int, int]], record: tuple[bytes, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for (element, length), value in zip(layout, record, strict=True):
        if not length or f"octets_0_{element}" in row:
            continue
        row[f"octets_0_{element}"] = value or None
        if element in COLUMNS:
            column, octets = COLUMNS[element]
            told = int.from_bytes(value[-8:][-octets:], "big")
            row[column] = None if told == COLUMN[column].absent else told
    return row
