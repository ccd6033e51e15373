"""`appliance clickhouse`: the history gets there, whatever is killed, and a difference is told."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.errors import StorageError
from appliance.flowlog import Cursor
from appliance.plugins.clickhouse import filling
from appliance.plugins.clickhouse.filling import Filling
from tests.clickhouse_servers import free_ports
from tests.plugins.clickhouse.world import START, LogOfFlows, Place, load_all, stored_sums

DAY = 86_400
ROOT = Path(__file__).parents[3]


@pytest.fixture
def appliance(
    place: Place, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Run a command of an appliance that writes its log to ClickHouse."""
    monkeypatch.setattr("appliance.plugins.clickhouse.writer.BATCH_ROWS", 100)
    write_settings(tmp_path, folder, place)
    return lambda *words: run_command_line(group, ["-confPath", f"{tmp_path}/", *words])


def write_settings(conf: Path, folder: Path, place: Place, **more: Any) -> None:
    target = {
        "addresses": place.addresses,
        "cluster": place.cluster,
        "database": place.database,
        "days": 0,
        "sum_days": 0,
        **more,
    }
    settings = {"data_directory": str(folder), "collector": {"name": "one"}, "clickhouse": target}
    (conf / "appliance.yml").write_text(json.dumps(settings))


def test_fill_when_a_log_has_a_history_then_all_of_it_is_there_and_said(
    appliance: Callable[..., int], place: Place, folder: Path, capsys: pytest.CaptureFixture[str]
):
    log = LogOfFlows(folder)
    log.write(250)
    log.seal()
    log.write(130, START + DAY)
    assert appliance("clickhouse", "fill") == 0
    place.wait_for_replicas()
    rows, octets, _ = log.sums()
    assert stored_sums(place.server()) == log.sums()
    table, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    assert last == (
        f"done: {rows} flows, {octets:,} octets of one are in ClickHouse, equal to the flow log's"
    )
    assert [line.split()[0] for line in table.splitlines()] == ["day", "2027-01-31", "2027-02-01"]
    assert table.count("the same") == 2
    assert appliance("clickhouse", "fill") == 0
    assert stored_sums(place.server()) == log.sums()


def test_compare_when_clickhouse_lacks_flows_then_the_day_is_named_and_status_1(
    appliance: Callable[..., int], place: Place, folder: Path, capsys: pytest.CaptureFixture[str]
):
    log = LogOfFlows(folder)
    log.write(100)
    load_all(loader := place.loader(folder))
    loader.close()
    log.write(50, START + DAY)
    assert appliance("clickhouse", "compare") == 1
    shown = capsys.readouterr()
    first, second = shown.out.splitlines()[1:]
    assert first.endswith("the same")
    assert second.endswith("0 flows, 0 octets")
    assert "1 day differs from the flow log" in shown.err


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_compare_when_sums_differ_from_flows_then_told(
    appliance: Callable[..., int], place: Place, folder: Path, capsys: pytest.CaptureFixture[str]
):
    LogOfFlows(folder).write(100)
    load_all(loader := place.loader(folder))
    loader.close()
    place.server().command("DROP TABLE sums")
    assert appliance("clickhouse", "compare") == 1
    assert "the same, but 100 flows not as in its sums" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_fill_when_killed_again_and_again_then_no_flow_is_missing_or_twice(
    appliance: Callable[..., int], place: Place, folder: Path, tmp_path: Path
):
    log = LogOfFlows(folder)
    for _ in range(2):
        log.write(20_000)
        log.seal()
    code = (
        "from appliance.plugins.clickhouse import writer; writer.BATCH_ROWS = 1000;"
        " from appliance.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code, "-confPath", f"{tmp_path}/", "clickhouse", "fill"]
    rows = 0
    for _ in range(3):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            rows = _wait_for_more_rows(place, rows)
            process.kill()
    assert 0 < rows < 40_000
    last = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    place.wait_for_replicas()
    assert stored_sums(place.server()) == log.sums()


def _wait_for_more_rows(place: Place, rows: int) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(StorageError):
            ((found,),) = place.server().rows("SELECT count() FROM flows")
            if found > rows:
                return int(found)
        time.sleep(0.01)
    raise AssertionError(f"there are still {rows} rows")


@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_fill_when_a_collector_writes_then_its_progress_is_watched(
    appliance: Callable[..., int], place: Place, folder: Path, capsys: pytest.CaptureFixture[str]
):
    log = LogOfFlows(folder)
    log.write(2_000)
    words = [str(folder), place.database, place.cluster, *place.addresses]
    filler = [sys.executable, "-m", "tests.plugins.clickhouse.filler", *words]
    with subprocess.Popen(filler, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not (folder / "clickhouse" / "log-id").exists():
            time.sleep(0.01)
        try:
            assert appliance("clickhouse", "fill") == 0
        finally:
            process.kill()
    assert "done: 2,000 flows" in capsys.readouterr().out
    place.wait_for_replicas()
    assert stored_sums(place.server()) == log.sums()


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_compare_when_the_log_was_begun_anew_then_only_its_flows_count(
    appliance: Callable[..., int], place: Place, folder: Path, capsys: pytest.CaptureFixture[str]
):
    LogOfFlows(folder).write(250)
    assert appliance("clickhouse", "fill") == 0
    for name in ("flowlog", "clickhouse"):
        shutil.rmtree(folder / name)
    place.server().command("ALTER TABLE batches UPDATE written_at = toDateTime(1) WHERE 1")
    time.sleep(1)
    LogOfFlows(folder, seed=2).write(120)
    assert appliance("clickhouse", "fill") == 0
    assert "done: 120 flows" in capsys.readouterr().out
    assert stored_sums(place.server())[0] == 370


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_fill_when_days_are_no_longer_kept_then_they_are_left_out(
    appliance: Callable[..., int],
    place: Place,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    write_settings(tmp_path, folder, place, days=2)
    log = LogOfFlows(folder)
    now = int(time.time())
    log.write(70, now - 9 * DAY)
    log.write(30, now // DAY * DAY)
    assert appliance("clickhouse", "fill") == 0
    shown = capsys.readouterr().out
    assert "1 more days are past clickhouse.days" in shown
    assert "done: 30 flows" in shown


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_fill_when_it_cannot_begin_then_one_sentence_and_status(
    appliance: Callable[..., int],
    place: Place,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    assert appliance("clickhouse", "fill") == 1
    assert "the flow log is empty" in capsys.readouterr().err
    LogOfFlows(folder).write(10)
    (port,) = free_ports(1)
    write_settings(tmp_path, folder, Place([f"127.0.0.1:{port}"]))
    assert appliance("clickhouse", "fill") == 1
    assert "cannot be reached" in capsys.readouterr().err
    (tmp_path / "appliance.yml").write_text(f"data_directory: {folder}\n")
    assert appliance("clickhouse", "fill") == 2
    assert "clickhouse.addresses: no server is named" in capsys.readouterr().err


def test_filling_when_a_server_goes_away_then_told_once_and_gone_on_with(
    single: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(filling, "_WATCH_SECONDS", 0.0)
    LogOfFlows(folder).write(300)
    loader = single.loader(folder)
    address, told, pauses = loader.cluster.servers[0].address, [], []
    (port,) = free_ports(1)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            server.address = address

    places = Filling(loader, Cursor(1, 300), told.append, sleep).positions()
    assert next(places) == Cursor(1, 100)
    server = loader.cluster.servers[0]
    server.address = address._replace(port=port)
    assert list(places)[-1] >= Cursor(1, 300)
    assert pauses == [1.0, 2.0, 4.0]
    assert len(told) == 1
    assert told[0].endswith("cannot be reached: connection refused; trying again")
    loader.close()
