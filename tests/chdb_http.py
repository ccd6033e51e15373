"""ClickHouse's HTTP interface over `chdb`, a current engine in process: port and folder.

A program of its own, as `chdb` is no dependency of the project; it imports nothing of ours.
"""

from __future__ import annotations

import re
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chdb import session  # type: ignore[import-not-found, unused-ignore]

_NO_SETTINGS = {"query", "database", "default_format", "user", "password", "query_id"}
_INSERT = re.compile(r"(?is)^\s*insert\s+into\s+.*\bformat\s+native\s*$")
_FORMAT = re.compile(r"(?is)\bformat\s+(\w+)\s*$")


class Handler(BaseHTTPRequestHandler):
    """Runs one statement after the other."""

    protocol_version = "HTTP/1.1"
    engine = None
    lock = threading.Lock()

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing."""

    def do_GET(self) -> None:
        """Answer /ping."""
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        """Run what the query and the body say."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with self.lock:
                octets = self._run(query, body)
        except Exception as error:
            self._answer(500, str(error).encode())
        else:
            self._answer(200, octets)

    def _run(self, query: dict[str, str], body: bytes) -> bytes:
        assert self.engine is not None
        database = query.get("database", "default")
        try:
            self.engine.query(f"USE `{database}`")
        except Exception:
            self.engine.query("USE default")
        settings = {k: v for k, v in query.items() if k not in _NO_SETTINGS}
        if _INSERT.match(query.get("query", "")):
            return self._insert(query["query"], body)
        sql = (query.get("query", "") + body.decode()).strip().rstrip(";")
        named = _FORMAT.search(sql)
        if settings and re.match(r"(?is)\s*(select|with)\b", sql):
            text = ", ".join(f"{k} = '{v}'" for k, v in settings.items())
            rest, end = (sql[: named.start()], sql[named.start() :]) if named else (sql, "")
            sql = f"{rest} SETTINGS {text} {end}"
        answer = self.engine.query(sql, named[1] if named else "TabSeparated")
        return bytes(answer.bytes())

    def _insert(self, statement: str, body: bytes) -> bytes:
        import tempfile

        assert self.engine is not None
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(body)
            file.flush()
            head = _FORMAT.sub("", statement)
            self.engine.query(f"{head} FROM INFILE '{file.name}' FORMAT Native")
        return b""

    def _answer(self, status: int, octets: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)


if __name__ == "__main__":
    Handler.engine = session.Session(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
