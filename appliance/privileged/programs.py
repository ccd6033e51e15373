"""The programs that the privileged helper runs, and what it asks the kernel.

Absolute paths, fixed arguments, a clean environment, never a shell. Output goes to a file, because
a DHCP client that stays in the background would hold a pipe open.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path

from appliance.privileged.protocol import COLLECTOR_UNIT

ROLLBACK_TIMER = "appliance-network-rollback.timer"

IFUP_SECONDS = 120.0
IFDOWN_SECONDS = 60.0
SHORT_SECONDS = 20.0
COLLECTOR_SECONDS = 110.0

log = logging.getLogger(__name__)

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_MOST_SAID = 300
_DISCARD_PORT = 9
_REACHABLE = 0x2
"""Of `/proc/net/arp`: the address has answered (ATF_COM)."""


class ProgramFailed(Exception):  # noqa: N818 - it says what is the case
    """A program could not be run, took too long or ended with an error; the text says which."""


class Programs:
    """Runs what a change of the network, a restart and the collector need.

    Parameters
    ----------
    root
        `/`; another folder in tests, whose programs are run instead.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def ifup(self, interface: str) -> None:
        """Bring an interface up as /etc/network/interfaces says now."""
        self._run(IFUP_SECONDS, "sbin/ifup", interface)

    def ifdown(self, interface: str) -> None:
        """Take an interface down as /etc/network/interfaces says now, and all its addresses."""
        for program, *arguments in (
            # By force: what something else than ifup brought up is taken down as well.
            ("sbin/ifdown", "--force", interface),
            ("sbin/ip", "-4", "address", "flush", "dev", interface),
            ("sbin/ip", "neighbour", "flush", "dev", interface),
        ):
            try:
                self._run(IFDOWN_SECONDS, program, *arguments)
            except ProgramFailed as error:
                # A hook that fails must not keep the interface from getting other settings, and
                # a VLAN's interface is gone when it is down.
                log.warning("%s", error)

    def ifquery(self, file: Path, interface: str) -> set[tuple[str, str]]:
        """Return the options that ifupdown reads for an interface, of all its stanzas."""
        said = self._run(SHORT_SECONDS, "sbin/ifquery", "--interfaces", str(file), interface)
        pairs = (line.partition(": ") for line in said.splitlines())
        return {(name, value) for name, _, value in pairs}

    def arm_rollback(self) -> None:
        """Make sure that the timer runs which takes a change back when this process cannot."""
        if self.has_systemd:
            self._run(SHORT_SECONDS, "bin/systemctl", "start", ROLLBACK_TIMER)

    def reboot(self) -> None:
        """Restart the machine, a second from now."""
        self._in_a_second("reboot")

    def power_off(self) -> None:
        """Switch the machine off, a second from now."""
        self._in_a_second("poweroff")

    def collector(self, verb: str) -> None:
        """Start or stop the collector's unit, or forget that it failed (`reset-failed`)."""
        self._run(COLLECTOR_SECONDS, "bin/systemctl", verb, COLLECTOR_UNIT)

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs this machine."""
        return (self._root / "run/systemd/system").is_dir()

    def _in_a_second(self, verb: str) -> None:
        # systemd keeps the time, so that the answer can leave first and a refusal is still heard.
        systemctl = str(self._root / "bin/systemctl")
        timer = ("--quiet", "--collect", "--on-active=1s", "--timer-property=AccuracySec=100ms")
        self._run(SHORT_SECONDS, "usr/bin/systemd-run", *timer, systemctl, verb)

    def _run(self, seconds: float, program: str, *arguments: str) -> str:
        """Run a program and return what it said.

        Raises
        ------
        ProgramFailed
            It did not end well.
        """
        name = program.rpartition("/")[2]
        with tempfile.TemporaryFile() as output:
            try:
                child = subprocess.Popen(
                    [str(self._root / program), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env=_ENVIRONMENT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProgramFailed(f"{name} cannot be run: {error.strerror}") from None
            try:
                status = child.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise ProgramFailed(f"{name} took longer than {seconds:.0f} seconds") from None
            output.seek(0)
            said = output.read(1_000_000).decode(errors="replace")
        if status:
            last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
            reason = last.strip()[:_MOST_SAID] or f"ended with {status}"
            raise ProgramFailed(f"{name}: {reason}")
        return said


class Kernel:
    """What the kernel knows of the machine and its network."""

    def boot(self) -> str:
        """Return what names this run of the machine."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def seconds_since_boot(self) -> float:
        """Return the time that also counts while the machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def seconds_running(self) -> float:
        """Return how long this machine runs; a container counts from its own start."""
        fields = Path("/proc/1/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks = int(fields[19])
        return self.seconds_since_boot() - ticks / os.sysconf("SC_CLK_TCK")

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def has_interface(self, interface: str) -> bool:
        """Tell whether there is such an interface."""
        return any(name == interface for _, name in socket.if_nameindex())

    def default_gateway(self, interface: str) -> str:
        """Return the IPv4 default gateway behind an interface; empty without one."""
        for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
            name, network, gateway, *_ = line.split()
            if name == interface and int(network, 16) == 0 and int(gateway, 16) != 0:
                return str(IPv4Address(struct.pack("=L", int(gateway, 16))))
        return ""

    def answers(self, gateway: str, interface: str) -> bool:
        """Ask a neighbour for its hardware address, and tell whether it has answered.

        That is an answer also from a gateway that drops everything else.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            try:
                asking.sendto(b"", (gateway, _DISCARD_PORT))
            except OSError:
                return False
        self.pause(0.3)
        for line in Path("/proc/net/arp").read_text(encoding="ascii").splitlines()[1:]:
            address, _, flags, _, _, device = line.split()
            if address == gateway and device == interface:
                return bool(int(flags, 16) & _REACHABLE)
        return False
