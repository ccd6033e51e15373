"""Tables for people: what fits a terminal, numbers in units, and texts that exporters chose."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.tables import Column, align_columns, fit, flows_table, human_number, printable
from appliance.cli.top_tables import top_table
from appliance.flowlog.questions import DEFAULT_COLUMNS
from appliance.query.question import Question, TopAnswer

NOW = datetime(2026, 1, 31, 12, 0, 0)
FLOW = {
    "collection_time_milliseconds": datetime(2026, 1, 31, 8, 0, 1),
    "exporter_address": "192.0.2.1",
    "flow_start_milliseconds": datetime(2026, 1, 31, 7, 59, 58),
    "flow_end_milliseconds": datetime(2026, 1, 31, 8, 0, 0, 500_000),
    "protocol_identifier": 6,
    "source_address": "10.0.0.1",
    "source_transport_port": 40000,
    "destination_address": "2001:db8::1",
    "destination_transport_port": 443,
    "octet_delta_count": 1234567,
    "packet_delta_count": 1000,
    "sampling_rate": None,
    "ingress_interface": 3,
    "egress_interface": None,
}


def shown(width: int, **changes: Any) -> list[str]:
    row = FLOW | changes
    assert tuple(row) == DEFAULT_COLUMNS
    table = pa.table({name: [value] for name, value in row.items()})
    return [
        line.replace("\x1b[1m", "").replace("\x1b[0m", "")
        for line in flows_table(table, width, NOW).splitlines()
    ]


def test_flows_when_the_terminal_is_wide_then_all_with_short_times() -> None:
    assert shown(120) == [
        "time UTC  duration  exporter   in>out  proto  source          destination"
        "        packets   octets",
        "08:00:01     2.5 s  192.0.2.1  3>-     tcp    10.0.0.1:40000  [2001:db8::1]:443"
        "     1000  1234567",
    ]


def test_flows_when_the_terminal_is_narrow_then_whole_columns_go_and_it_says_so() -> None:
    heading, row, more = shown(70)
    assert heading == "time UTC  proto  source          destination        packets   octets"
    assert row == "08:00:01  tcp    10.0.0.1:40000  [2001:db8::1]:443     1000  1234567"
    assert more == "left out to fit: duration, exporter, in>out (--wide shows all)"
    # What stays is never cut.
    assert shown(1)[1] == "08:00:01  10.0.0.1:40000  [2001:db8::1]:443  1234567"


def test_flows_when_sampled_or_of_another_day_then_rate_and_date() -> None:
    heading, row = shown(130, sampling_rate=100.0, source_transport_port=None)
    assert heading.endswith("octets  sampling")
    assert row.endswith("1234567     1:100")
    assert "  10.0.0.1  " in row
    row = shown(130, collection_time_milliseconds=datetime(2026, 1, 30, 8, 0, 1))[1]
    assert row.startswith("2026-01-30 08:00:01  ")


def test_top_when_a_description_does_not_fit_then_it_is_cut_before_it_goes() -> None:
    table = pa.table(
        {
            "exporter_address": ["192.0.2.1"],
            "interface": [7],
            "interface_name": ["ge-0/0/7"],
            "interface_description": ["to the provider in the cellar"],
            "octets": [5],
            "packets": [1],
            "flows": [1],
        }
    )
    top = TopAnswer(table, None, {"octets": 5, "packets": 1, "flows": 1})
    question = Question(("interface",))

    def first(width: int) -> str:
        text = top_table(top, question, width, raw_numbers=False, is_rate=False)
        return text.splitlines()[1]

    assert first(120).startswith("192.0.2.1          7  ge-0/0/7  to the provider in the cellar  ")
    assert first(80).startswith("192.0.2.1          7  ge-0/0/7  to the provider…  ")
    assert first(70).startswith("192.0.2.1          7  ge-0/0/7     5 B  100.0%")


@pytest.mark.parametrize(
    ("value", "plain", "octets"),
    [
        (0, "0", "0 B"),
        (999, "999", "999 B"),
        (1000, "1.0 k", "1.0 kB"),
        (999_949, "999.9 k", "999.9 kB"),
        (999_950, "1.0 M", "1.0 MB"),
        (2**64 - 1, "18.4 E", "18.4 EB"),
    ],
)
def test_number_when_scaled_then_decimal_with_one_digit(value, plain, octets) -> None:
    assert (human_number(value), human_number(value, "B")) == (plain, octets)


@given(text=st.text(max_size=30), width=st.integers(0, 60))
def test_table_when_texts_are_anything_then_lines_are_aligned_and_harmless(text, width) -> None:
    columns = [
        Column("a", (printable(text), "x"), rank=1, is_elastic=True),
        Column("b", ("1", "22"), True),
    ]
    lines = align_columns(fit(columns, width)).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert lines[1].endswith(" 1")
    assert lines[2].endswith("22")
