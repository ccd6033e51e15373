"""Columns of plugins: filled, kept, asked for like ours; absent in older files; gone with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import Column, PluginHarness, StartupError
from appliance.collector.exporters import ExporterLimits, ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.decoding.messages.block import block_of
from appliance.flowlog import FlowSearch
from appliance.flowlog.questions import FlowQuestion
from appliance.flows import FlowBatch, set_plugin_columns
from appliance.plugins import ipfix, netflow_v9
from appliance.query.language.duckdb import parse_conditions
from tests.asking import top
from tests.decoding.building import IPFIX, RECEIVED_MS, V9, a_set, datagram, template
from tests.test_app import app_of, plugin

SITE = Column("site_number", np.dtype("u4"), doc="Of the building.")
OWNER = Column("owner", np.dtype("O"), absent="")
RISK = Column("risk", np.dtype("f8"), absent=0.0)
ICMP_TYPE = Column("icmp_type_ipv4", np.dtype("u1"), elements=(176,))


def of_enterprise(*elements: Any, dtype: str = "u4", absent: Any = 0) -> Column:
    return Column("site", np.dtype(dtype), absent=absent, enterprise_elements=elements)


@pytest.fixture(autouse=True)
def no_columns_afterwards() -> Iterator[None]:
    yield
    set_plugin_columns(())


def flows_of_sites(make_batch: Any, seed: int = 0) -> FlowBatch:
    owners = np.array(["ann", "", "bob"], object)
    risks = np.array([0.5, 0.0, 2.0])
    sites = np.array([7, 0, 9], "u4")
    return make_batch(3, seed, site_number=sites, owner=owners, risk=risks)


@pytest.mark.parametrize("merged", [False, True])
def test_columns_when_files_are_from_before_and_after_then_absent_and_there(
    log: Any, make_batch: Any, merged: bool
) -> None:
    log.write([make_batch(4, 1)])
    log.maintain()
    set_plugin_columns([SITE, OWNER, RISK])
    log.write([flows_of_sites(make_batch)], [flows_of_sites(make_batch, 2)])
    if merged:
        log.maintain(7_200_000)
        log.only_file()
    search = FlowSearch(log.directory)
    columns = ("site_number", "owner", "risk")
    answer = search.flows(FlowQuestion(columns=columns, order="time")).to_pylist()
    assert [row["site_number"] or 0 for row in answer].count(7) == 2
    assert sorted(row["owner"] for row in answer if row["owner"]) == ["ann", "ann", "bob", "bob"]
    assert [row["risk"] for row in answer].count(None) >= 4
    assert len(answer) == 10
    where = parse_conditions(["site_number=9"])
    (row,) = search.flows(FlowQuestion(columns=("owner",), conditions=where, limit=1)).to_pylist()
    assert row == {"owner": "bob"}
    groups = top(search, "site_number", order="flows")
    assert {row["site_number"]: row["flows"] for row in groups}[9] == 2
    (sums,) = search.sql("select sum(risk) as risk from records").to_pylist()
    assert sums == {"risk": 5.0}


@pytest.mark.parametrize("sealed", [False, True])
def test_columns_when_their_plugin_is_gone_then_all_else_is_read_and_joined(
    log: Any, make_batch: Any, records: Any, sealed: bool
) -> None:
    set_plugin_columns([SITE, OWNER, RISK])
    log.write([flows_of_sites(make_batch)], [flows_of_sites(make_batch, 2)])
    if sealed:
        log.maintain()
    set_plugin_columns(())
    before = records(log.read())
    assert len(before) == 6
    assert not any(batch.octets for batch in log.read())
    report = log.maintain(7_200_000)
    assert report.damaged == []
    assert records(log.read()) == before


def test_columns_when_an_element_is_named_then_decoders_fill_them() -> None:
    app = app_of(
        site=plugin(register_columns=[ICMP_TYPE]),
        v9=netflow_v9,
        ipfix=ipfix,
    )
    batches: list[FlowBatch] = []
    pipeline = Pipeline(app.decoders, ExporterStates(ExporterLimits()), batches)  # type: ignore[arg-type]
    for protocol in (V9, IPFIX):
        layout = protocol.templates(template(300, (1, 4), (176, 1)))
        message = protocol.message(layout, a_set(300, bytes((0, 0, 0, 9, 8))))
        pipeline.take(block_of([datagram(message)]), RECEIVED_MS)
    assert [batch.columns["icmp_type_ipv4"].tolist() for batch in batches] == [[8], [8]]
    assert not app.failures.total


def messages_of(*fields: tuple[int, ...], records: bytes) -> bytes:
    layout = IPFIX.templates(template(300, *fields))
    return IPFIX.message(layout, a_set(300, records))


def decoded_sites(column: Column, *messages: bytes) -> list[Any]:
    """Return the column of all records that decoders make of messages; None where it is absent."""
    app = app_of(site=plugin(register_columns=[column]), v9=netflow_v9, ipfix=ipfix)
    batches: list[FlowBatch] = []
    pipeline = Pipeline(app.decoders, ExporterStates(ExporterLimits()), batches)  # type: ignore[arg-type]
    for message in messages:
        pipeline.take(block_of([datagram(message)]), RECEIVED_MS)
    assert not app.failures.total
    return [value for batch in batches for value in batch.column("site").tolist()]


@pytest.mark.parametrize(
    ("length", "octets", "value"),
    [
        (4, b"\0\0\1\2", 258),
        (2, b"\1\2", 258),  # reduced size, RFC 7011 section 6.2
        (3, b"\0\1\2", 258),
        (8, b"\0\0\0\0\0\0\1\2", 258),
        (0xFFFF, b"\2\1\2", 258),
        (0xFFFF, b"\xff\0\2\1\2", 258),
        (0xFFFF, b"\0", 0),
    ],
)
def test_columns_when_an_enterprise_element_has_any_length_then_they_hold_its_number(
    length: int, octets: bytes, value: int
) -> None:
    message = messages_of((1, 4), (7, length, 9), records=b"\0\0\0\5" + octets)
    assert decoded_sites(of_enterprise((9, 7)), message) == [value]


def test_columns_when_another_enterprise_or_iana_has_the_number_then_they_stay_absent() -> None:
    other = messages_of((1, 4), (7, 2, 10), records=b"\0\0\0\5\1\2")
    iana = messages_of((1, 4), (7, 2), records=b"\0\0\0\5\1\2")
    assert decoded_sites(of_enterprise((9, 7)), other, iana) == [0, 0]


def test_columns_when_several_elements_are_there_then_the_most_wanted_fills_them() -> None:
    column = Column("site", np.dtype("u4"), elements=(176,), enterprise_elements=((9, 7), (8, 7)))
    fields = ((7, 1, 8), (7, 1, 9), (176, 1))
    messages = [
        messages_of((1, 4), *fields[:n], records=bytes((0, 0, 0, 5, 1, 2, 3)[: 4 + n]))
        for n in (1, 2, 3)
    ]
    assert decoded_sites(column, *messages) == [1, 2, 3]


def test_columns_when_v9_has_a_number_of_its_own_above_32767_then_it_fills_them() -> None:
    layout = V9.templates(template(300, (1, 4), (40005, 2)))
    message = V9.message(layout, a_set(300, bytes((0, 0, 0, 5, 1, 2))))
    assert decoded_sites(Column("site", np.dtype("u2"), elements=(40005,)), message) == [258]


@pytest.mark.parametrize(
    ("length", "octets", "text"),
    [
        (6, b"ann\0\0\0", "ann"),
        (0xFFFF, b"\3ann", "ann"),
        (0xFFFF, b"\0", ""),
        (0xFFFF, b"\xff\1\x2c" + b"x" * 300, "x" * 256),
        (0xFFFF, b"\2\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_columns_of_text_when_an_element_has_any_length_then_they_hold_it(
    length: int, octets: bytes, text: str
) -> None:
    column = of_enterprise((9, 8), dtype="O", absent="")
    message = messages_of((1, 4), (8, length, 9), records=b"\0\0\0\5" + octets)
    assert decoded_sites(column, message) == [text]


@pytest.mark.parametrize("dtype", ["u4", "O"])
@settings(max_examples=60, deadline=None)
@given(records=st.binary(min_size=1, max_size=80), length=st.sampled_from((1, 5, 16, 60, 0xFFFF)))
def test_columns_when_octets_are_hostile_then_values_or_nothing(
    dtype: str, records: bytes, length: int
) -> None:
    column = of_enterprise((9, 8), dtype=dtype, absent="" if dtype == "O" else 0)
    kind = str if dtype == "O" else int
    message = messages_of((1, 4), (8, length, 9), records=records)
    assert all(type(value) is kind for value in decoded_sites(column, message))


def test_columns_when_a_datagram_has_the_enterprise_element_then_flows_show_it(
    tmp_path: Path,
) -> None:
    owner = of_enterprise((9, 8), dtype="O", absent="")
    harness = PluginHarness(tmp_path, plugin(register_columns=[owner]))
    harness.receive(messages_of((1, 4), (8, 0xFFFF, 9), records=b"\0\0\0\5\3ann\0\0\0\6\0"))
    assert harness.flows("octet_delta_count", "site") == [(5, "ann"), (6, "")]
    search = FlowSearch(tmp_path / "flowlog")
    assert [(row["site"], row["octets"]) for row in top(search, "site")] == [("", 6), ("ann", 5)]


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (Column("Site", np.dtype("u4")), "expected a name of small letters"),
        (Column("octets_1_2", np.dtype("u4")), "such names are kept"),
        (Column("site_hi", np.dtype("u8")), "such names are kept"),
        (Column("site", np.dtype("u4"), absent="x"), "absent 'x' is none of its values"),
        (Column("site", np.dtype("f4"), absent=0.0), "expected dtype"),
        (Column("site", np.dtype(">u4")), "expected dtype"),
        (Column("site", np.dtype("O"), absent="", has_names=True), "expected whole numbers"),
        (Column("site", np.dtype("u4"), has_names=1), "bool"),  # type: ignore[arg-type]
        (Column("site", np.dtype("u8"), sums_kept=5), "sums are kept of flows by u1, u2 or u4"),
        (Column("site", np.dtype("u4"), absent=9, sums_kept=5), "absent 0"),
        (Column("site", np.dtype("u4"), sums_kept=-1), "sums of 1 to 100000 values, not -1"),
        (Column("site", np.dtype("u4"), elements=(0x10000,)), "elements of 16 bits, found 65536"),
        (Column("site", np.dtype("u4"), elements=((9, 1),)), "tuple"),  # type: ignore[arg-type]
        (of_enterprise((9, 32768)), "found \\(9, 32768\\)"),
        (of_enterprise((1 << 32, 1)), "expected pairs of an enterprise number"),
        (of_enterprise((0, 1)), "expected pairs of an enterprise number"),
        (of_enterprise((9,)), "expected pairs of an enterprise number"),
        (of_enterprise(9), "int"),
        ("site", "expected Column"),
        (Column("protocol_identifier", np.dtype("u1")), "both the appliance itself and site"),
        (Column("octets", np.dtype("u8")), "both the appliance itself and site"),
        (Column("source", np.dtype("u8")), "both the appliance itself and site"),
    ],
)
def test_columns_when_wrong_then_the_start_stops_and_names_the_plugin(
    column: object, problem: str
) -> None:
    with pytest.raises(StartupError, match=problem) as caught:
        app_of(site=plugin(register_columns=[column]))
    assert "site" in str(caught.value)


def test_columns_when_two_plugins_have_one_name_then_both_are_named() -> None:
    with pytest.raises(StartupError, match="column site_number: both first and second have it"):
        app_of(first=plugin(register_columns=[SITE]), second=plugin(register_columns=[SITE]))
