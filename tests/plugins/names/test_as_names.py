"""Names of AS beside their numbers: in questions, tables, charts, the API, whatever they hold."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from appliance import PluginHarness, ValueNames, ipfix_message
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import Registered
from appliance.flowlog.number_names import with_number_names
from appliance.flows import set_plugin_columns
from appliance.guard import PluginFailures
from appliance.plugins.names.as_names import KeptNames
from appliance.plugins.names.databases import cache_file, open_database
from appliance.value_names import set_value_names
from tests.plugins.names.test_names import AS_RECORDS, IPINFO_RECORDS, write
from tests.web.building import Client, FakeStore, settings_of, web_of

EVIL = "<b>Evil</b>\x1b[2J\u202e, Inc."
RECORDS = AS_RECORDS | {
    "203.0.113.0/24": {
        "autonomous_system_number": 64_496,
        "autonomous_system_organization": EVIL,
    },
    "198.51.100.0/24": {"autonomous_system_number": 64_497},
}
FLOW = bytes.fromhex("c0000201cb007101") + (100).to_bytes(4)
OTHER = bytes.fromhex("c6336401c0000201") + (10).to_bytes(4)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the settings of an appliance whose database names three AS of its flows."""
    database = write(tmp_path / "as.mmdb", RECORDS)
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "appliance.yml").write_text(
        f"data_directory: {tmp_path / 'var'}\nnames:\n  as_database: {database}\n"
    )
    settings = {"names": {"as_database": str(database)}}
    made = PluginHarness(tmp_path / "var", ModuleType("nothing"), settings)
    (enricher,) = made.app.enrichers
    enricher._enricher.follower.look()  # type: ignore[attr-defined]
    made.receive(ipfix_message([(8, 4), (12, 4), (1, 4)], FLOW + OTHER))
    yield conf
    set_plugin_columns(())
    set_value_names((), PluginFailures())


def run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run_command_line(group, ["-confPath", f"{folder}/", *words]) == 0
    return capsys.readouterr().out


def test_top_when_by_as_then_names_beside_the_numbers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(folder, capsys, "top", "source_as", "destination_as", "--format", "json")
    keys = [{k: v for k, v in json.loads(t).items() if "_as_" in k} for t in lines.splitlines()]
    assert keys == [
        {
            "bgp_source_as_number": 3356,
            "bgp_source_as_name": "Level 3",
            "bgp_destination_as_number": 64_496,
            "bgp_destination_as_name": EVIL,
        },
        # The database has no name of 64497.
        {
            "bgp_source_as_number": 64_497,
            "bgp_destination_as_number": 3356,
            "bgp_destination_as_name": "Level 3",
        },
    ]


def test_table_when_a_name_would_control_the_terminal_then_escaped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = run(folder, capsys, "top", "as")
    assert table.split()[:2] == ["as", "name"]
    assert "3356  Level 3" in table
    assert "64496  <b>Evil</b>\\x1b[2J\\x202e, Inc." in table
    series = run(folder, capsys, "series", "source_as", "--last", "1h")
    assert "AS3356 Level 3" in series
    flows = run(folder, capsys, "flows", "--columns", "source_as,octets", "octets=100")
    assert flows.split() == [
        "source",
        "as",
        "source",
        "as",
        "name",
        "octets",
        "3356",
        "Level",
        "3",
        "100",
    ]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_export_when_it_has_as_then_names_behind_the_numbers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    path = tmp_path / f"flows.{form}"
    run(
        folder, capsys, "export", "--columns", "source_as,octets,destination_as", f"--output={path}"
    )
    if form == "parquet":
        rows = pq.read_table(path).to_pylist()
    elif form == "json":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
    names = {str(row["bgp_source_as_number"]): row.get("bgp_source_as_name") for row in rows}
    assert names == {"3356": "Level 3", "64497": "" if form == "csv" else None}
    assert {row["bgp_destination_as_name"] for row in rows} == {"Level 3", EVIL}
    assert form == "json" or list(rows[0])[1::2] == [
        "bgp_source_as_name",
        "bgp_destination_as_number",
    ]


def test_export_when_there_is_no_database_then_no_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "appliance.yml").write_text(f"data_directory: {folder.parent / 'var'}\n")
    assert run(folder, capsys, "export", "--columns", "source_as").splitlines()[0] == (
        '"bgp_source_as_number"'
    )
    described = run(folder, capsys, "sql", "describe flows", "--format", "csv")
    assert "bgp_source_as_number" in described
    assert "_as_name" not in described


def test_sql_when_it_asks_for_names_of_as_then_as_columns_of_its_views(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = (
        "SELECT bgp_destination_as_name AS name, sum(octets)::INT AS octets FROM flows"
        " WHERE bgp_source_as_name IS NULL GROUP BY ALL"
    )
    assert run(folder, capsys, "sql", sql, "--format", "json") == (
        '{"name": "Level 3", "octets": 10}\n'
    )
    every = run(folder, capsys, "sql", "SELECT * FROM records", "--format", "json").splitlines()
    assert {json.loads(line).get("bgp_source_as_name") for line in every} == {"Level 3", None}


def test_names_when_many_flows_have_few_numbers_then_each_is_looked_up_once() -> None:
    lookups: list[int] = []

    class Counting(dict[int, str]):
        def get(self, number: Any, default: Any = None) -> Any:
            lookups.append(number)
            return super().get(number, default)

    names = ValueNames(("bgp_as_number",), lambda: Counting({5: "five"}))
    set_value_names([Registered("mine", names)], PluginFailures())
    try:
        answer = with_number_names(pa.table({"bgp_as_number": [5, 7, None] * 1000}))
    finally:
        set_value_names((), PluginFailures())
    assert answer.column("bgp_as_name").to_pylist() == ["five", None, None] * 1000
    assert len(lookups) <= 3


def test_explore_when_single_flows_are_asked_then_as_with_names(folder: Path) -> None:
    client = client_of(folder)
    flows = client.get("/api/v1/explore/flows?last=1h&filter=octets%3D100").json["flows"]
    assert [flow["bgp_source_as_name"] for flow in flows] == ["Level 3"]
    assert [flow["bgp_destination_as_name"] for flow in flows] == [EVIL]
    rows = client.get("/api/v1/explore/top?last=1h&by=as").json["rows"]
    assert rows[0] | {"bgp_as_number": 3356, "bgp_as_name": "Level 3"} == rows[0]


def client_of(folder: Path) -> Client:
    """Return a client of the API over the flows of the fixture."""
    return Client(web_of(FakeStore(), settings_of(folder.parent), now=time.time()))


def test_names_when_there_is_no_database_then_no_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "appliance.yml").write_text(f"data_directory: {tmp_path / 'var'}\n")
    (first, *_) = run(folder, capsys, "top", "as", "--format", "json").splitlines()
    assert sorted(json.loads(first)) == ["bgp_as_number", "flows", "octets", "packets"]


def test_names_when_the_database_was_not_read_yet_or_its_copy_is_damaged_then_none(
    tmp_path: Path,
) -> None:
    file, folder = write(tmp_path / "a.mmdb", RECORDS), tmp_path / "names"
    kept = cache_file(file, folder)
    names = KeptNames([kept])
    assert names.names() == {}
    open_database(file, folder)
    assert names.names()[3356] == "Level 3"
    kept.write_bytes(kept.read_bytes()[:100])
    assert names.names() == {}


def test_names_when_the_database_changes_then_the_new_ones_and_the_first_file_counts(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "names"
    first, second = write(tmp_path / "a.mmdb", RECORDS), write(tmp_path / "b.mmdb", IPINFO_RECORDS)
    for file in (first, second):
        open_database(file, folder)
    names = KeptNames([cache_file(second, folder), cache_file(first, folder)])
    assert (names.names()[3356], names.names()[13_335]) == ("L3", "CF")
    second.unlink()
    changed = {"192.0.2.0/24": IPINFO_RECORDS["192.0.2.0/24"] | {"as_name": "Lumen"}}
    open_database(write(second, changed), folder)
    assert names.names()[3356] == "Lumen"


@pytest.mark.parametrize(
    "names", [{3356: 5}, {3356: "\ud800"}, {3356: "a\0b"}, None, 5, KeyError("no")]
)
def test_names_when_a_plugin_fails_then_numbers_without_and_it_is_counted(names: Any) -> None:
    def tell() -> Any:
        if isinstance(names, Exception):
            raise names
        return names

    failures = PluginFailures()
    set_value_names([Registered("site", ValueNames(("bgp_as_number",), tell))], failures)
    try:
        answer = with_number_names(pa.table({"bgp_as_number": [3356, None]}))
    finally:
        set_value_names((), PluginFailures())
    assert answer.to_pylist()[0] == {"bgp_as_number": 3356, "bgp_as_name": None}
    assert failures.report()["site"]["names"]["count"] == 1
