"""Programs that take lines, as a stream's targets."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from appliance.plugins.stream.loader import StreamLoader, loaders_of
from appliance.plugins.stream.stream_settings import SETTINGS
from appliance.settings.file import SettingsFile
from tests.plugins.clickhouse.world import START

PATIENCE_SECONDS = 30.0


class LineServer:
    """Listens, and keeps what each connection brought; reads nothing while it is `deaf`."""

    def __init__(self, address: Any = ("127.0.0.1", 0), tls: ssl.SSLContext | None = None) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._listening = socket.socket(family)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, so that what is not read soon waits at the sender.
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._listening.bind(address)
        self._listening.listen()
        self._tls = tls
        self.address = self._listening.getsockname()
        self.received: list[bytearray] = []
        self.hears = threading.Event()
        self.hears.set()
        self._connections: list[socket.socket] = []
        self._is_open = True
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while self._is_open:
                connection, _ = self._listening.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._read, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
            octets = bytearray()
            self.received.append(octets)
            while self.hears.wait(PATIENCE_SECONDS) and (piece := connection.recv(4096)):
                octets += piece

    def hang_up(self) -> None:
        """End all connections at once."""
        while self._connections:
            connection = self._connections.pop()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def close(self) -> None:
        self._is_open = False
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hears.set()
        self.hang_up()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def rows(self, n: int) -> list[dict[str, Any]]:
        """Wait for so many whole lines, and return all that there are."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum(octets.count(b"\n") for octets in self.received) < n:
            assert time.monotonic() < deadline, [len(octets) for octets in self.received]
            time.sleep(0.01)
        whole = [octets[: octets.rfind(b"\n") + 1] for octets in self.received]
        return [json.loads(line) for octets in whole for line in octets.splitlines()]


def loader_of(folder: Path, to: str, **more: Any) -> StreamLoader:
    """Return the loader of one target; the flow log is in the folder."""
    (loader,) = loaders_of(settings_of(folder, {"to": to, "columns": ["all"], **more}))
    return loader


def settings_of(folder: Path, *targets: Any, **more: Any) -> Any:
    tree = {"data_directory": str(folder), "stream": {"targets": list(targets), **more}}
    return SettingsFile(None, folder, tree).settings(SETTINGS)


def send_all(loader: StreamLoader, seconds: float = PATIENCE_SECONDS) -> int:
    """Send until the target has all of the log."""
    rows, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        report = loader.load_once(START)
        rows += report.rows
        if not report.rows and not loader.is_sending:
            return rows
    raise AssertionError(f"only {rows} rows were sent")


def to_tcp(server: LineServer) -> str:
    return f"tcp://127.0.0.1:{server.address[1]}"


def octets_of(rows: list[dict[str, Any]]) -> int:
    return sum(row.get("octet_delta_count", 0) for row in rows)
