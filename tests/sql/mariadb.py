"""A MariaDB of the tests' own: a server on loopback with its files in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest


class MariaDb:
    """A server on loopback with its files in a directory of its own."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder, self.options = folder, options
        self.user = ["--user=mysql"] if os.getuid() == 0 else []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.databases = 0

    def install(self) -> None:
        if self.user:
            shutil.chown(self.folder, pwd.getpwnam("mysql").pw_uid)
        subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/data"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", *self.user),
            ],
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        # One of a server that was killed would be taken for the new one's.
        (self.folder / "socket").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *("mariadbd", "--no-defaults", f"--datadir={self.folder}/data", *self.user),
                *(f"--socket={self.folder}/socket", f"--port={self.port}"),
                *("--bind-address=127.0.0.1", f"--pid-file={self.folder}/pid"),
                *("--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M"),
                *("--skip-name-resolve", "--skip-log-bin"),
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            # A connection that is refused would leave a socket behind.
            if (self.folder / "socket").exists():
                return
            time.sleep(0.1)
        raise RuntimeError("MariaDB did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def run(self, *statements: str) -> None:
        connection = pymysql.connect(unix_socket=f"{self.folder}/socket", user="root")
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query of the administrator finds."""
        connection = pymysql.connect(unix_socket=f"{self.folder}/socket", user="root")
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def new_database(self) -> str:
        """Make a database and return its URL."""
        self.databases += 1
        name = f"flows_{self.databases}"
        self.run(f"CREATE DATABASE {name}")
        return f"mysql://appliance:sec%40ret@127.0.0.1:{self.port}/{name}"


@contextmanager
def running_mariadb(options: Sequence[str] = ()) -> Iterator[MariaDb]:
    """Have a server in a folder of its own, with a user who may do everything."""
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="appliance-mariadb-"))
    server = MariaDb(folder, options)
    try:
        server.install()
        server.start()
        server.run(
            "CREATE USER 'appliance'@'127.0.0.1' IDENTIFIED BY 'sec@ret'",
            "GRANT ALL ON *.* TO 'appliance'@'127.0.0.1'",
        )
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
