"""Real listeners on loopback, self-signed certificates, and raw HTTP over sockets."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.settings.types import ListenAddress
from appliance.web.api_server import TlsFiles
from appliance.web.listeners import Listener
from appliance.web.servers import ServerLimits, WebServer

SECONDS = 10.0
ANY = ListenAddress("127.0.0.1", 0)


def make_certificate(folder: Path) -> TlsFiles:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    return TlsFiles(certificate, key)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.certificate))
    context.check_hostname = False
    return context


@contextmanager
def serving(
    application: Any, *listeners: Listener, limits: ServerLimits | None = None
) -> Iterator[WebServer]:
    server = WebServer(application, listeners or (Listener(ANY, "test"),), limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connect(server: WebServer, index: int = 0, context: ssl.SSLContext | None = None) -> Any:
    plain = socket.create_connection(server.endpoints[index].address, SECONDS)
    return context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain


def exchange(connection: Any, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send octets, read one answer by its Content-Length."""
    connection.sendall(request)
    return answer(connection)


def answer(connection: Any) -> tuple[int, dict[str, str], bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        assert part, f"closed after {received!r}"
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        part = connection.recv(65536)
        assert part, "closed within the body"
        body += part
    return int(first.split()[1]), headers, body


def get(path: str = "/", *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
    return "\r\n".join(lines).encode()


def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for another thread; fails after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)
