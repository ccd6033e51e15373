"""`appliance serve` under systemd: it says when it answers, that it lives, and when it stops."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 30.0
MOST_LINES = 20


@pytest.fixture
def starter(tmp_path):
    """The socket that systemd would listen to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(SECONDS)
        yield listening


def heard(starter, wanted: str) -> list[str]:
    lines: list[str] = []
    while wanted not in lines:
        lines += starter.recv(4096).decode().splitlines()
        assert len(lines) < MOST_LINES, f"not told {wanted}"
    return lines


def test_serve_when_a_starter_listens_then_it_hears_ready_alive_and_stopping(
    conf, tmp_path, starter
):
    folder = conf(f"data_directory: {tmp_path}/data\nweb.listen: unix:{tmp_path}/api.sock\n")
    (folder / "api_server.yml").write_text(f"listen: {{address: 'unix:{tmp_path}/b.sock'}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "-confPath", f"{folder}/", "serve"],
        env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        assert "WATCHDOG=1" not in heard(starter, "READY=1")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "api.sock"))
        heard(starter, "WATCHDOG=1")
        process.terminate()
        heard(starter, "STOPPING=1")
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
