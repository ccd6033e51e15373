"""Connections to MySQL and MariaDB that do not trust the server.

One may take connections and never answer. A statement may take a minute. Whether the server
answers at all is asked with little patience: when a connection is made, and by a ping before it is
used again. PyMySQL looks at `_read_timeout` before each read.

One may answer any statement with a request for any file of ours, as the protocol of LOAD DATA
LOCAL lets it. It gets the file that `load_file` offers, while that statement runs, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CR

from appliance.sql.lean_peewee import peewee

CONNECT_SECONDS = 5
ANSWER_SECONDS = 4
STATEMENT_SECONDS = 60


class MysqlConnection(Connection):  # type: ignore[misc] # PyMySQL has no types
    """A connection that hands over the file of its own statement only."""

    offered_file = b""

    def load_file(self, path: str, sql: str) -> int:
        """Run the LOAD DATA LOCAL statement that names a file; return the rows it wrote.

        Raises
        ------
        pymysql.MySQLError
            The server refuses, or asks for another file.
        """
        self.offered_file = path.encode()
        try:
            with self.cursor() as cursor:
                return int(cursor.execute(sql))
        finally:
            self.offered_file = b""

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        # As PyMySQL has it, but for the class of the result.
        self._result = None
        result = _Result(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Result(MySQLResult):  # type: ignore[misc] # PyMySQL has no types
    def _read_load_local_packet(self, first_packet: Any) -> None:
        connection = self.connection
        path = first_packet.get_all_data()[1:]
        if not connection.offered_file or path != connection.offered_file:
            connection._force_close()
            name = path[:200].decode(errors="replace")
            problem = f"the server asks for the file {name!r}, which no statement of ours names"
            raise pymysql.OperationalError(CR.CR_MALFORMED_PACKET, problem)
        super()._read_load_local_packet(first_packet)


class MysqlDatabase(peewee.MySQLDatabase):
    """A database of a MySQL server, as peewee sees it.

    Attributes
    ----------
    failure
        What PyMySQL raises.
    """

    failure = pymysql.MySQLError

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(name, **options, charset="utf8mb4")

    def _connect(self) -> Any:
        return connect(database=self.database, autocommit=True, **self.connect_params)

    def is_alive(self) -> bool:
        """Tell whether the server of this thread's connection still is there.

        Raises
        ------
        pymysql.MySQLError
            It does not answer: to connect anew would only wait again.
        """
        connection: Any = self.connection()  # type: ignore[no-untyped-call]
        try:
            with _answer_soon(connection):
                connection.ping(reconnect=False)
        except pymysql.MySQLError as error:
            if self.is_silent(error):
                raise
            return False
        return True

    @staticmethod
    def is_silent(error: BaseException) -> bool:
        """Tell whether a server took a connection or a statement and did not answer in time."""
        return "timed out" in str(error)


def connect(**options: Any) -> Any:
    """Return a connection of PyMySQL.

    Raises
    ------
    pymysql.MySQLError
        The server is away, refuses, or does not answer.
    """
    connection = MysqlConnection(
        **options,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        write_timeout=STATEMENT_SECONDS,
    )
    connection._read_timeout = STATEMENT_SECONDS
    return connection


@contextmanager
def _answer_soon(connection: Any) -> Iterator[None]:
    connection._read_timeout = ANSWER_SECONDS
    try:
        yield
    finally:
        connection._read_timeout = STATEMENT_SECONDS
