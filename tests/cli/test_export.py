"""`appliance export`: files of flows, and what is said about them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from tests.cli.test_flows import directory, run

__all__ = ["directory"]


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson", "a.parquet", "a"])
def test_export_when_to_a_file_then_in_the_form_of_its_name_and_says_how_many(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = tmp_path / name
    columns = ["--columns", "source_address,octets"]
    assert run("export", "--directory", directory, *columns, "bytes > 9", "--output", file) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"10 flows, {file.stat().st_size:,} octets: {file}\n"
    if file.suffix == ".parquet":
        rows = pq.read_table(file).to_pylist()
    elif file.suffix == ".ndjson":
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    else:
        rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["source_address"] for row in rows] == [f"10.0.0.{n}" for n in range(10, 20)]
    assert file.stat().st_mode & 0o777 == 0o640


def test_export_when_to_standard_output_then_only_the_flows(
    directory: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ("--directory", directory, "--limit", 2, "--columns", "octets", "--format", "json")
    assert run("export", *arguments) == 0
    said = capfdbinary.readouterr()
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {"octet_delta_count": 0},
        {"octet_delta_count": 1},
    ]
    assert said.err == b""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--columns", "colour"], 2, "unknown column 'colour'"),
        (["port ="], 2, "expected"),
        (["--timeout", "0"], 2, "0.1"),
        (["--output", "/nowhere/a.csv"], 1, "/nowhere/a.csv: no such file or directory"),
    ],
)
def test_export_when_wrong_then_one_sentence(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert run("export", "--directory", directory, *arguments) == code
    assert said in capsys.readouterr().err


def test_export_when_the_name_says_ipfix_then_import_reads_what_it_wrote(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.ipfix"
    assert run("export", "--directory", directory, "--output", file) == 0
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "appliance.yml").write_text("data_directory: ../data\n")
    n = int(capsys.readouterr().err.split(" flows, ")[0])
    assert n > 10
    command = ["-confPath", f"{tmp_path}/conf/", "import", str(file)]
    assert run_command_line(group, command) == 0
    assert f"{n} records" in capsys.readouterr().out


def test_export_when_ipfix_has_no_element_for_a_column_then_one_sentence(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--columns", "octets,reverse", "--output", tmp_path / "a.ipfix")
    assert run("export", "--directory", directory, *words) == 2
    assert "ipfix has no element for reverse" in capsys.readouterr().err
    assert not (tmp_path / "a.ipfix").exists()


def test_export_when_nothing_matches_then_a_file_without_flows(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.parquet"
    assert run("export", "--directory", directory, "port 1", "--output", file) == 0
    assert pq.read_table(file).num_rows == 0
    assert capsys.readouterr().err.startswith("0 flows, ")


def test_export_when_the_log_is_not_there_then_says_so_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv"
    assert run("export", "--directory", tmp_path / "none", "--output", file) == 1
    assert "has the collector run yet?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
