"""A box to change the network of: namespaces of its own, the real ifupdown, a neighbour.

Nothing of this machine's network or files is touched: the box has its own interfaces, and its own
/etc, /run and /var/lib. When its processes end, so does all of it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.privileged.client import exchange

ROOT = Path(__file__).parents[2]
INTERFACE = "nfa0"
PROGRAMS = ("ifup", "ifquery", "ip", "unshare", "nsenter", "mount")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}

_MISSING = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or bool(_MISSING),
    reason="NOT TESTED on a real interface: "
    + (f"missing {', '.join(_MISSING)}" if _MISSING else "needs root"),
)
needs_dhcp = pytest.mark.skipif(
    not all(shutil.which(name, path=PATH) for name in ("dnsmasq", "dhclient")),
    reason="NOT TESTED with DHCP: install Debian's packages dnsmasq-base and isc-dhcp-client",
)

_MOUNTS = """
set -e
mount --bind "$1/etc" /etc
mount --bind "$1/var-lib" /var/lib
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mkdir -p /run/network
ip link set lo up
echo ready
exec sleep 600
"""


def _wait_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


@dataclass
class Box:
    """Two processes that hold the namespaces, and what runs in them."""

    folder: Path
    box: subprocess.Popen[bytes]
    neighbour: subprocess.Popen[bytes]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def state_folder(self) -> Path:
        return self.folder / "var-lib" / "netflow-appliance-helper"

    @property
    def helper_command(self) -> tuple[str, ...]:
        return (*self.inside(), sys.executable, "-m", "appliance.privileged.helper")

    def inside(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self.box.pid), "-m", "-n", "--")

    def beside(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self.neighbour.pid), "-n", "--")

    def run(self, *command: str, where: tuple[str, ...] | None = None) -> str:
        done = subprocess.run(
            [*(self.inside() if where is None else where), *command],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def background(self, *command: str) -> None:
        """Run a program with the neighbour until the box is gone."""
        self.running.append(
            subprocess.Popen([*self.beside(), *command], env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        )

    def connected(self) -> socket.socket:
        """Start a helper as systemd does, and return the other end of its connection."""
        here, there = socket.socketpair()
        with there:
            self.running.append(
                subprocess.Popen(self.helper_command, stdin=there.fileno(), env=ENVIRONMENT)
            )
        here.settimeout(60)
        return here

    def ask(self, act: str, **values: str) -> dict[str, Any]:
        """Let a helper answer one request."""
        with self.connected() as connection:
            return exchange(connection, {"act": act, **values})

    def change(self) -> dict[str, Any]:
        found = self.ask("network_status")["change"]
        assert isinstance(found, dict)
        return found

    def change_ends(self, seconds: float = 60) -> dict[str, Any]:
        return self.until(lambda: not self.change()["inProgress"], seconds)

    def until(self, is_so: Callable[[], bool], seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, self.change()
        return self.change()

    def addresses(self) -> list[str]:
        lines = self.run("ip", "-4", "-o", "address", "show", "dev", INTERFACE).splitlines()
        return [line.split()[3] for line in lines]

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)

    def kill_helpers(self) -> None:
        """Take away everything that waits, as a power cut would."""
        for process in self.running:
            process.kill()
            process.wait()
        self.running.clear()


@contextmanager
def started_box(folder: Path, interfaces: str) -> Iterator[Box]:
    """Start a box with this /etc/network/interfaces and a cable to its neighbour."""
    shutil.copytree("/etc", folder / "etc", symlinks=True, ignore_dangling_symlinks=True)
    (folder / "var-lib" / "dhcp").mkdir(parents=True)
    for name in ("resolv.conf", "network/interfaces"):
        (folder / "etc" / name).unlink(missing_ok=True)
    (folder / "etc/resolv.conf").write_text(
        "# of the box\nsearch example.net\nnameserver 9.9.9.9\n"
    )
    (folder / "etc/network/interfaces").write_text(interfaces)
    hold = ["unshare", "-n", "sh", "-c", "echo ready; exec sleep 600"]
    inner = ["unshare", "-n", "-m", "sh", "-c", _MOUNTS, "sh", str(folder)]
    neighbour = subprocess.Popen(hold, stdout=subprocess.PIPE, env=ENVIRONMENT)
    box = subprocess.Popen(inner, stdout=subprocess.PIPE, env=ENVIRONMENT)
    made = Box(folder, box, neighbour)
    try:
        _wait_ready(neighbour)
        _wait_ready(box)
        made.run(
            *("ip", "link", "add", INTERFACE, "type", "veth"),
            *("peer", "name", "lan0", "netns", str(neighbour.pid)),
        )
        made.run("ip", "link", "set", "lan0", "up", where=made.beside())
        yield made
    finally:
        made.kill_helpers()
        _end_everything_in(made)
        for process in (box, neighbour):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _end_everything_in(made: Box) -> None:
    """End what stayed in the background, such as a DHCP client: by its namespace."""
    own = os.stat(f"/proc/{made.box.pid}/ns/net").st_ino
    here = os.stat("/proc/self/ns/net").st_ino
    assert own != here
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.stat(entry / "ns/net").st_ino == own and int(entry.name) != made.box.pid:
                os.kill(int(entry.name), 9)
        except OSError:
            continue
