"""A box in a virtual machine: kernel, initrd, disk and network cards, emulated by qemu.

Without acceleration, which is there in name only on many machines of others; so all takes minutes.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.box.machine import Machine
from tests.box.networks import Networks
from tests.box.processes import attempt, run

PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools"),
    # What the playbook installs: unpacking it takes minutes in an emulated machine.
    *("mariadb-server", "python3-venv", "nftables", "logrotate", "openssl", "zstd", "curl"),
)
DISK = "6G"
MEMORY_MB = 2048
CARDS = {"out0": "52:54:00:08:00:00", "mgmt0": "52:54:00:08:00:01", "eth1": "52:54:00:08:00:02"}
_OUT = "\nauto out0\niface out0 inet dhcp\n"


class TapNetworks(Networks):
    """The tester's network has the other ends of the cards; the machine runs beside them."""

    def start(self) -> None:
        """Make the tester's namespace, the cables and the way out."""
        self.holders = [self.namespace()]
        for lan, _, address in self.cables:
            run(self.in_lan(["ip", "tuntap", "add", lan, "mode", "tap"]))
            run(self.in_lan(["ip", "address", "add", f"{address}/24", "dev", lan]))
            run(self.in_lan(["ip", "link", "set", lan, "up"]))
        run(self.in_lan(["ip", "link", "set", "lo", "up"]))
        self.lead_out()


class VirtualMachine(Machine):
    """A disk that is made of the tree `root` when the machine starts."""

    def start(self) -> None:
        """Make the disk, boot, and wait until one can log in."""
        make_disk(self.folder / "root", self.folder)
        super().start()

    def command(self) -> Sequence[str]:
        """Return what runs it."""
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi"]
        # The emulated processor of old lacks what numpy's wheels are compiled for (SSE 4.2).
        command += ["-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB)]
        command += ["-display", "none", "-serial", "stdio"]
        command += ["-monitor", f"unix:{self._monitor},server,nowait"]
        command += ["-kernel", f"{self.folder}/vmlinuz", "-initrd", f"{self.folder}/initrd.img"]
        command += ["-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off"]
        disk = f"file={self.folder}/disk.qcow2,if=virtio,cache=unsafe,format=qcow2"
        command += ["-drive", disk, "-device", "virtio-rng-pci"]
        for number, (name, lan) in enumerate((("out0", ""), ("mgmt0", "lan0"), ("eth1", "lan1"))):
            kind = f"tap,ifname={lan},script=no,downscript=no" if lan else "user"
            command += ["-netdev", f"{kind},id=n{number}"]
            command += ["-device", f"virtio-net-pci,netdev=n{number},mac={CARDS[name]}"]
        return self.networks.in_lan(command)

    def boots_again(self, status: int) -> bool:
        """A reboot happens inside."""
        return False

    def press_power_button(self) -> None:
        """Let it switch itself off."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor))
            monitor.sendall(b"system_powerdown\n")
            monitor.recv(1000)

    def cut(self) -> None:
        """Take its way out away."""
        self.run("ifdown out0")

    def lead_out(self) -> None:
        """Let it reach what this machine reaches."""
        self.run("ifup out0")

    @property
    def _monitor(self) -> Path:
        return self.folder / "monitor"


def make_disk(root: Path, folder: Path) -> None:
    """Turn a tree into a disk that boots: file systems, names of cards, kernel outside."""
    (root / "etc/fstab").write_text("/dev/vda / ext4 errors=remount-ro,noatime 0 1\n")
    for name, address in CARDS.items():
        link = f"[Match]\nMACAddress={address}\n[Link]\nName={name}\n"
        (root / f"etc/systemd/network/10-{name}.link").write_text(link)
    with (root / "etc/network/interfaces").open("a") as file:
        file.write(_OUT)
    # The names of the cards are given while the initrd runs.
    run(["chroot", root, "update-initramfs", "-u"], 600)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{name}-*")), folder / name)
    raw, disk = folder / "disk.raw", folder / "disk.qcow2"
    options = ["-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1", "-L", "root"]
    run(["mke2fs", *options, "-d", root, raw, DISK], 600)
    run(["qemu-img", "convert", "-O", "qcow2", raw, disk], 600)
    raw.unlink()
    attempt(["rm", "-rf", "--one-file-system", root], 600)
