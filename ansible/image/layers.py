"""Writes layers of an image: tar files whose octets depend on nothing but what is in them.

References
----------
OCI image specification 1.1, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

_PRIVILEGED = 0o6000
"""Set-user-ID and set-group-ID: nobody in a container becomes another user."""


class Member(NamedTuple):
    """One entry of a layer; `content` only of plain files."""

    entry: tarfile.TarInfo
    content: BinaryIO | None = None


@dataclass(frozen=True)
class Layer:
    """A layer as it is in the image.

    Attributes
    ----------
    file
        The tar, compressed by gzip.
    digest, diff_id
        SHA-256 of the file, and of the tar in it, in hexadecimal digits.
    origin
        What made it, for the image's history.
    """

    file: Path
    digest: str
    diff_id: str
    origin: str


class _Hashed(io.RawIOBase):
    """Hands on what is written, and knows its SHA-256."""

    def __init__(self, output: BinaryIO) -> None:
        self._output, self._sum = output, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, octets: bytes) -> int:  # type: ignore[override]
        self._sum.update(octets)
        return self._output.write(octets)

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


def write_layer(file: Path, members: Iterable[Member], origin: str, level: int) -> Layer:
    """Write a layer in the order of its members.

    Parameters
    ----------
    level
        Of gzip, 1 to 9; another one makes other octets.
    """
    with file.open("wb") as output:
        compressed = _Hashed(output)
        # The header of gzip has neither a name nor a time.
        with gzip.GzipFile("", "wb", level, compressed, mtime=0) as plain:
            hashed = _Hashed(plain)
            with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for entry, content in members:
                    archive.addfile(entry, content)
    return Layer(file, compressed.hexdigest(), hashed.hexdigest(), origin)


def tree_members(tree: Path, owners: Mapping[str, int], epoch: int) -> Iterator[Member]:
    """Yield all that is in a tree, sorted by name.

    Parameters
    ----------
    owners
        User and group of single paths; everything else is root's.
    """
    for path in sorted(tree.rglob("*")):
        entry = same_each_time(_entry_of(path, str(path.relative_to(tree))), epoch)
        entry.uid = entry.gid = owners.get(entry.name, 0)
        if entry.isreg():
            with path.open("rb") as content:
                yield Member(entry, content)
        else:
            yield Member(entry)


def same_each_time(entry: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    """Leave out of an entry what differs between two runs, and nobody needs."""
    entry.mtime = min(int(entry.mtime), epoch)
    entry.uname = entry.gname = ""
    entry.pax_headers = {}
    entry.mode &= 0o7777 & ~_PRIVILEGED
    return entry


def _entry_of(path: Path, name: str) -> tarfile.TarInfo:
    facts, entry = path.lstat(), tarfile.TarInfo(name)
    entry.mode, entry.mtime = stat.S_IMODE(facts.st_mode), facts.st_mtime
    if path.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif path.is_dir():
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = facts.st_size
    return entry
