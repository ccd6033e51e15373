"""The bare Debian 12 that a box is made of: made once with mmdebstrap, kept as an archive.

The packages come from where this machine's own apt gets them. The archive is named by all that goes
into it and by the week, so that it is made anew when one of them changes.
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.box.networks import MANAGEMENT_BOX, NAME_SERVER
from tests.box.processes import run

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
USER = "operator1"
MAKE_SECONDS = 600
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "ifupdown", "isc-dhcp-client", "iproute2"),
    *("iputils-ping", "openssh-server", "python3", "python3-apt", "sudo", "ca-certificates"),
    *("netbase",),
)
_INTERFACES = f"""\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto mgmt0
iface mgmt0 inet static
    address {MANAGEMENT_BOX}/24
"""


def bare_archive(cache: Path, more: Sequence[str] = ()) -> Path:
    """Return the archive of a bare Debian, with more packages; made if it is not in the cache."""
    packages = ",".join((*PACKAGES, *more))
    week = datetime.datetime.now(datetime.UTC).strftime("%G-%V")
    parts = f"{week} {packages} {SOURCES.read_text()}"
    archive = cache / f"debian-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.tar"
    if archive.exists():
        return archive
    for old in sorted(cache.glob("debian-*.tar"), key=lambda path: path.stat().st_mtime)[:-1]:
        old.unlink()
    beside = archive.with_suffix(".partial.tar")
    options = ["--quiet", "--variant=minbase", "--skip=cleanup/apt/lists"]
    run(
        ["mmdebstrap", *options, f"--include={packages}", "bookworm", beside, SOURCES], MAKE_SECONDS
    )
    return beside.rename(archive)


def unpack(archive: Path, root: Path, public_key: str) -> None:
    """Make the tree of one box: its name, its network and a user who may do everything."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    run(["tar", "--extract", "--numeric-owner", "--xattrs", "-C", root, "-f", archive])
    (root / "etc/hostname").write_text("appliance\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 appliance\n")
    (root / "etc/network/interfaces").write_text(_INTERFACES)
    (root / "etc/fstab").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
    (root / "etc/ssh/sshd_config.d/box.conf").write_text("UseDNS no\n")
    run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", USER])
    sudoers = root / "etc/sudoers.d" / USER
    sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    ssh = root / "home" / USER / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "authorized_keys").write_text(public_key)
    run(["chroot", root, "chown", "-R", f"{USER}:", f"/home/{USER}"])
