"""Time ranges and outputs: what people type, and what they get."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from appliance.cli.tables import wide_table
from appliance.errors import QueryError
from appliance.flowlog.output import answer_texts, write_answer
from appliance.flowlog.questions import LAST_MS
from appliance.flowlog.times import moment, span, time_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1763764200", 1_763_764_200_000),
        ("1763764200.5", 1_763_764_200_500),
        ("1763764200123", 1_763_764_200_123),
        ("2025-11-21T22:30:00Z", 1_763_764_200_000),
        ("2025-11-21T23:30:00+01:00", 1_763_764_200_000),
        ("2025-11-21 22:30:00.123+00:00", 1_763_764_200_123),
    ],
)
def test_moment_when_readable_then_milliseconds(text: str, expected: int) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01", "-5", "1e9", "٣"])
def test_moment_when_unreadable_then_says_what_was_expected(text: str) -> None:
    with pytest.raises(QueryError, match="ISO 8601"):
        moment(text)


def test_span_when_given_units_then_milliseconds() -> None:
    assert [span(t) for t in ("90s", "15m", "1h", "1.5d", "2w")] == [
        90_000, 900_000, 3_600_000, 129_600_000, 1_209_600_000,
    ]  # fmt: skip
    with pytest.raises(QueryError, match="no duration"):
        span("1y")


def test_range_when_given_in_parts_then_half_open_bounds() -> None:
    assert time_range(None, None, None, 10_000) == (0, LAST_MS)
    assert time_range("5s", None, None, 10_000) == (5_000, LAST_MS)
    assert time_range("5s", None, "8", 10_000) == (3_000, 8_000)
    with pytest.raises(QueryError, match="empty"):
        time_range(None, "9", "8", 10_000)
    with pytest.raises(QueryError, match="not both"):
        time_range("5s", "8", None, 10_000)


@pytest.fixture
def answer() -> Any:
    time = datetime(2025, 11, 21, 22, 30, 0, 123000)
    return pa.table(
        {
            "collection_time_milliseconds": pa.array([time, None], pa.timestamp("us")),
            "source_address": ["10.0.0.1", "x,\n[red]y"],
            "protocol_identifier": pa.array([6, 200], pa.uint8()),
            "octet_delta_count": pa.array([5, None], pa.uint64()),
            "octets_9_7": pa.array([b"\xff\0", None], pa.binary()),
        }
    )


def test_output_when_json_then_a_line_each_without_what_is_absent(
    answer: Any, tmp_path: Path
) -> None:
    write_answer(answer, "json", tmp_path / "a")
    first, second = (json.loads(line) for line in (tmp_path / "a").read_text().splitlines())
    assert first["collection_time_milliseconds"] == "2025-11-21T22:30:00.123Z"
    assert first["octets_9_7"] == "ff00"
    assert second == {"source_address": "x,\n[red]y", "protocol_identifier": 200}
    assert datetime.fromisoformat(first["collection_time_milliseconds"]).tzinfo == UTC


def test_output_when_csv_then_readable_as_such(answer: Any, tmp_path: Path) -> None:
    write_answer(answer, "csv", tmp_path / "a")
    rows = list(csv.reader(io.StringIO((tmp_path / "a").read_text())))
    assert rows[0] == answer.column_names
    assert rows[1] == ["2025-11-21T22:30:00.123Z", "10.0.0.1", "6", "5", "ff00"]
    assert rows[2] == ["", "x,\n[red]y", "200", "", ""]


def test_output_when_parquet_then_typed(answer: Any, tmp_path: Path) -> None:
    write_answer(answer, "parquet", tmp_path / "a")
    assert pq.read_table(tmp_path / "a")["octet_delta_count"].to_pylist() == [5, None]


def test_output_when_table_then_headings_and_names_and_no_markup(
    answer: Any,
) -> None:
    text = wide_table(answer_texts(answer))
    assert text.splitlines()[0].split("  ")[0] == "collection time"
    assert "tcp" in text
    assert "x,\\x0a[red]y" in text
