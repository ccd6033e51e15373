"""`appliance make-tables`, on both databases."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.plugins.pmacct.configuration.active_config import config_from_file
from appliance.plugins.pmacct.tables.destination import Destination
from appliance.plugins.pmacct.tables.plan import table_plans

CONFIGURATION = """\
plugins: {kind}[all], {kind}[dynamic]
aggregate: src_host, dst_host
sql_history: 1m
sql_history_roundoff: m
sql_table[all]: flows_of_all
sql_table[dynamic]: flows_%Y
{place}
"""


@pytest.fixture(params=["sqlite3", "mysql"])
def folder(request, conf, tmp_path):
    place = f"sql_db: {tmp_path}/pmacct.sqlite"
    if request.param == "mysql":
        url = urlsplit(request.getfixturevalue("mariadb").new_database())
        place = (
            f"sql_host: 127.0.0.1\nsql_port: {url.port}\nsql_db: {url.path[1:]}\n"
            f"sql_user: {url.username}\nsql_passwd: {unquote(url.password)}"
        )
    made = conf(f"data_directory: {tmp_path}/data\ncollector.config: nfacctd.conf\n")
    (made / "nfacctd.conf").write_text(CONFIGURATION.format(kind=request.param, place=place))
    return made


def make_tables(folder, capsys) -> str:
    assert run_command_line(group, ["-confPath", f"{folder}/", "make-tables"]) == 0
    return capsys.readouterr().out


def test_make_tables_when_one_is_missing_then_it_is_made_once(folder, capsys):
    assert make_tables(folder, capsys) == "table flows_of_all of all: made\n"
    assert make_tables(folder, capsys) == "table flows_of_all of all: is there\n"
    config = config_from_file(open_app(folder).settings)
    destination = Destination(table_plans(config)[0][0].place)
    try:
        with destination.transaction():
            assert destination.has_table("flows_of_all")
            assert destination.rows("SELECT ip_src, bytes, stamp_inserted FROM flows_of_all") == []
    finally:
        destination.close()


def test_make_tables_when_nothing_is_configured_then_one_sentence(conf, tmp_path, capsys):
    folder = conf(f"data_directory: {tmp_path}/data\n")
    assert run_command_line(group, ["-confPath", f"{folder}/", "make-tables"]) == 2
    assert "there is no collector configuration" in capsys.readouterr().err
