"""ClickHouse's HTTP interface: statements and blocks of columns in, rows and columns out.

What is sent is the common subset of 18.16 and current servers. Values become literals here
(`literal`), because 18.16 knows no bound parameters. Each request has a connection of its own, so a
`Server` may be used by several threads.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from appliance.errors import StorageError
from appliance.plugins.clickhouse.configuration import Access, HostPort
from appliance.plugins.clickhouse.native import Columns, decode_blocks

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 60.0
LONGEST_ANSWER = 1 << 30
_PIECE_OCTETS = 1 << 20
_LONGEST_ERROR = 65_536
_SHOWN_LETTERS = 300

Literal = str | bytes | int | float | None
Result = TypeVar("Result")

__all__ = [
    "Access",
    "HostPort",
    "Refused",
    "Server",
    "Unreachable",
    "identifier",
    "literal",
    "try_each",
]


class Unreachable(StorageError):  # noqa: N818 - a state of the server, not of the program
    """A server does not answer, or not in time; whether it did what was asked is not known."""


class Refused(StorageError):  # noqa: N818 - what the server did
    """A server answered that it does not do what was asked.

    Attributes
    ----------
    code
        ClickHouse's number of the error; 0 where it told none.
    """

    def __init__(self, text: str, code: int = 0) -> None:
        self.code = code
        super().__init__(text)


class Server:
    """One server, by its address."""

    def __init__(self, address: HostPort, access: Access) -> None:
        self.address, self.access = address, access

    def __str__(self) -> str:
        return f"ClickHouse {self.address}"

    def command(self, sql: str, seconds: float = ANSWER_SECONDS, **settings: object) -> None:
        """Run a statement without an answer, such as DDL.

        Parameters
        ----------
        seconds
            The server's time from request to the end of the answer.
        settings
            ClickHouse's, and parameters of the request: `query_id`, or another `database`.

        Raises
        ------
        StorageError
            `Unreachable` or `Refused`.
        """
        self._request(sql.encode(), settings, seconds)

    def rows(
        self, sql: str, seconds: float = ANSWER_SECONDS, **settings: object
    ) -> list[list[Any]]:
        """Return the rows of a SELECT, whole numbers in full; see `command` for the rest."""
        settings = {"output_format_json_quote_64bit_integers": 0, **settings}
        answer = self._request(f"{sql} FORMAT JSONCompact".encode(), settings, seconds)
        try:
            rows: list[list[Any]] = json.loads(answer)["data"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Refused(f"{self} gives an answer that is not understood") from error
        return rows

    def columns(self, sql: str, seconds: float = ANSWER_SECONDS, **settings: object) -> Columns:
        """Return a SELECT's columns by name as arrays; see `command` for the rest."""
        answer = self._request(f"{sql} FORMAT Native".encode(), settings, seconds)
        try:
            return decode_blocks(answer)
        except ValueError as error:
            raise Refused(f"{self} gives an answer that is not understood: {error}") from error

    def insert(
        self,
        table: str,
        names: Sequence[str],
        block: bytes,
        seconds: float = ANSWER_SECONDS,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Insert one block in the Native format; it is stored when this returns."""
        listed = ", ".join(map(identifier, names))
        query = f"INSERT INTO {identifier(table)} ({listed}) FORMAT Native"
        self._request(block, {"query": query, **(settings or {})}, seconds)

    def _request(self, body: bytes, settings: dict[str, object], seconds: float) -> bytes:
        given: dict[str, object] = {"database": self.access.database, **settings}
        query = urllib.parse.urlencode({k: v for k, v in given.items() if v is not None})
        headers = {"Content-Type": "application/octet-stream"}
        if self.access.user:
            headers["X-ClickHouse-User"] = self.access.user
            headers["X-ClickHouse-Key"] = self.access.password
        end = time.monotonic() + seconds
        connection = self._connection(seconds)
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(seconds)
            connection.request("POST", f"/?{query}", body, headers)
            with connection.getresponse() as response:
                limit = LONGEST_ANSWER if response.status == http.client.OK else _LONGEST_ERROR
                answer = _read_all(response, limit, end)
        except TimeoutError as error:
            raise Unreachable(f"{self} does not answer in time") from error
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "TLS fails"
            raise Unreachable(f"{self} cannot be reached: {reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self} cannot be reached: {_reason(error)}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise self._refused(answer, response.status)
        return answer

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self.address
        wait = min(CONNECT_SECONDS, seconds)
        if not self.access.tls:
            return http.client.HTTPConnection(host, port, timeout=wait)
        try:
            context = ssl.create_default_context(cafile=self.access.authority_file)
        except OSError as error:
            text = f"{self.access.authority_file} cannot be read: {_reason(error)}"
            raise Unreachable(text) from error
        return http.client.HTTPSConnection(host, port, timeout=wait, context=context)

    def _refused(self, answer: bytes, status: int) -> Refused:
        text = " ".join(answer.decode(errors="replace").split())
        code = re.match(r"Code: (\d+)", text)
        text = re.sub(r"^Code: \d+[.,]? *(e\.displayText\(\) = )?", "", text)
        text = text.removeprefix("DB::Exception: ").partition(", e.what()")[0]
        shown = text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]} ..."
        number = int(code[1]) if code else 0
        return Refused(f"{self} refuses: {shown or f'HTTP status {status}'}", number)


def try_each(servers: Sequence[Server], ask: Callable[[Server], Result]) -> Result:
    """Ask one server after the other, until one is there; return what it answers.

    Raises
    ------
    Unreachable
        None is; the text is that of the last.
    Refused
        One answered that it does not do it; the others are not asked.
    """
    problem = Unreachable("no address of ClickHouse is configured")
    for server in servers:
        try:
            return ask(server)
        except Unreachable as error:
            problem = error
    raise problem


def literal(value: Literal | Sequence[Literal]) -> str:
    """Write a value as SQL; a sequence as a tuple, for IN.

    Raises
    ------
    ValueError
        An empty sequence, which SQL has not.
    """
    if value is None:
        return "NULL"
    if isinstance(value, str | bytes):
        return _quoted(value if isinstance(value, bytes) else value.encode(errors="replace"), "'")
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else _not_finite(value)
    if not value:
        raise ValueError("an empty list has no literal")
    return f"({', '.join(literal(each) for each in value)})"


def identifier(name: str) -> str:
    """Write the name of a table, column or database as SQL."""
    return _quoted(name.encode(), "`")


def _quoted(octets: bytes, quote: str) -> str:
    # Whatever is not plain is written by its octet, so that no encoding can end the text early.
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:;/@+=()[] "
    return quote + "".join(chr(o) if o in plain else f"\\x{o:02x}" for o in octets) + quote


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return "inf" if value > 0 else "-inf"


def _read_all(response: http.client.HTTPResponse, limit: int, end: float) -> bytes:
    """Read an answer to its end.

    Raises
    ------
    TimeoutError
        It is not whole by `end`, a monotonic time.
    ValueError
        It is larger than `limit`, and a good answer.
    """
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE_OCTETS):
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > end:
            raise TimeoutError
        if size > limit:
            if response.status == http.client.OK:
                raise ValueError(f"the answer has more than {limit} octets")
            break
    if response.length and size <= limit:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(pieces)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
