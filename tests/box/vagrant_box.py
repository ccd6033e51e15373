"""A Vagrant box for libvirt that boots by itself, made of a tree without any loop device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.box.processes import run

GRUB = Path("/usr/lib/grub/i386-pc")
_GEMS = Path("/usr/share/rubygems-integration/all/gems")
_SECTOR, _FIRST_SECTOR, _BOOT_OCTETS = 512, 2048, 440
_MIB = 1024 * 1024
_SIZE_MIB = 6144
_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "serial")
_MENU = """\
set timeout=0
menuentry debian {{
    linux /boot/{kernel} root=/dev/vda1 rw console=ttyS0 net.ifnames=0 mitigations=off
    initrd /boot/{initrd}
}}
"""
_INTERFACES = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto eth0
iface eth0 inet dhcp
"""


def public_key() -> Path | None:
    """Return the key that every new Vagrant box knows, None where Vagrant is not installed."""
    return next(_GEMS.glob("vagrant-*/keys/vagrant.pub"), None)


def make_box(root: Path, folder: Path) -> Path:
    """Turn a tree into a box file; the tree is changed."""
    _prepare(root)
    disk = folder / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(_SIZE_MIB * _MIB)
    run(["sfdisk", "-q", disk], input=f"{_FIRST_SECTOR},,83,*\n")
    offset = f"offset={_FIRST_SECTOR * _SECTOR},lazy_itable_init=1"
    size = f"{_SIZE_MIB - 1}M"
    run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-E", offset, "-L", "root", "-d", root, disk, size],
        600,
    )
    _make_bootable(disk, folder / "core.img")
    inside = folder / "inside"
    inside.mkdir()
    run(["qemu-img", "convert", "-O", "qcow2", disk, inside / "box.img"], 600)
    disk.unlink()
    facts = {"provider": "libvirt", "format": "qcow2", "virtual_size": _SIZE_MIB // 1024}
    (inside / "metadata.json").write_text(json.dumps(facts))
    (inside / "Vagrantfile").write_text('Vagrant.configure("2") {}\n')
    box = folder / "debian.box"
    run(["tar", "-C", inside, "-cf", box, "metadata.json", "Vagrantfile", "box.img"], 600)
    shutil.rmtree(inside)
    return box


def _prepare(root: Path) -> None:
    """Give the tree what a box has: the user vagrant, a boot menu, one card with DHCP."""
    (root / "etc/fstab").write_text("/dev/vda1 / ext4 errors=remount-ro,noatime 0 1\n")
    (root / "etc/network/interfaces").write_text(_INTERFACES)
    run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", "vagrant"])
    (root / "etc/sudoers.d/vagrant").write_text("vagrant ALL=(ALL) NOPASSWD: ALL\n")
    ssh = root / "home/vagrant/.ssh"
    ssh.mkdir(mode=0o700)
    key = public_key()
    assert key is not None
    shutil.copy(key, ssh / "authorized_keys")
    run(["chroot", root, "chown", "-R", "vagrant:", "/home/vagrant"])
    grub = root / "boot/grub"
    shutil.copytree(GRUB, grub / "i386-pc")
    names = {
        "kernel": next((root / "boot").glob("vmlinuz-*")).name,
        "initrd": next((root / "boot").glob("initrd.img-*")).name,
    }
    (grub / "grub.cfg").write_text(_MENU.format(**names))


def _make_bootable(disk: Path, core: Path) -> None:
    """Put GRUB's first stage and its core before the first partition."""
    prefix = "(hd0,msdos1)/boot/grub"
    run(["grub-mkimage", "-O", "i386-pc", "-o", core, "-p", prefix, *_MODULES])
    with disk.open("r+b") as file:
        file.write((GRUB / "boot.img").read_bytes()[:_BOOT_OCTETS])
        file.seek(_SECTOR)
        file.write(core.read_bytes())
