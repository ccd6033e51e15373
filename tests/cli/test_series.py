"""`appliance series`: a chart, its statistics, and the bins for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from tests.query.reference import Flow, batch_of

START_MS = 1_700_000_000_000 // 600_000 * 600_000
BOUNDS = ("--from", str(START_MS), "--to", str(START_MS + 600_000))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A flow log: 10.0.0.1 sends 7500 octets in each of ten minutes, 10.0.0.2 ten times that."""
    path = tmp_path / "flowlog"
    writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    for minute in range(10):
        at = START_MS + minute * 60_000
        flows = [
            Flow(n, 9, 40000, 443, octets, at, at + 59_999, at + 59_999)
            for n, octets in ((1, 7500), (2, 75_000))
        ]
        writer.append(batch_of(flows))
    writer.flush({}, START_MS)
    writer.close(START_MS)
    return path


def run(*words: object) -> int:
    return run_command_line(group, [str(word) for word in words])


def test_series_when_a_table_then_a_chart_with_its_units_and_statistics(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("series", "source", "--step", "1m", "--limit", 1, "--directory", directory)
    assert run(*words, *BOUNDS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("10.0 kbit/s┤")
    assert any(line.startswith("    0 bit/s┤") for line in lines)
    assert "10.0.0.2" in lines[1]
    assert all(len(line) <= 100 and "\x1b" not in line for line in lines)
    assert [line.split() for line in lines[-3:]] == [
        ["mean", "maximum", "last", "95th", "percentile", "bins", "octets"],
        ["10.0.0.2", *["10.0", "kbit/s"] * 4, "9", "750.0", "kB"],
        ["other", *["1.0", "kbit/s"] * 4, "9", "75.0", "kB"],
    ]


def test_series_when_json_then_a_row_for_each_bin(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("source=10.0.0.1", "--step", "5m", "--directory", directory, "--format", "json")
    assert run("series", *words, *BOUNDS) == 0
    rows: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["octets"], row["is_other"]) for row in rows] == [(37_500, False)] * 2
    assert rows[0]["time"] == "2023-11-14T22:10:00.000Z"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--step", "0.1s"), "a step is a second at least"),
        (("--step", "soon"), "no duration"),
        (("nonsense",), "cannot group by 'nonsense'"),
        (("--from", "4000000000"), "ahead of now"),
    ],
)
def test_series_when_impossible_then_one_sentence(
    directory: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run("series", *words, "--directory", directory) == 2
    assert said in capsys.readouterr().err


def test_series_when_nothing_is_there_then_the_reason(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("series", "host=192.0.2.9", "--directory", directory, *BOUNDS) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [
        "mean",
        "maximum",
        "last",
        "95th",
        "percentile",
        "bins",
        "octets",
    ]
    assert printed.err.startswith("appliance: ")
