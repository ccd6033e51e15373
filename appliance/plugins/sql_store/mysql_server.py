"""Connections to MySQL and MariaDB that notice a server which takes them and never answers.

A statement may take a minute. Whether the server answers at all is asked with little patience:
when a connection is made, and by a ping before it is used again. PyMySQL looks at `_read_timeout`
before each read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peewee
import pymysql

CONNECT_SECONDS = 5
ANSWER_SECONDS = 4
STATEMENT_SECONDS = 60


class MysqlDatabase(peewee.MySQLDatabase):
    """A database of a MySQL server, as peewee sees it."""

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc] # its types leave this out
        connection._read_timeout = STATEMENT_SECONDS
        return connection


def timeouts() -> dict[str, Any]:
    """Return the options of a connection that is being made; see `connected`."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "write_timeout": STATEMENT_SECONDS,
    }


def connected(**options: Any) -> Any:
    """Return a connection of PyMySQL.

    Raises
    ------
    pymysql.MySQLError
        The server is away, refuses, or does not answer.
    """
    connection = pymysql.connect(**options, **timeouts())
    connection._read_timeout = STATEMENT_SECONDS
    return connection


def is_alive(connection: Any) -> bool:
    """Tell whether the server of a connection still is there.

    Raises
    ------
    pymysql.MySQLError
        It does not answer: to connect anew would only wait again.
    """
    try:
        with _answer_soon(connection):
            connection.ping(reconnect=False)
    except pymysql.MySQLError as error:
        if is_silent(error):
            raise
        return False
    return True


def is_silent(error: BaseException) -> bool:
    """Tell whether a server took a connection or a statement and did not answer in time."""
    return "timed out" in str(error)


@contextmanager
def _answer_soon(connection: Any) -> Iterator[None]:
    connection._read_timeout = ANSWER_SECONDS
    try:
        yield
    finally:
        connection._read_timeout = STATEMENT_SECONDS
