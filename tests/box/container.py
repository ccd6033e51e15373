"""A box in a container: systemd booted for real by systemd-nspawn, in seconds."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.box.machine import Machine

REBOOT_STATUS = 133
"""What systemd-nspawn ends with, with --keep-unit, when the system inside asks for a reboot."""

_POWER_OFF = signal.SIGRTMIN + 4


class Container(Machine):
    """The tree `root` in the machine's folder, in a control group of its own.

    Boxes of two runs of the tests would see each other's units otherwise.

    Attributes
    ----------
    will_be_upgraded
        It boots as a newer release needs it: that one's systemd takes over while it runs.
    """

    will_be_upgraded = False

    @property
    def root(self) -> Path:
        """The tree."""
        return self.folder / "root"

    def command(self) -> Sequence[str]:
        """Return what runs it."""
        groups = _cgroups(self._cgroup)
        for folder in groups:
            folder.mkdir(exist_ok=True)
        enter = " ".join(f"echo $$ > {folder}/cgroup.procs;" for folder in groups)
        options = ["--quiet", f"--directory={self.root}", f"--machine=box-{os.getpid()}"]
        options += ["--hostname=appliance", "--register=no", "--keep-unit", "--console=pipe"]
        options += ["--boot", f"--network-namespace-path={self.networks.box_path}"]
        options += ["--capability=CAP_NET_ADMIN", "--resolv-conf=off", "--timezone=off"]
        start = ["env", *self._variables(), "systemd-nspawn"]
        return ["sh", "-c", f'{enter} exec "$@"', "sh", *start, *options]

    def boots_again(self, status: int) -> bool:
        """Tell whether it ended only to boot again."""
        return status == REBOOT_STATUS

    def press_power_button(self) -> None:
        """Let it switch itself off."""
        self._signal(_POWER_OFF)

    def kill(self) -> None:
        """Take the power away."""
        self._signal(signal.SIGKILL)
        super().kill()

    def stop(self) -> None:
        """Switch off and leave nothing behind."""
        super().stop()
        for folder in _cgroups(self._cgroup):
            _remove(folder)

    def _variables(self) -> Sequence[str]:
        """Return the variables that tell systemd-nspawn what the release in the tree needs."""
        facts = (self.root / "usr/lib/os-release").read_text()
        number = re.search(r'^VERSION_ID="(\d+)"$', facts, re.MULTILINE)
        assert number, facts
        if int(number[1]) < 13 and not self.will_be_upgraded:
            return ()
        return (
            # The systemd of Debian 13 starts with no other hierarchy; this machine may still have
            # the older ones.
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
            # Its DHCP client gives up where it cannot write an interface's settings in
            # /proc/sys/net.
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network",
        )

    @property
    def _cgroup(self) -> str:
        return f"appliance-box-{os.getpid()}-{id(self)}"

    def _signal(self, number: int) -> None:
        """Signal the first process inside, the child of systemd-nspawn."""
        if self.process is None:
            return
        pid = self.process.pid
        with suppress(OSError, IndexError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(children[0]), number)


def _cgroups(name: str) -> list[Path]:
    """Return the folder of a control group in each hierarchy that this machine has."""
    lines = Path("/proc/mounts").read_text().splitlines()
    mounts = [line.split()[1] for line in lines if line.split()[2] in ("cgroup", "cgroup2")]
    made = [Path(mount) / name for mount in mounts]
    for folder in made:
        if "/cpuset" in str(folder) and not folder.exists():
            folder.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):
                (folder / file).write_text((folder.parent / file).read_text())
    return made


def _remove(folder: Path) -> None:
    """Remove a control group with those below it; they empty themselves after their processes."""
    end = time.monotonic() + 10
    while folder.exists() and time.monotonic() < end:
        for inner in sorted(folder.rglob("*"), reverse=True):
            if inner.is_dir():
                with suppress(OSError):
                    inner.rmdir()
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.1)
