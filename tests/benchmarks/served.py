"""A real appliance process with its API on a free port of loopback, and a client that keeps its
connection."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.collectors import REPOSITORY, START_SECONDS

STOP_SECONDS = 30.0
ANSWER_SECONDS = 30.0
TOKEN_LIFETIME = "1d"


def free_tcp_port() -> int:
    """Return a TCP port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_configuration(folder: Path, extra: Mapping[str, object] | None = None) -> Path:
    """Write `conf/` with data beside it and the API on free ports; return the folder of it."""
    conf = folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    settings = {
        "data_directory": folder / "data",
        "timezone": "UTC",
        "web.listen": f"127.0.0.1:{free_tcp_port()}",
        **(extra or {}),
    }
    text = "".join(f"{name}: {value}\n" for name, value in settings.items())
    (conf / "appliance.yml").write_text(text)
    (conf / "api_server.yml").write_text(
        f"listen:\n  address: 127.0.0.1\n  port: {free_tcp_port()}\n"
    )
    return conf


@dataclass
class Client:
    """Asks one API over one connection, with a token."""

    port: int
    token: str = ""
    _connection: http.client.HTTPConnection | None = None

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=ANSWER_SECONDS
            )
        try:
            self._connection.request("GET", path, headers={"x-apiauth": f"Bearer {self.token}"})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def json(self, path: str) -> Any:
        """Return the body of a 200.

        Raises
        ------
        RuntimeError
            It is another status.
        """
        status, body = self.get(path)
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {status} {body[:200]!r}")
        return json.loads(body)

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def served(conf: Path, command: str) -> Iterator[Client]:
    """Run `appliance serve` or `appliance run`; the body asks its API."""
    appliance = [sys.executable, "-m", "appliance", "-confPath", f"{conf}/"]
    port = int(
        (conf / "appliance.yml").read_text().partition("web.listen: 127.0.0.1:")[2].split()[0]
    )
    client = Client(port)
    log = conf.parent / f"{command}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*appliance, command], stdout=output, stderr=output, cwd=REPOSITORY
        )
    try:
        _wait_for(client, process, log)
        made = subprocess.run(
            [*appliance, "token", "create", "--lifetime", TOKEN_LIFETIME],
            capture_output=True,
            text=True,
            check=True,
            cwd=REPOSITORY,
        )
        client.token = made.stdout.strip()
        yield client
    finally:
        client.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(client):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no API: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def _answers(client: Client) -> bool:
    try:
        client.json("/v1/api/")
    except (OSError, http.client.HTTPException):
        return False
    return True
