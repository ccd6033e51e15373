"""The archive of a backup: a tar file, compressed with zstd, whose first member is its manifest.

The manifest names every other member with its size and SHA-256. What is read is untrusted: nothing
is written outside the given folder, nothing but plain files is taken, and nothing that the manifest
does not name, nor more than it says; the folder is complete and checked when `unpack` returns.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from appliance import __version__
from appliance.backups.rights import own_rights
from appliance.errors import ApplianceError

FORMAT = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_OCTETS = 16 * 1024 * 1024
MAX_ENTRY_OCTETS = 8 * 1024
"""What a member may take beside its content."""

_CHUNK_OCTETS = 1024 * 1024
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,5}[A-Za-z0-9.+-]{0,60}", re.ASCII)
_OWNER_ONLY = 0o600


class BackupError(ApplianceError):
    """A backup cannot be made, read or put back."""

    def __init__(self, file: Path | str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds.

    Attributes
    ----------
    version
        Of the appliance that made it.
    made
        When, ISO 8601 in UTC.
    files
        Size and SHA-256 by name.
    """

    version: str
    made: str
    files: dict[str, tuple[int, str]]
    format: int = FORMAT

    def text(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def pack(folder: Path, archive: Path, made: str) -> Manifest:
    """Write everything below a folder to an archive, which appears when it is complete.

    Raises
    ------
    BackupError
        It cannot be written.
    """
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    manifest = Manifest(__version__, made, {name: _facts(folder / name) for name in names})
    beside = archive.with_name(f"{archive.name}.part")
    try:
        with _writer(beside) as tar:
            text = manifest.text()
            tar.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
            for name in names:
                with (folder / name).open("rb") as file:
                    tar.addfile(_entry(name, manifest.files[name][0]), file)
        with own_rights():
            os.replace(beside, archive)
    except OSError as error:
        with own_rights():
            beside.unlink(missing_ok=True)
        raise BackupError(archive, f"cannot be written: {_reason(error)}") from None
    return manifest


def unpack(
    archive: Path, folder: Path, belongs: Callable[[str], bool] = lambda name: True
) -> Manifest:
    """Write what an archive holds to an empty folder, and check all of it.

    Parameters
    ----------
    belongs
        Whether a backup can hold a file of that name.

    Raises
    ------
    BackupError
        It cannot be read, is damaged, was made by a newer version, or needs more than is free.
    """
    try:
        with _open(archive) as (tar, stream):
            manifest = _manifest(archive, tar.next(), tar)
            for name in manifest.files:
                if not belongs(name):
                    raise BackupError(archive, f"{name[:200]!r} does not belong into a backup")
            octets = sum(octets for octets, _ in manifest.files.values())
            _check_space(archive, folder, octets)
            stream.left += octets + MAX_ENTRY_OCTETS * (len(manifest.files) + 16)
            _extract_all(archive, tar, folder, manifest)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BackupError(archive, f"is no whole backup: {_reason(error)}") from None
    return manifest


def _check_space(archive: Path, folder: Path, octets: int) -> None:
    free = shutil.disk_usage(folder).free
    if octets > free:
        raise BackupError(archive, f"needs {octets} octets in {folder.parent}, {free} are free")


def _manifest(archive: Path, member: tarfile.TarInfo | None, tar: tarfile.TarFile) -> Manifest:
    """Read and check the manifest, which must come first."""
    if member is None or member.name != MANIFEST or not member.isreg():
        raise BackupError(archive, f"is no backup of the appliance: no {MANIFEST} comes first")
    if member.size > MAX_MANIFEST_OCTETS:
        raise BackupError(archive, f"is no backup: {MANIFEST} is larger than 16 MiB")
    try:
        content = json.loads(cast(IO[bytes], tar.extractfile(member)).read())
        found = _check_manifest(content)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BackupError(archive, f"is damaged: {MANIFEST}: {error}") from None
    if found.format > FORMAT or _order(found.version) > _order(__version__):
        problem = f"was made by version {found.version}, this is {__version__}: upgrade first"
        raise BackupError(archive, problem)
    return found


def _check_manifest(content: Any) -> Manifest:
    version, made, number = content["version"], content["made"], content["format"]
    if not isinstance(version, str) or not isinstance(made, str) or type(number) is not int:
        raise TypeError("version, made or format is something else than it should be")
    if not _VERSION.fullmatch(version):
        raise ValueError("its version is none")
    files = {}
    for name, (octets, digest) in content["files"].items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or name == MANIFEST:
            raise ValueError(f"{name[:200]!r} is no name for a file of a backup")
        if type(octets) is not int or octets < 0 or not isinstance(digest, str):
            raise TypeError(f"size or checksum of {name[:200]!r} is none")
        files[name] = (octets, digest)
    return Manifest(version, made, files, number)


def _extract_all(archive: Path, tar: tarfile.TarFile, folder: Path, manifest: Manifest) -> None:
    missing = dict(manifest.files)
    while (member := tar.next()) is not None:
        expected = missing.pop(member.name, None)
        if expected is None or not member.isreg():
            raise BackupError(archive, f"{member.name[:200]!r} does not belong into a backup")
        _extract(archive, tar, member, folder, expected)
    if missing:
        raise BackupError(archive, f"is damaged: {next(iter(missing))} is missing")


def _extract(
    archive: Path,
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: Path,
    expected: tuple[int, str],
) -> None:
    octets, digest = expected
    if member.size != octets:
        raise BackupError(archive, f"is damaged: {member.name} has {member.size} octets")
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = cast(IO[bytes], tar.extractfile(member))
    found = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := source.read(_CHUNK_OCTETS):
            found.update(chunk)
            file.write(chunk)
    if found.hexdigest() != digest:
        raise BackupError(archive, f"is damaged: the checksum of {member.name} is wrong")


@contextmanager
def _writer(path: Path) -> Iterator[tarfile.TarFile]:
    import pyarrow as pa

    with own_rights():
        # Never one that is there, or where a link leads to: the folder may be another user's.
        path.unlink(missing_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, _OWNER_ONLY), "wb")
    with (
        file,
        pa.output_stream(file, compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        yield tar


class _Bounded:
    """A stream that ends with an error when more comes out of it than there may be."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.left = stream, MAX_MANIFEST_OCTETS + 16 * MAX_ENTRY_OCTETS

    def read(self, octets: int) -> bytes:
        content = bytes(self.stream.read(octets))
        self.left -= len(content)
        if self.left < 0:
            raise tarfile.ReadError("more comes out of it than its manifest says")
        return content


@contextmanager
def _open(path: Path) -> Iterator[tuple[tarfile.TarFile, _Bounded]]:
    import pyarrow as pa

    with own_rights():
        file = path.open("rb")
    with file, pa.input_stream(file, compression="zstd") as stream:
        bounded: Any = _Bounded(stream)  # all of a file that is needed
        with tarfile.open(fileobj=bounded, mode="r|") as tar:
            yield tar, bounded


def _entry(name: str, octets: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = octets, _OWNER_ONLY
    return entry


def _facts(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, digest


def _order(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, which newer ones exceed."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".").lower()
