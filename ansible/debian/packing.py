"""Packs a filled tree with dpkg-deb, and knows the package's names, version and relations."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from debian.environment import PYTHON, run

NAME = "netflow-appliance"
MAINTAINER = "The authors of the NetFlow appliance <netflow-appliance@localhost.localdomain>"
SUMMARY = "NetFlow, IPFIX and sFlow collector with a flow log, REST API and web console"
DESCRIPTION = """\
Receives what routers, switches and firewalls tell of their traffic, keeps
every flow on disk, and answers who talked to whom, how much, and with what
application: on the command line, by an API and in a browser.
.
Brings the libraries that it uses, in the versions that it is tested with,
in a virtual environment of its own below /opt. Needs no database server."""
DEPENDS = (
    *("ca-certificates", "libc6 (>= 2.28)", "libgcc-s1", "libstdc++6", "passwd", "python3"),
    *(PYTHON, "systemd"),
)
RECOMMENDS = ("bash-completion", "systemd-timesyncd | time-daemon")
SUGGESTS = ("ifupdown", "mariadb-server", "nginx", "nftables", "pmacct", "zstd")

_UNFINISHED = re.compile(r"(\.dev|a|b|rc)(?=\d)")


@dataclass(frozen=True)
class Package:
    """What the names and control files of one package are made of.

    Attributes
    ----------
    version
        As dpkg compares it: of the program, with the release that the package is for.
    epoch
        Seconds; the time of every file.
    """

    upstream: str
    version: str
    architecture: str
    epoch: int

    @classmethod
    def of(cls, wheel: Path, epoch: int) -> Package:
        """Return the package of the project's wheel, for this machine."""
        upstream = wheel.name.split("-")[1]
        # In Debian's order 1.0rc1 comes after 1.0, unless a tilde stands before it.
        comparable = _UNFINISHED.sub(lambda part: f"~{part[1].replace('.', '~')}", upstream)
        release = platform.freedesktop_os_release()
        suffix = f"deb{release['VERSION_ID']}" if "VERSION_ID" in release else "debsid"
        command = ["dpkg", "--print-architecture"]
        architecture = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return cls(upstream, f"{comparable}-1~{suffix}", architecture.strip(), epoch)

    def changelog(self) -> str:
        """Return Debian's change log, whose one entry points to ours."""
        day = format_datetime(datetime.fromtimestamp(self.epoch, UTC))
        head = f"{NAME} ({self.version}) stable; urgency=medium\n\n"
        text = f"  * Version {self.upstream}; what is new in it is in changelog.gz.\n\n"
        return f"{head}{text} -- {MAINTAINER}  {day}\n"

    def control(self, installed_kib: int) -> str:
        """Return the control file."""
        fields = {
            "Package": NAME,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": MAINTAINER,
            "Installed-Size": str(installed_kib),
            "Depends": ", ".join(DEPENDS),
            "Recommends": ", ".join(RECOMMENDS),
            "Suggests": ", ".join(SUGGESTS),
            "Section": "net",
            "Priority": "optional",
            "Description": "\n ".join([SUMMARY, *DESCRIPTION.splitlines()]),
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


def pack(tree: Path, folder: Path, package: Package, compression: str) -> Path:
    """Write the package; it appears when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}_{package.version}_{package.architecture}.deb"
    beside = target.with_suffix(".partial")
    # Two threads at least: with one, xz makes other octets than with several.
    options = [f"-Z{compression}", "-z2", "--threads-max=2", "--root-owner-group"]
    run("dpkg-deb", *options, "--build", tree, beside)
    return beside.rename(target)


def checksums(tree: Path) -> str:
    """Return the digests that `dpkg --verify` compares."""
    files = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    names = sorted(str(path.relative_to(tree)) for path in files)
    kept = [name for name in names if not name.startswith(("DEBIAN/", "etc/"))]
    digests = {name: hashlib.md5((tree / name).read_bytes()).hexdigest() for name in kept}  # noqa: S324 - dpkg's format
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def installed_kib(tree: Path) -> int:
    """Return what it takes on disk, as Debian's policy counts: each file in whole KiB."""
    sizes = (path.lstat().st_size if path.is_file() else 1024 for path in tree.rglob("*"))
    return sum(-(-size // 1024) for size in sizes)
