"""Copies of the two databases for backups: SQLite by its own backup, MySQL by its dump program.

Both are of one moment while writers go on. What is restored replaces the database as a whole.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.contracts import BackupPart
from appliance.errors import StorageError
from appliance.settings.file import Settings
from appliance.sql import SQLITE, is_sql_url
from appliance.sql.addresses import DatabaseAddress, database_address
from appliance.sql.table_names import MIGRATION_TABLES

DUMP_SECONDS = 3600.0
_SQLITE_FILE, _DUMP_FILE = "database.sqlite", "database.sql"
_COMPLETE = b"-- Dump completed"
_TAIL_OCTETS = 512
_DUMPS = ("mariadb-dump", "mysqldump")
_CLIENTS = ("mariadb", "mysql")
_DUMP_OPTIONS = (
    *("--single-transaction", "--quick", "--skip-lock-tables", "--no-tablespaces"),
    *("--default-character-set=utf8mb4", "--hex-blob", "--add-drop-table"),
)

_DROP = f"DROP TABLE IF EXISTS {', '.join(MIGRATION_TABLES)}"

# MariaDB's programs know the one, MySQL's the other.
_VERIFY = {"loose-ssl-verify-server-cert": "1", "loose-ssl-mode": "VERIFY_IDENTITY"}
# MariaDB's verify by themselves since 11.4, and would refuse every server without TLS.
_TRUST = {"loose-ssl-verify-server-cert": "0"}


def database_backups(settings: Settings) -> list[BackupPart]:
    """Return a part for each database in SQL; one that is both is saved once.

    A store of another plugin's is saved by that plugin.
    """
    urls = {"database": settings["database"], "flows-database": settings["flows.database"]}
    if urls["database"] == urls["flows-database"]:
        del urls["flows-database"]
    folder: Path = settings["data_directory"]
    return [_part(name, url, folder) for name, url in urls.items() if is_sql_url(url)]


def appliance_backups(settings: Settings) -> list[BackupPart]:
    """Return the part for the appliance database alone, if it is in SQL."""
    url = settings["database"]
    return [_part("database", url, settings["data_directory"])] if is_sql_url(url) else []


def _part(name: str, url: str, folder: Path) -> BackupPart:
    address = database_address(url, folder)
    return MysqlDump(name, address) if address.path is None else SqliteCopy(name, address.path)


@dataclass(frozen=True, slots=True)
class SqliteCopy:
    """A SQLite file."""

    name: str
    path: Path

    def save(self, folder: Path) -> None:
        """Copy it, if there is one.

        Raises
        ------
        StorageError
            It cannot be read.
        """
        if not self.path.exists():
            return
        try:
            with (
                contextlib.closing(sqlite3.connect(self.path)) as source,
                contextlib.closing(sqlite3.connect(folder / _SQLITE_FILE)) as target,
            ):
                source.backup(target)
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"database {self.path}: {error}") from None

    def restore(self, folder: Path) -> None:
        """Put the copy in its place.

        Raises
        ------
        StorageError
            The backup has none of SQLite, or it cannot be written.
        """
        copy = folder / _SQLITE_FILE
        if not copy.exists():
            _refuse_other(folder, _DUMP_FILE, "MySQL", SQLITE)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.path, PRIVATE, keep=True) as file, copy.open("rb") as content:
                shutil.copyfileobj(content, file)
                # What a former file had not taken over from its log must not be applied to this.
                for end in ("-wal", "-shm"):
                    Path(f"{self.path}{end}").unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"database {self.path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class MysqlDump:
    """A database of MySQL or MariaDB."""

    name: str
    address: DatabaseAddress

    def save(self, folder: Path) -> None:
        """Dump it.

        Raises
        ------
        StorageError
            The server is away, or the program that dumps is missing.
        """
        with _options_file(self.address) as options, (folder / _DUMP_FILE).open("wb") as output:
            program = _program(_DUMPS)
            command = [program, options, *_DUMP_OPTIONS, self.address.name]
            _run(command, self.address.name, stdout=output.fileno())
        _check_complete(folder / _DUMP_FILE)

    def restore(self, folder: Path) -> None:
        """Run the dump, which replaces each table; ours that it does not have are dropped.

        Raises
        ------
        StorageError
            The backup has none of MySQL, the server is away, or the client is missing.
        """
        dump = folder / _DUMP_FILE
        if not dump.exists():
            _refuse_other(folder, _SQLITE_FILE, "SQLite", "mysql")
            return
        _check_complete(dump)
        name = self.address.name
        with _options_file(self.address) as options, dump.open("rb") as source:
            # Without it the client would carry out lines of the dump that begin with `\\!`.
            command = [_program(_CLIENTS), options, "--batch", "--binary-mode", name]
            # Of a dump made before they had a prefix, tables would be beside those of now.
            _run([*command, "--execute", _DROP], name)
            _run(command, name, stdin=source.fileno())


def _refuse_other(folder: Path, file: str, found: str, kind: str) -> None:
    if (folder / file).exists():
        raise StorageError(
            f"the backup holds a {found} database, but the settings name one of {kind}:"
            " restore where the same kind is configured"
        )


def _check_complete(dump: Path) -> None:
    with dump.open("rb") as file:
        file.seek(max(0, dump.stat().st_size - _TAIL_OCTETS))
        if _COMPLETE not in file.read():
            raise StorageError(f"the dump {dump.name} of {dump.parent.name} is not complete")


@contextlib.contextmanager
def _options_file(address: DatabaseAddress) -> Iterator[str]:
    """Hand host, user and password over in a file that others cannot read."""
    given: dict[str, object] = {"host": address.host, "port": address.port, "protocol": "tcp"}
    if address.socket:
        given = {"socket": address.socket, "protocol": "socket"}
    given |= {"user": address.user, "password": address.password}
    given |= _VERIFY | _authorities(address.ca) if address.verify else _TRUST
    lines = [f"{key}={_quote(str(value))}" for key, value in given.items() if value]
    # The server may not ask for files of who runs these programs.
    lines.append("loose-local-infile=0")
    with tempfile.NamedTemporaryFile("w", prefix="appliance-", suffix=".cnf") as file:
        file.write("\n".join(["[client]", *lines, ""]))
        file.flush()
        yield f"--defaults-extra-file={file.name}"


def _authorities(ca: str) -> dict[str, str]:
    """Return who may vouch for the server: `ca`, or as for PyMySQL the authorities of the system.

    Where none are named, MariaDB's programs since 11.4 take any certificate of a server that knows
    the password, and MySQL's refuse to start.
    """
    if ca:
        return {"ssl-ca": ca}
    system = ssl.get_default_verify_paths()
    return {"ssl-ca": system.cafile or "", "ssl-capath": system.capath or system.openssl_capath}


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _program(names: Sequence[str]) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise StorageError(f"{names[0]} is not installed: apt-get install mariadb-client")


def _run(
    command: Sequence[str],
    name: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> None:
    """Run one of MariaDB's programs; streams that are not given are nobody's."""
    try:
        done = subprocess.run(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DUMP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(f"database {name}: {error}") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"{command[0]} ended with {done.returncode}"
        raise StorageError(f"database {name}: {said}")
