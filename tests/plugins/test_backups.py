"""`appliance backup` and `appliance restore` (`register_backups`), on both databases."""

from __future__ import annotations

import io
import json
import multiprocessing
import shutil
import socket
import stat
import tarfile
import time
from pathlib import Path

import pyarrow as pa
import pytest

from appliance.accounts.secret import secret_or_new
from appliance.app import open_app
from appliance.backups.archive import BackupError, pack, unpack
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.user_rules import accounts_with_rules, user_store
from appliance.process_parts import gather_backups
from appliance.processes.supervision import PidFile
from appliance.sql.addresses import database_address
from appliance.sql.copies import MysqlDump


@pytest.fixture(params=["sqlite", "mysql"])
def place(request, conf, tmp_path):
    """A configuration with both databases on either server, and an unused port."""
    urls = ("sqlite:appliance.sqlite", "sqlite:flows.sqlite")
    if request.param == "mysql":
        server = request.getfixturevalue("mariadb")
        urls = (server.new_database(), server.new_database())
    return conf(
        f"data_directory: {tmp_path}/data\ndatabase: '{urls[0]}'\nflows.database: '{urls[1]}'\n"
        "web.listen: 127.0.0.1:0\n"
    )


@pytest.fixture
def sqlite_place(conf, tmp_path):
    return conf(f"data_directory: {tmp_path}/data\nweb.listen: 127.0.0.1:0\n")


def appliance(folder, *arguments) -> int:
    return run_command_line(group, ["-confPath", f"{folder}/", *map(str, arguments)])


def imported(folder) -> None:
    capture = Path(__file__).parents[1] / "data" / "captures" / "v5_juniper_mx80.pcap"
    assert appliance(folder, "import", capture) == 0
    app = open_app(folder)
    store = app.open_store()
    while store.load_once(time.time()).busy:
        pass
    store.close()


def exporters(folder) -> list[str]:
    store = open_app(folder).open_store()
    try:
        return sorted(exporter.address for exporter in store.exporters())
    finally:
        store.close()


@pytest.mark.parametrize(
    ("disabled", "flows", "names"),
    [
        (
            "",
            "flows",
            [
                "interfaces",
                "snmp",
                "alerts",
                "alerts-of-users",
                "reports",
                "database",
                "flows-database",
                "console",
            ],
        ),
        (
            "",
            "appliance",
            ["interfaces", "snmp", "alerts", "alerts-of-users", "reports", "database", "console"],
        ),
        (
            "sql_accounts",
            "flows",
            [
                "interfaces",
                "snmp",
                "alerts",
                "alerts-of-users",
                "reports",
                "database",
                "flows-database",
                "console",
            ],
        ),
        (
            "rollups",
            "flows",
            ["interfaces", "snmp", "alerts", "alerts-of-users", "reports", "database", "console"],
        ),
        (
            "rollups, sql_accounts",
            "flows",
            ["interfaces", "snmp", "alerts", "alerts-of-users", "reports", "console"],
        ),
        (
            "rollups, sql_accounts, console",
            "flows",
            ["interfaces", "snmp", "alerts", "alerts-of-users", "reports"],
        ),
    ],
)
def test_backup_when_plugins_share_a_database_then_it_is_saved_once(conf, disabled, flows, names):
    folder = conf(f"plugins: {{disabled: [{disabled}]}}\nflows.database: 'sqlite:{flows}.sqlite'\n")
    parts = gather_backups(open_app(folder))
    assert [part.name for part in parts] == names


def test_backup_when_flows_are_in_another_plugins_store_then_the_accounts_are_saved(conf):
    parts = gather_backups(open_app(conf("flows.database: 'plainstore:sums.json'\n")))
    assert [part.name for part in parts] == [
        "interfaces",
        "snmp",
        "alerts",
        "alerts-of-users",
        "reports",
        "database",
        "console",
    ]


def test_backup_when_users_have_rules_then_all_are_back_and_no_others(conf, tmp_path):
    folder = conf(f"data_directory: {tmp_path}/data\n")
    settings, file = open_app(folder).settings, tmp_path / "backup.tar.zst"

    def names(account: int) -> list[str]:
        return [r.name for r in user_store(settings, account, 10).rules() if not r.is_on]

    for account in (7, 12):
        user_store(settings, account, 10).put_rule(Rule(f"of {account}", limit=1, is_on=False))
    assert appliance(folder, "backup", file) == 0
    user_store(settings, 7, 10).delete_rule("of 7")
    # The number of an account that was made since may become another user's.
    user_store(settings, 13, 10).put_rule(Rule("of 13", limit=1, is_on=False))
    assert appliance(folder, "restore", file) == 0
    assert ["of 7" in names(7), "of 12" in names(12), "of 13" in names(13)] == [True, True, False]
    assert accounts_with_rules(settings) == [7, 12]


def test_backup_when_restored_after_everything_is_gone_then_all_is_back(place, tmp_path, capsys):
    imported(place)
    data = tmp_path / "data"
    secret_or_new(data / "secret")
    before = exporters(place), (data / "secret").read_text()
    assert before[0]
    file = tmp_path / "backup.tar.zst"
    assert appliance(place, "backup", file) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    emptied(place)
    shutil.rmtree(data)
    assert exporters(place) == []
    capsys.readouterr()
    assert appliance(place, "restore", file) == 0
    assert "files of" in capsys.readouterr().out
    assert (exporters(place), (data / "secret").read_text()) == before
    assert stat.S_IMODE((data / "secret").stat().st_mode) == 0o600
    assert not list(data.glob(".backup-*"))


def emptied(folder) -> None:
    """Drop what MySQL keeps outside the data directory."""
    from appliance.sql.database import SqlDatabase

    settings = open_app(folder).settings
    for name in ("database", "flows.database"):
        if not settings[name].startswith("mysql:"):
            continue
        database = SqlDatabase(database_address(settings[name], folder), lambda _: None)
        with database.transaction(True):
            for (table,) in database.rows("SHOW TABLES"):
                database.execute(f"DROP TABLE {table}")
        database.close()


@pytest.fixture
def saved(sqlite_place, tmp_path):
    """A backup of an appliance with flows, and where it was made."""
    imported(sqlite_place)
    file = tmp_path / "backup.tar.zst"
    assert appliance(sqlite_place, "backup", file) == 0
    return sqlite_place, file


def refusal(folder, file, capsys) -> str:
    capsys.readouterr()
    assert appliance(folder, "restore", file) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_restore_when_the_collector_runs_then_refused(saved, tmp_path, capsys):
    folder, file = saved
    child = PidFile(tmp_path / "data" / "collector.pid")
    # A record lock is no obstacle for the process that holds it.
    context = multiprocessing.get_context("fork")
    holding, done = context.Event(), context.Event()

    def hold() -> None:
        child.hold()
        holding.set()
        done.wait(60)

    process = context.Process(target=hold)
    process.start()
    try:
        assert holding.wait(60)
        said = f"a collector runs already, process {process.pid}: stop it before"
        assert said in refusal(folder, file, capsys)
    finally:
        done.set()
        process.join()


def test_restore_when_another_program_has_the_ports_of_the_api_then_done(
    saved, conf, tmp_path, capsys
):
    folder, file = saved
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        conf(f"data_directory: {tmp_path}/data\nweb.listen: 127.0.0.1:{port}\n")
        assert appliance(folder, "restore", file) == 0
    assert not list((tmp_path / "data").glob("*.pid"))


def test_restore_when_the_archive_is_damaged_then_nothing_is_touched(saved, tmp_path, capsys):
    folder, file = saved
    secret = tmp_path / "data" / "secret"
    secret.write_text("precious")
    whole = file.read_bytes()
    for octets in (b"", b"no archive", whole[:100], whole[: len(whole) // 2], whole[:-4]):
        file.write_bytes(octets)
        assert "is no" in refusal(folder, file, capsys)
    assert secret.read_text() == "precious"
    assert not list((tmp_path / "data").glob(".backup-*"))


def rewritten(file: Path, change) -> None:
    """Write an archive anew, with manifest and members as a function returns them."""
    with pa.input_stream(str(file), compression="zstd") as stream:
        octets = io.BytesIO(stream.read())
    with tarfile.open(fileobj=octets) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    manifest = json.loads(members.pop("manifest.json"))
    entries = change(manifest, members)
    with (
        pa.output_stream(str(file), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        for name, content, kind in [
            ("manifest.json", json.dumps(manifest).encode(), tarfile.REGTYPE),
            *entries,
        ]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(content)
            entry.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            tar.addfile(entry, io.BytesIO(content))


def plain(members):
    return [(name, content, tarfile.REGTYPE) for name, content in members.items()]


def newer(manifest, members):
    manifest["version"] = "99.0.0"
    return plain(members)


def newer_format(manifest, members):
    manifest["format"] = 2
    return plain(members)


def changed(manifest, members):
    name = next(iter(members))
    return plain(members | {name: bytes(len(members[name]))})


def missing(manifest, members):
    members.popitem()
    return plain(members)


def added(manifest, members):
    return [*plain(members), ("state/more", b"x", tarfile.REGTYPE)]


def repeated(manifest, members):
    return plain(members) * 2


def climbing(manifest, members):
    manifest["files"]["../../escaped"] = [1, "0"]
    return [*plain(members), ("../../escaped", b"x", tarfile.REGTYPE)]


def absolute(manifest, members):
    manifest["files"]["/tmp/escaped"] = [1, "0"]
    return plain(members)


def linked(manifest, members):
    manifest["files"]["state/secret"] = [0, "0"]
    members.pop("state/secret", None)
    return [*plain(members), ("state/secret", b"", tarfile.SYMTYPE)]


def meaningless(manifest, members):
    manifest["files"] = [1, 2]
    return plain(members)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (newer, "was made by version 99.0.0, this is "),
        (newer_format, "upgrade first"),
        (changed, "is damaged: the checksum of"),
        (missing, "is missing"),
        (added, "'state/more' does not belong into a backup"),
        (repeated, "does not belong into a backup"),
        (climbing, "'../../escaped' is no name for a file of a backup"),
        (absolute, "'/tmp/escaped' is no name for a file of a backup"),
        (linked, "'state/secret' does not belong into a backup"),
        (meaningless, "is damaged: manifest.json"),
    ],
)
def test_restore_when_the_archive_lies_then_one_sentence_and_nothing_is_touched(
    saved, tmp_path, capsys, change, sentence
):
    folder, file = saved
    (tmp_path / "data" / "secret").write_text("precious")
    rewritten(file, change)
    assert sentence in refusal(folder, file, capsys)
    assert (tmp_path / "data" / "secret").read_text() == "precious"
    assert not list(tmp_path.parent.rglob("escaped"))


def test_restore_when_the_other_kind_of_database_is_configured_then_refused(
    saved, conf, mariadb, capsys
):
    _, file = saved
    folder = conf(
        f"database: '{mariadb.new_database()}'\nflows.database: '{mariadb.new_database()}'\n"
        "web.listen: 127.0.0.1:0\n"
    )
    assert "the backup holds a SQLite database, but" in refusal(folder, file, capsys)


def test_backup_when_mysql_is_away_then_one_sentence_and_no_file(conf, tmp_path, capsys):
    folder = conf(
        f"data_directory: {tmp_path}/data\nflows.database: 'mysql://u:p@127.0.0.1:1/flows'\n"
    )
    assert appliance(folder, "backup", tmp_path / "x.tar.zst") == 1
    assert "database flows: " in capsys.readouterr().err
    assert not list(tmp_path.glob("x.tar.zst*"))


def test_restore_when_the_log_was_left_out_then_new_segments_come_behind(saved, tmp_path):
    folder, file = saved
    before = counted(folder)
    shutil.rmtree(tmp_path / "data")
    assert appliance(folder, "restore", file) == 0
    imported(folder)
    assert counted(folder) == {name: 2 * octets for name, octets in before.items()}


def counted(folder) -> dict[int, float]:
    from appliance.contracts import Selection

    store = open_app(folder).open_store()
    try:
        return {k: m.octets for k, m in store.totals_by_exporter(Selection()).items()}
    finally:
        store.close()


def test_backup_when_the_flow_log_is_wanted_then_single_flows_come_back(
    sqlite_place, tmp_path, capsys
):
    imported(sqlite_place)
    data, file = tmp_path / "data", tmp_path / "backup.tar.zst"
    listed = flows(sqlite_place, capsys)
    assert listed.count("\n") > 10
    assert appliance(sqlite_place, "backup", "--flow-log", file) == 0
    shutil.rmtree(data)
    imported(sqlite_place)
    imported(sqlite_place)
    capsys.readouterr()
    assert appliance(sqlite_place, "restore", file) == 0
    said = capsys.readouterr().out
    aside = Path(said.split("is in ")[1].strip())
    assert list(aside.rglob("*.parquet")) or list(aside.rglob("*.journal"))
    assert flows(sqlite_place, capsys) == listed


def test_backup_when_samples_are_wanted_then_they_come_back_with_their_place_in_the_log(
    sqlite_place, tmp_path
):
    imported(sqlite_place)
    assert appliance(sqlite_place, "rebuild", "--samples", "--yes") == 0
    samples, file = tmp_path / "data" / "samples", tmp_path / "backup.tar.zst"
    before = {path.name: path.read_bytes() for path in samples.iterdir()}
    assert {"state.json"} < before.keys()
    assert appliance(sqlite_place, "backup", file) == 0
    shutil.rmtree(samples)
    assert appliance(sqlite_place, "restore", file) == 0
    assert not samples.exists()
    samples.mkdir()
    for name, content in before.items():
        (samples / name).write_bytes(content)
    assert appliance(sqlite_place, "backup", "--samples", file) == 0
    shutil.rmtree(samples)
    assert appliance(sqlite_place, "restore", file) == 0
    assert {path.name: path.read_bytes() for path in samples.iterdir()} == before


def flows(folder, capsys) -> str:
    capsys.readouterr()
    assert appliance(folder, "flows", "--format", "csv") == 0
    return capsys.readouterr().out


def test_backup_when_made_into_a_folder_then_old_ones_go(sqlite_place, tmp_path, monkeypatch):
    folder = tmp_path / "all" / "backups"
    assert appliance(sqlite_place, "backup", f"{folder}/") == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "other.tar.zst").touch()
    for second in range(4):
        monkeypatch.setattr("time.time", lambda second=second: 1_800_000_000 + second)
        assert appliance(sqlite_place, "backup", "--keep", 2, f"{folder}/") == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "netflow-appliance-20270115T080002Z.tar.zst",
        "netflow-appliance-20270115T080003Z.tar.zst",
        "other.tar.zst",
    ]


def test_backup_when_keep_has_no_folder_then_one_sentence(sqlite_place, tmp_path, capsys):
    assert appliance(sqlite_place, "backup", "--keep", 2, tmp_path / "file") == 2
    assert "--keep needs a folder" in capsys.readouterr().err


def test_restore_when_settings_are_wanted_then_they_are_those_of_the_backup(saved, conf, tmp_path):
    folder, file = saved
    text = (folder / "appliance.yml").read_text()
    (folder / "appliance.yml").write_text(f"{text}log_level: error\n")
    assert appliance(folder, "restore", file) == 0
    assert "log_level" in (folder / "appliance.yml").read_text()
    assert appliance(folder, "restore", "--with-settings", file) == 0
    assert (folder / "appliance.yml").read_text() == text


def test_archive_when_packed_then_it_appears_complete_or_not_at_all(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a").mkdir(parents=True)
    (source / "a" / "b").write_text("c")
    target.mkdir()
    pack(source, tmp_path / "x", "now")
    assert unpack(tmp_path / "x", target).files.keys() == {"a/b"}
    assert (target / "a" / "b").read_text() == "c"
    with pytest.raises(BackupError, match="cannot be written"):
        pack(source, tmp_path / "no" / "x", "now")


def test_dump_when_the_server_is_named_by_its_socket_then_taken_and_put_back(mariadb, tmp_path):
    name = mariadb.new_database().rpartition("/")[2]
    mariadb.run(
        "CREATE OR REPLACE USER 'near'@'localhost' IDENTIFIED BY 'sec@ret'",
        "GRANT ALL ON *.* TO 'near'@'localhost'",
        f"CREATE TABLE `{name}`.kept (value INT)",
        f"INSERT INTO `{name}`.kept VALUES (7)",
        "COMMIT",
    )
    # The port is nobody's: only the socket leads there.
    url = f"mysql://near:sec%40ret@localhost:1/{name}?socket={mariadb.folder}/socket"
    dump = MysqlDump("database", database_address(url, tmp_path))
    dump.save(tmp_path)
    mariadb.run(f"DROP TABLE `{name}`.kept")
    dump.restore(tmp_path)
    assert mariadb.rows(f"SELECT value FROM `{name}`.kept") == [(7,)]
