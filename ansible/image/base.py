"""The lower layer: the few packages of Debian that the appliance needs, put together by mmdebstrap.

It has no apt: an image is replaced by a newer one, not upgraded.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from debian.bill_of_materials import debian_components
from debian.building import BuildError

from image.layers import Member, same_each_time

PACKAGES = ("ca-certificates", "libstdc++6", "netbase", "python3", "tini", "tzdata")
"""Beside Debian's essential ones; tini is the first process, the rest is for the program."""

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
STATUS = "var/lib/dpkg/status"
"""The list of packages in it, which scanners read."""

USER = 2055
"""User and group, by number, so that Kubernetes can tell that it is not root."""

ACCOUNT = f"netflow:x:{USER}:{USER}:NetFlow appliance:/var/lib/netflow-appliance:/usr/sbin/nologin"
DROPPED = re.compile(
    # What nobody reads in a container; the licences stay.
    r"usr/share/(man|info|locale|lintian|doc-base)/.+|usr/share/doc/[^/]+/(?!copyright$)"
    # What names the machine that builds, or when.
    r"|"
    r"etc/(apt|hostname$|resolv\.conf$|machine-id$|(passwd|group|shadow|gshadow|subuid|subgid)-$)"
    r"|var/lib/(apt|systemd)\b|var/cache/[^/]+/|var/log/.+|(dev|run|tmp|boot|media|mnt|srv)/.+"
)
_DOCUMENTS = re.compile(r"usr/share/doc/([^/]+)(/copyright)?")


def make_base(folder: Path, epoch: int) -> Path:
    """Make the tree of Debian's packages, of the release of this machine; return it as a tar file.

    Raises
    ------
    BuildError
        mmdebstrap is missing, or says why it cannot.
    """
    if shutil.which("mmdebstrap") is None:
        raise BuildError("expected mmdebstrap: apt-get install mmdebstrap")
    made = folder / "base.tar"
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}"]
    command += [_append("passwd", ACCOUNT), _append("group", f"netflow:x:{USER}:")]
    command += [release, str(made), *([str(SOURCES)] if SOURCES.is_file() else [])]
    # Python's modules are compiled meanwhile; the seed decides about the order in sets.
    same = {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, env=os.environ | same, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"mmdebstrap: {' '.join(done.stderr.split()[-40:])}")
    return made


def base_members(base: Path, epoch: int) -> Iterator[Member]:
    """Yield the tree's entries, but for devices and what is of the machine that builds."""
    with tarfile.open(base) as archive:
        for entry in archive:
            entry.name = entry.name.removeprefix("./").rstrip("/")
            if entry.name in ("", ".") or entry.isdev() or DROPPED.match(entry.name):
                continue
            if entry.islnk():
                entry.linkname = entry.linkname.removeprefix("./")
            content = archive.extractfile(entry) if entry.isreg() else None
            yield Member(same_each_time(entry, epoch), content)


def debian_bill(base: Path) -> list[dict[str, Any]]:
    """Describe each package in the tree, for the bill of materials."""
    texts, links, status = {}, {}, ""
    with tarfile.open(base) as archive:
        for entry in archive:
            name = entry.name.removeprefix("./")
            match = _DOCUMENTS.fullmatch(name)
            if match and entry.issym():
                links[match[1]] = entry.linkname
            elif entry.isreg() and (name == STATUS or (match and match[2])):
                text = _text_of(archive, entry)
                if match:
                    texts[match[1]] = text
                else:
                    status = text
    # Packages of one source share their documents.
    texts |= {name: texts[link] for name, link in links.items() if link in texts}
    return list(debian_components(status, texts))


def _text_of(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    file = archive.extractfile(entry)
    return file.read().decode(errors="replace") if file is not None else ""


def _append(file: str, line: str) -> str:
    return f"--customize-hook=echo '{line}' >>\"$1/etc/{file}\""
