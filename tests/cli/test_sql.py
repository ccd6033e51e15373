"""`appliance sql`: views as people mean records, every format, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flowlog.maintainer import Maintainer
from appliance.flows import V4_MAPPED, FlowBatch, RecordKind, octets_column

HOUR_MS = 3_600_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A flow log with a flow and an event in a journal, and the same an hour before, sealed."""
    path = tmp_path / "flow log's"
    for now_ms in (HOUR_MS, 2 * HOUR_MS):
        writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0), [(0, 9)])
        writer.start()
        columns = {
            "record_kind": np.array([RecordKind.FLOW, RecordKind.EVENT], "u1"),
            "collection_time_milliseconds": np.full(2, now_ms),
            "source_address_lo": np.array([1, 2], "u8") | V4_MAPPED | 0x0A000000,
            "protocol_identifier": np.full(2, 6, "u1"),
            "octet_delta_count": np.array([2**40, 0], "u8"),
            "packet_delta_count": np.array([3, 0], "u8"),
            "sampling_rate": np.full(2, 100.0),
        }
        octets = {octets_column(0, 9): np.array([b"\x01\xff", b""], object)}
        writer.append(FlowBatch(2, columns, octets=octets))
        writer.flush({}, now_ms)
        writer.close(now_ms)
        if now_ms == HOUR_MS:
            Maintainer(path, FlowLogLimits(minimum_free_octets=0)).run_once(now_ms, patient=False)
    return path


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    words = ["sql", *(str(argument) for argument in arguments), "--format", "json"]
    assert run_command_line(group, words) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_sql_when_flows_are_asked_then_scaled_with_addresses_as_text(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = "select source_address, protocol, octets, packets, flows"
    statement += f", {octets_column(0, 9)} as raw from flows"
    expected = {"source_address": "10.0.0.1", "protocol": "tcp", "octets": 2**40 * 100.0}
    expected |= {"packets": 300.0, "flows": 1, "raw": "01ff"}
    assert ask(capsys, statement, "--directory", directory) == [expected, expected]


def test_sql_when_a_range_is_given_then_views_end_with_it(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = "select kind, count(*) as n, min(collection_time_milliseconds) as t from records"
    statement += " group by kind order by kind"
    rows = ask(capsys, statement, "--directory", directory, "--from", 7000)
    at = "1970-01-01T02:00:00.000Z"
    assert rows == [{"kind": "event", "n": 1, "t": at}, {"kind": "flow", "n": 1, "t": at}]


def test_sql_when_types_have_no_form_in_json_then_they_are_text_or_numbers(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = "select sum(packet_delta_count) as s, list(source_address) as l, date '2026-01-01'"
    statement += " as d, 1e30::hugeint as h, 1.5::decimal(4, 1) as c from flows"
    (row,) = ask(capsys, statement, "--directory", directory)
    assert row["s"] == 6
    assert row["l"] == "['10.0.0.1', '10.0.0.1']"
    assert row["d"] == "2026-01-01"
    assert row["h"].startswith("1000000000")
    assert row["c"] == "1.5"


def test_sql_when_nobody_gives_a_statement_then_standard_input_is_it(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select count(*) as n from options;\n"))
    assert ask(capsys, "--directory", directory) == [{"n": 0}]


def test_sql_when_shown_as_a_table_then_names_and_numbers_line_up(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = "select source_address, sum(packets) as packets from flows group by all"
    assert run_command_line(group, ["sql", statement, "--directory", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["source_address  packets", "10.0.0.1            600"]


def test_sql_when_numbers_are_large_then_a_table_has_all_their_digits(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = "select sum(octets) as octets, 1234567.25::double as n from flows"
    assert run_command_line(group, ["sql", statement, "--directory", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [str(2**41 * 100), "1234567.25"]


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("select", "Parser Error"),
        (" ; ", "expected a SELECT"),
        ("select nonsense from flows", "nonsense"),
        ("select * from nowhere", "nowhere"),
        ("create table t (a int)", "expected a SELECT"),
    ],
)
def test_sql_when_it_is_no_question_then_one_sentence_and_exit_code_2(
    statement: str, part: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(group, ["sql", statement, "--directory", str(directory)]) == 2
    assert part in capsys.readouterr().err


def test_sql_when_it_takes_too_long_then_it_is_stopped(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = (
        "select count(*) from range(1000000000) a, range(1000000000) b where a.range % 7 = 1"
    )
    words = ["sql", statement, "--directory", str(directory), "--timeout", "0.2"]
    assert run_command_line(group, words) == 1
    assert "took longer than 0.2 s" in capsys.readouterr().err
