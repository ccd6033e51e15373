"""Countries and AS, from a datagram to answers: questions, filters, SQL, exports."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from appliance import PluginHarness, ipfix_message
from appliance.errors import InvalidQueryError
from appliance.flowlog.questions import FlowQuestion
from appliance.flowlog.search import FlowSearch
from appliance.flows import set_plugin_columns
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from tests.plugins.names.test_names import AS_RECORDS, COUNTRY_RECORDS, write

FLOWS = [("192.0.2.1", "203.0.113.1", 100), ("198.51.100.1", "192.0.2.1", 10), ("::", "::", 1)]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PluginHarness]:
    """An appliance with both databases that was sent three flows, one without a country."""
    files = {
        "as_database": str(write(tmp_path / "as.mmdb", AS_RECORDS)),
        "country_database": str(write(tmp_path / "country.mmdb", COUNTRY_RECORDS)),
    }
    made = PluginHarness(tmp_path / "var", ModuleType("nothing"), {"names": files})
    (enricher,) = made.app.enrichers
    enricher._enricher.follower.look()  # type: ignore[attr-defined]
    records = b"".join(
        socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(">I", octets)
        for source, destination, octets in FLOWS
        if ":" not in source
    )
    made.receive(ipfix_message([(8, 4), (12, 4), (1, 4)], records))
    made.receive(ipfix_message([(1, 4)], struct.pack(">I", 1)))
    yield made
    set_plugin_columns(())


@pytest.fixture
def search(harness: PluginHarness, tmp_path: Path) -> FlowSearch:
    return FlowSearch(tmp_path / "var" / "flowlog")


def test_flows_when_received_then_with_countries_and_as(harness: PluginHarness) -> None:
    names = ("octet_delta_count", "source_country", "destination_country", "bgp_source_as_number")
    assert harness.flows(*names) == [
        (1, None, None, None),
        (10, None, "DE", 0),
        (100, "DE", None, 3356),
    ]


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ("source_country", {"DE": 100, None: 11}),
        ("country", {"DE": 110}),
        ("as", {3356: 110}),
    ],
)
def test_top_when_by_country_or_as_then_summed(
    search: FlowSearch, dimension: str, expected: dict[object, int]
) -> None:
    rows = QueryEngine(search).top(Question((dimension,))).rows
    key = rows.schema.names[0]
    found = {row[key]: row["octets"] for row in rows.to_pylist()}
    assert {k: v for k, v in found.items() if k is not None} == {
        k: v for k, v in expected.items() if k is not None
    }


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("country DE", {100, 10}),
        ("src country de", {100}),
        ("dst country DE and as 3356", {10}),
        ("country in [AT, DE]", {100, 10}),
        ("not country DE", {1}),
        ("source_country=DE", {100}),
        ("country AT", set()),
    ],
)
def test_filter_when_it_names_a_country_then_its_flows(
    search: FlowSearch, text: str, octets: set[int]
) -> None:
    question = FlowQuestion(conditions=parse_conditions([text]), columns=("octet_delta_count",))
    assert set(search.flows(question)["octet_delta_count"].to_pylist()) == octets


@pytest.mark.parametrize("text", ["country Germany", "country 5", "country ÄÖ", "in country DE"])
def test_filter_when_a_country_is_none_then_one_sentence(search: FlowSearch, text: str) -> None:
    with pytest.raises(InvalidQueryError, match="expected"):
        parse_conditions([text])


def test_sql_when_it_reads_countries_then_letters(search: FlowSearch) -> None:
    table = search.sql("SELECT source_country, octets FROM flows WHERE source_country = 'DE'")
    assert table.to_pylist() == [{"source_country": "DE", "octets": 100}]
