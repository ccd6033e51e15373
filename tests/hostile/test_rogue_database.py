"""A database server that asks for files of ours, and one that only pretends to be the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import SettingsError, StorageError
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.plugins.pmacct.tables.destination import Destination
from appliance.sql.addresses import database_address
from appliance.sql.appliance_database import appliance_database
from appliance.sql.copies import MysqlDump
from tests.hostile.rogue_server import rogue_between
from tests.sql.mariadb import MariaDb, running_mariadb
from tests.web.serving import make_certificate

SECRET = b"what only the collector's user may read"


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with running_mariadb() as server:
        yield server


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return file


def at_port(url: str, port: int) -> str:
    address, _, name = url.rpartition("/")
    return f"{address.rpartition(':')[0]}:{port}/{name}"


def ask_own_tables(url: str, folder: Path) -> None:
    database = appliance_database(url, folder)
    with database.transaction():
        database.rows("SELECT count(*) FROM users")


def ask_pmacct_tables(url: str, folder: Path) -> None:
    destination = Destination(database_address(url, folder))
    with destination.transaction():
        destination.position("mysql")


def ask_foreign_table(url: str, folder: Path) -> None:
    SourceTable(url, "acct", folder).columns()


def load_rows(url: str, folder: Path) -> None:
    own = folder / "own.csv"
    own.write_text("1,2\n")
    destination = Destination(database_address(url, folder))
    with destination.transaction():
        connection = destination.connection.connection()
        connection.load_file(str(own), f"LOAD DATA LOCAL INFILE '{own}' INTO TABLE acct")


def restore(url: str, folder: Path) -> None:
    (folder / "database.sql").write_text("SELECT 1;\n-- Dump completed\n")
    MysqlDump("database", database_address(url, folder)).restore(folder)


@pytest.mark.parametrize(
    ("use", "statement"),
    [
        (ask_own_tables, b"SELECT"),
        (ask_pmacct_tables, b"SELECT"),
        (ask_foreign_table, b"SELECT"),
        (load_rows, b"LOAD DATA"),
        (restore, b"SELECT"),
    ],
)
def test_server_when_it_asks_for_a_file_of_ours_then_nothing_and_one_sentence(
    use: Callable[[str, Path], None], statement: bytes, mariadb, secret, tmp_path
):
    url = mariadb.new_database()
    with rogue_between(mariadb.port, str(secret), statement) as rogue:
        with pytest.raises(StorageError) as raised:
            use(at_port(url, rogue.port), tmp_path)
        assert (rogue.asked, rogue.stolen) == (True, b"")
    assert "\n" not in str(raised.value)


def test_server_when_it_asked_for_a_file_once_then_the_next_transaction_is_sound(
    mariadb, secret, tmp_path
):
    url = mariadb.new_database()
    with rogue_between(mariadb.port, str(secret), b"SELECT 7") as rogue:
        database = appliance_database(at_port(url, rogue.port), tmp_path)
        with pytest.raises(StorageError, match="asks for the file"), database.transaction():
            database.rows("SELECT 7")
        with database.transaction():
            assert database.rows("SELECT 7") == [(7,)]
        database.close()


@pytest.fixture(scope="module")
def tls_mariadb(tmp_path_factory) -> Iterator[MariaDb]:
    folder = tmp_path_factory.mktemp("tls")
    files = make_certificate(folder)
    for path in (files.certificate, files.key, folder, *list(folder.parents)[:-2]):
        path.chmod(0o755)
    options = (f"--ssl-cert={files.certificate}", f"--ssl-key={files.key}")
    with running_mariadb(options) as server:
        server.certificate = files.certificate
        yield server


def cipher_of(url: str, folder: Path) -> str:
    database = appliance_database(url, folder)
    with database.transaction():
        ((_, cipher),) = database.rows("SHOW STATUS LIKE 'Ssl_cipher'")
    database.close()
    return cipher


def save_and_restore(url: str, folder: Path) -> None:
    dump = MysqlDump("database", database_address(url, folder))
    dump.save(folder)
    dump.restore(folder)


def test_server_when_its_certificate_is_of_our_authority_then_by_tls_and_backups_too(
    tls_mariadb, tmp_path
):
    url = f"{tls_mariadb.new_database()}?ssl=verify&ca={tls_mariadb.certificate}"
    assert cipher_of(url, tmp_path)
    save_and_restore(url, tmp_path)


def test_server_when_an_authority_of_the_system_vouches_for_it_then_by_tls_and_backups_too(
    tls_mariadb, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_mariadb.certificate))
    url = f"{tls_mariadb.new_database()}?ssl=verify"
    assert cipher_of(url, tmp_path)
    save_and_restore(url, tmp_path)


def test_server_when_it_has_no_tls_and_none_is_asked_for_then_backups_too(tmp_path):
    with running_mariadb(("--skip-ssl",)) as server:
        url = server.new_database()
        assert not cipher_of(url, tmp_path)
        save_and_restore(url, tmp_path)


@pytest.mark.parametrize("use", [ask_own_tables, ask_foreign_table, restore])
def test_server_when_nobody_trusted_vouches_for_it_then_no_word_with_it(
    use, tls_mariadb, mariadb, tmp_path
):
    for server in (tls_mariadb, mariadb):
        with pytest.raises(StorageError, match=r"(?i)certificate|SSL|TLS"):
            use(f"{server.new_database()}?ssl=verify", tmp_path)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl=verfy", "found ssl=verfy"),
        ("tls=verify", "found tls=verify"),
        ("ca=/etc/ca.pem", "ca goes with ssl=verify"),
        ("ssl=verify&socket=/run/mysqld.sock", "neither with a socket"),
        ("ssl=verify&ca=/nowhere/ca.pem", "/nowhere/ca.pem: no such file"),
    ],
)
def test_url_when_tls_is_misspelt_then_refused(query, expected, tmp_path):
    with pytest.raises(SettingsError, match=expected):
        appliance_database(f"mysql://u:p@127.0.0.1/name?{query}", tmp_path)
