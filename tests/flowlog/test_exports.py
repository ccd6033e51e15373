"""Exports of any number of flows, in the order in which they were received."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import QueryError
from appliance.flowlog.exports import GROUP_ROWS, TEXT_ROWS, FlowExport
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.output import csv_octets, json_octets, open_output
from appliance.flowlog.questions import FlowQuestion
from appliance.flowlog.search import FlowSearch
from appliance.flows import FlowBatch
from tests.flowlog.conftest import Log

N = GROUP_ROWS + TEXT_ROWS + 7


@pytest.fixture
def search(log: Log, make_batch: Callable[..., FlowBatch]) -> FlowSearch:
    """A flow log of `N` flows with rising identifiers: sealed, closed and still written to."""
    half = N // 2
    log.write([make_batch(half, 0)])
    log.maintain()
    log.write([make_batch(N - half - 5, 1), make_batch(5, 2)])
    return FlowSearch(log.directory)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_export_when_of_several_pieces_then_every_flow_once_in_order(
    search: FlowSearch, form: str
) -> None:
    export = FlowExport(search, FlowQuestion(limit=None, columns=("flow_id",)), form)
    octets = b"".join(export.pieces())
    if form == "csv":
        found = [int(row["flow_id"]) for row in csv.DictReader(io.StringIO(octets.decode()))]
    elif form == "json":
        found = [json.loads(line)["flow_id"] for line in octets.splitlines()]
    else:
        found = pq.read_table(pa.BufferReader(octets))["flow_id"].to_pylist()
        assert pq.ParquetFile(pa.BufferReader(octets)).num_row_groups == 2
    assert len(found) == N == export.n_rows == export.most_rows()
    assert found == sorted(set(found))


def test_export_when_limited_then_the_oldest(search: FlowSearch) -> None:
    export = FlowExport(search, FlowQuestion(limit=3, columns=("flow_id",)), "csv")
    assert b"".join(export.pieces()) == b'"flow_id"\n0\n1\n2\n'
    assert export.most_rows() == 3


def test_export_when_left_before_its_end_then_its_files_are_let_go(search: FlowSearch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    pieces = FlowExport(search, FlowQuestion(limit=None), "csv").pieces()
    next(pieces)
    pieces.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_export_when_a_file_is_deleted_meanwhile_then_whole(search: FlowSearch, log: Log) -> None:
    pieces = FlowExport(search, FlowQuestion(limit=None, columns=("flow_id",)), "json").pieces()
    octets = next(pieces)
    for file in (log.directory / "flows").iterdir():
        file.unlink()
    assert len((octets + b"".join(pieces)).splitlines()) == N


def test_export_when_its_time_is_over_then_says_so(log: Log, search: FlowSearch) -> None:
    limited = FlowSearch(log.directory, QueryLimits(seconds=1e-6))
    with pytest.raises(QueryError, match="took longer than"):
        b"".join(FlowExport(limited, FlowQuestion(limit=None), "csv").pieces())


TEXTS = st.lists(st.none() | st.text(max_size=20), min_size=1, max_size=20)


@given(TEXTS)
def test_json_when_of_any_texts_then_read_back(texts: list[str | None]) -> None:
    table = pa.table({"n": range(len(texts)), "user_name": pa.array(texts, pa.string())})
    rows = [json.loads(line) for line in json_octets(table).decode().split("\n")[:-1]]
    assert [row.get("user_name") for row in rows] == texts
    assert [row["n"] for row in rows] == list(range(len(texts)))


@given(TEXTS)
def test_csv_when_of_any_texts_then_read_back_and_none_is_a_formula(
    texts: list[str | None],
) -> None:
    table = pa.table({"n": range(len(texts)), "user_name": pa.array(texts, pa.string())})
    reader = csv.DictReader(io.StringIO(csv_octets(table).decode(), newline=""), strict=True)
    shown = [row["user_name"] for row in reader]
    for text, cell in zip(texts, shown, strict=True):
        assert cell.removeprefix("'") == (text or "").removeprefix("'")
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def write_half(file: Path) -> None:
    with open_output(file) as sink:
        sink.write(b"half")
        raise ValueError("broken")


def test_output_when_it_breaks_then_the_file_before_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("before")
    with pytest.raises(ValueError, match="broken"):
        write_half(file)
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_output_when_a_link_or_a_device_then_what_it_names_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    with open_output(link) as sink:
        sink.write(b"after")
    assert (target.read_text(), link.is_symlink()) == ("after", True)
    null: Any = Path("/dev/null")
    with open_output(null) as sink:
        sink.write(b"gone")
    assert null.is_char_device()
