"""Two network namespaces: one is the box's, in the other one are the tester and the exporters.

They belong to processes, not to names, so nothing is left of them when the tests end, however they
end. Two cables join them, `mgmt0` and `eth1` on the box; a third way leads out of the box, for the
packages of the distribution, through slirp4netns. The network of this machine stays as it is.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.box.processes import attempt, eventually, run, started, stopped

MANAGEMENT_LAN, MANAGEMENT_BOX = "198.18.8.1", "198.18.8.2"
TEST_LAN = "198.18.9.1"
NAME_SERVER = "10.0.2.3"
"""Where slirp4netns answers for the resolver of this machine."""

CABLES = (("lan0", "mgmt0", MANAGEMENT_LAN), ("lan1", "eth1", TEST_LAN))


class Networks:
    """The namespaces, from `start` to `stop`; the tester's is the last of `holders`."""

    cables = CABLES

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.holders: list[subprocess.Popen[bytes]] = []
        self._outside: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the namespaces, the cables and the way out."""
        self.holders = [self.namespace(), self.namespace()]
        for lan, box, address in self.cables:
            box_number = str(self.holders[0].pid)
            cable = ["ip", "link", "add", lan, "type", "veth", "peer", "name", box]
            run(self.in_lan([*cable, "netns", box_number]))
            run(self.in_lan(["ip", "address", "add", f"{address}/24", "dev", lan]))
            run(self.in_lan(["ip", "link", "set", lan, "up"]))
        run(self.in_lan(["ip", "link", "set", "lo", "up"]))
        self.lead_out()

    def stop(self) -> None:
        """Undo all that."""
        self.cut()
        while self.holders:
            stopped(self.holders.pop(), signal.SIGKILL)

    @property
    def box_path(self) -> Path:
        """The box's namespace, for systemd-nspawn."""
        return Path(f"/proc/{self.holders[0].pid}/ns/net")

    def in_lan(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command as the tester runs it."""
        return ["nsenter", f"--net=/proc/{self.holders[-1].pid}/ns/net", *map(str, command)]

    def in_box(self, command: Sequence[str | Path]) -> list[str]:
        """Return a command of this machine that runs in the box's namespace."""
        return ["nsenter", f"--net={self.box_path}", *map(str, command)]

    def cut(self) -> None:
        """Take the way out away: the box has only the tester for a neighbour."""
        if self._outside is not None:
            stopped(self._outside, signal.SIGKILL)
            self._outside = None

    def lead_out(self) -> None:
        """Let the box reach what this machine reaches."""
        self._outside = self._way_out()

    def namespace(self) -> subprocess.Popen[bytes]:
        """Make a namespace, and return the process that holds it."""
        command = ["unshare", "--net", "sleep", "infinity"]
        holder = started(command, self._folder / "networks.log")
        own = Path("/proc/self/ns/net").readlink()
        path = Path(f"/proc/{holder.pid}/ns/net")
        eventually(lambda: path.readlink() != own, "in a namespace of its own", 10)
        return holder

    def _way_out(self) -> subprocess.Popen[bytes]:
        options = ["--configure", "--mtu=1500", "--disable-host-loopback"]
        command = ["slirp4netns", *options, str(self.holders[0].pid), "tap0"]
        holder = started(command, self._folder / "slirp.log")
        there = ["ip", "-4", "address", "show", "dev", "tap0"]
        eventually(lambda: "inet " in (attempt(self.in_box(there)).stdout or ""), "led out", 10)
        return holder
