"""What happens behind a purge: programs are run, links made, and files have their permissions."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables.loader import PmacctLoader
from appliance.plugins.pmacct.tables.triggers import Trigger, TriggerRunner
from tests.plugins.pmacct.world import START, PmacctWorld

PRINTED = "aggregate: src_host\nprint_output: csv\nprint_output_file: out/%H%M.csv\n"


@pytest.fixture
def printing(tmp_path: Path) -> PmacctWorld:
    return PmacctWorld(tmp_path)


def script(folder: Path, text: str = "env > told.new; mv told.new told") -> Path:
    path = folder / "trigger.sh"
    path.write_text(f"#!/bin/sh\ncd '{folder}'\n{text}\n")
    path.chmod(0o755)
    return path


def wait_for_programs(loader: PmacctLoader) -> None:
    for follower in loader.followers or ():
        assert follower._runner is not None
        for process in follower._runner._running:
            process.wait(10)


def test_trigger_of_sql_when_rows_are_purged_then_it_knows_what_was_done(world, tmp_path):
    script(tmp_path)
    world.configure(
        "aggregate: src_host\nsql_table: t_%Y\nsql_history: 1m\nsql_history_roundoff: m\n"
        "sql_optimize_clauses: true\nsql_refresh_time: 60\nsql_trigger_exec: trigger.sh\n"
    )
    world.flows(2, source_address_lo=[0xFFFF0A000001, 0xFFFF0A000002])
    world.purge()
    wait_for_programs(world.loader)
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert told["SQL_TABLE"] == "t_%Y"
    assert told["EFFECTIVE_SQL_TABLE"] == "t_2027"
    assert told["SQL_REFRESH_TIME"] == "60"
    assert told["TOTAL_ELEM_NUMBER"] == told["EFFECTIVE_ELEM_NUMBER"] == "2"
    assert (told["INSERT_QUERIES_NUMBER"], told["UPDATE_QUERIES_NUMBER"]) == ("2", "0")
    assert (told["SQL_HISTORY_BASETIME"], told["SQL_HISTORY_TIMESLOT"]) == (str(START), "60")
    assert "SQL_PASSWD" not in told
    world.flows(2, source_address_lo=[0xFFFF0A000001, 0xFFFF0A000003])
    world.purge()
    wait_for_programs(world.loader)
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert (told["INSERT_QUERIES_NUMBER"], told["UPDATE_QUERIES_NUMBER"]) == ("1", "1")


def test_trigger_of_print_when_its_path_has_blanks_then_no_shell_takes_it_apart(printing, tmp_path):
    folder = tmp_path / "a; touch broken"
    folder.mkdir()
    script(folder)
    printing.configure(PRINTED + f"print_trigger_exec: {folder}/trigger.sh", "print[p]")
    printing.flows()
    printing.purge()
    wait_for_programs(printing.loader)
    assert (folder / "told").exists()
    assert not (tmp_path / "broken").exists()


def test_trigger_when_it_cannot_run_then_said_and_the_rows_are_there(printing, tmp_path):
    printing.configure(PRINTED + "print_trigger_exec: nosuch", "print[p]")
    printing.flows()
    printing.purge()
    assert printing.warnings == [f"plugin p: {tmp_path}/nosuch: no such file or directory"]
    assert list((tmp_path / "out").iterdir())


def test_trigger_when_it_never_ends_then_no_more_than_ten(tmp_path):
    runner = TriggerRunner(Trigger(script(tmp_path, "exec tail -f /dev/null")))
    try:
        assert [runner.start({}) for _ in range(10)] == [None] * 10
        assert runner.start({}) == f"{tmp_path}/trigger.sh: not run, 10 of it have not ended yet"
    finally:
        for process in runner._running:
            process.kill()
            process.wait(10)


def test_latest_file_when_purged_then_leads_to_the_greatest_name(printing, tmp_path):
    printing.configure(PRINTED + "print_history: 1m\nprint_latest_file: latest/now", "print[p]")
    printing.flows()
    printing.purge()
    link = tmp_path / "latest" / "now"
    first = link.resolve()
    assert first.parent == tmp_path / "out"
    printing.flows(flow_start_milliseconds=(START + 600) * 1000)
    printing.purge()
    assert link.resolve() > first
    greatest = link.resolve()
    printing.flows(flow_start_milliseconds=(START - 600) * 1000)
    printing.purge()
    assert link.resolve() == greatest


@pytest.mark.parametrize(("key", "file", "folder"), [("", 0o600, 0o700), ("002", 0o664, 0o775)])
def test_files_when_a_umask_is_configured_then_their_permissions(
    printing, tmp_path, key, file, folder
):
    printing.configure(PRINTED + (f"files_umask: {key}" if key else ""), "print[p]")
    printing.flows()
    printing.purge()
    (made,) = (tmp_path / "out").iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == file
    assert stat.S_IMODE(made.parent.stat().st_mode) == folder


@pytest.mark.parametrize("value", ["000", "001", "9", "abc", "7777"])
def test_umask_when_too_small_or_no_octal_number_then_ignored_and_said(tmp_path, value):
    (tmp_path / "c.conf").write_text(f"plugins: print\naggregate: proto\nfiles_umask: {value}\n")
    config = read_effective(tmp_path / "c.conf")
    assert any("'files_umask'" in message.text for message in config.messages)
    assert not config.is_set("files_umask")
