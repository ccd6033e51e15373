"""The bare Debian that a box is made of: made once with mmdebstrap, kept as an archive.

The packages come from where this machine's own apt gets them, of the release that is asked for. The
archive is named by all that goes into it and by the week, so that it is made anew when one of them
changes.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.box.networks import MANAGEMENT_BOX, NAME_SERVER
from tests.box.processes import run
from tests.box.releases import RELEASES, Release

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
USER = "operator1"
MAKE_SECONDS = 600
KEPT_ARCHIVES = 3
"""Of one release, beside a new one: boxes in virtual machines have packages of their own, and so
have what makes the Debian package and what runs the unit tests."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "ifupdown", "iproute2"),
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


def bare_archive(cache: Path, release: Release, more: Sequence[str] = ()) -> Path:
    """Return the archive of a bare Debian, with more packages; made if it is not in the cache."""
    packages = ",".join((*PACKAGES, release.dhcp_client, *more))
    week = datetime.datetime.now(datetime.UTC).strftime("%G-%V")
    sources = sources_of(release, SOURCES.read_text())
    parts = f"{week} {packages} {sources}"
    prefix = f"debian-{release.name}-"
    archive = cache / f"{prefix}{hashlib.sha256(parts.encode()).hexdigest()[:16]}.tar"
    if archive.exists():
        return archive
    kept = sorted(cache.glob(f"{prefix}*.tar"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-KEPT_ARCHIVES]:
        old.unlink()
    beside, file = archive.with_suffix(".partial.tar"), archive.with_suffix(".sources")
    file.write_text(sources)
    options = ["--quiet", "--variant=minbase", "--skip=cleanup/apt/lists"]
    if release.name not in RELEASES:
        # What is no release yet expires within a week; a mirror's older copy will do for a test.
        options.append('--aptopt=Acquire::Check-Valid-Until "false"')
    command = ["mmdebstrap", *options, f"--include={packages}", release.name, beside, file]
    try:
        run(command, MAKE_SECONDS)
    finally:
        file.unlink()
    return beside.rename(archive)


def sources_of(release: Release, text: str) -> str:
    """Return apt's sources of this machine as they are for a release: the suites are its own."""
    return re.sub(rf"\b({'|'.join(RELEASES)})\b", release.name, text)


def extract(archive: Path, root: Path) -> None:
    """Make a tree of an archive."""
    root.mkdir(parents=True)
    run(["tar", "--extract", "--numeric-owner", "--xattrs", "-C", root, "-f", archive])


def inside(tree: Path, *options: str) -> list[str | Path]:
    """Return what runs a command in a tree that is not booted, on this machine's network."""
    fixed = ["--quiet", f"--directory={tree}", f"--machine=tree-{os.getpid()}", "--pipe"]
    fixed += ["--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off"]
    return ["systemd-nspawn", *fixed, *options]


def unpack(archive: Path, root: Path, public_key: str) -> None:
    """Make the tree of one box: its name, its network and a user who may do everything."""
    shutil.rmtree(root, ignore_errors=True)
    extract(archive, root)
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
