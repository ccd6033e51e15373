"""What the tests of the SQL store share: a MariaDB of their own, and a world on either database."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.sql_store.world import MariaDb, World


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="appliance-mariadb-"))
    server = MariaDb(folder)
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


@pytest.fixture(params=["sqlite", "mariadb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world on either database."""
    url = "sqlite:flows.sqlite"
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb").new_database()
    made = World(tmp_path, url)
    yield made
    made.restart()
    made.writer.close()


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite."""
    made = World(tmp_path, "sqlite:flows.sqlite")
    yield made
    made.restart()
    made.writer.close()
