"""Debian's snmpd on a free port of loopback, with a community and a user of version 3."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AUTH_KEY, PRIVACY_KEY = "authpass123", "privpass123"
OLD_COMMUNITY = "without-ifXTable"
PROGRAM = shutil.which("snmpd", path="/usr/sbin:/usr/bin")

_CONFIGURATION = f"""\
agentAddress udp:127.0.0.1:{{port}}
rocommunity public 127.0.0.1
view old included .1
view old excluded .1.3.6.1.2.1.31
rocommunity {OLD_COMMUNITY} 127.0.0.1 -V old
createUser reader SHA-256 {AUTH_KEY} AES {PRIVACY_KEY}
rouser reader priv
sysName debian
"""
_SECONDS = 20.0


@contextmanager
def snmpd(folder: Path) -> Iterator[int]:
    """Run the daemon; yield its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        port: int = own.getsockname()[1]
    file = folder / "snmpd.conf"
    file.write_text(_CONFIGURATION.format(port=port))
    log = folder / "snmpd.log"
    command = [PROGRAM or "snmpd", "-f", "-C", "-c", str(file), "-Lf", str(log), "-I", "-smux"]
    environment = {"SNMP_PERSISTENT_DIR": str(folder / "snmpd"), "MIBS": ""}
    daemon = subprocess.Popen(command, env=environment)
    try:
        _wait_until_it_listens(log, daemon)
        yield port
    finally:
        daemon.terminate()
        daemon.wait()


def _wait_until_it_listens(log: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not log.exists() or "NET-SNMP version" not in log.read_text():
        assert daemon.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)
