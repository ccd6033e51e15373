"""Files that are replaced as a whole: who reads one finds its old content or its new one.

The new content is written beside the file, then renamed over it. A process that is killed in
between leaves a file whose name begins with a dot, and the old content where it was.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PUBLIC = 0o644
PRIVATE = 0o600


@contextmanager
def atomic_write(
    path: Path, mode: int = PUBLIC, *, keep: bool = False, durable: bool = False
) -> Iterator[BinaryIO]:
    """Open a file whose content takes the place of another one's when the block ends.

    An exception in the block leaves everything as it was.

    Parameters
    ----------
    mode
        Of the new file, less what the umask of the process takes.
    keep
        Whether the mode and, for root, the owner are those of the file that is there; where there
        is none, root gives it to the owner of the folder.
    durable
        Whether it survives a power cut as soon as the block has ended.

    Raises
    ------
    OSError
        It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _naming_errors(path):
        # Never one that is there, or where a link leads to: the folder may be another user's.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if keep:
                _take_after(descriptor, path)
            yield file
            file.flush()
            if durable:
                os.fsync(descriptor)
        with _naming_errors(path):
            beside.replace(path)
    except BaseException:
        # A file system that became read-only keeps it; the first error says more.
        with suppress(OSError):
            beside.unlink()
        raise
    if durable:
        sync_directory(path.parent)


@contextmanager
def _naming_errors(path: Path) -> Iterator[None]:
    """Let errors name the file that was to be written: names by chance defeat limits of logs."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_directory(folder: Path) -> None:
    """Make renames in a directory survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_after(descriptor: int, path: Path) -> None:
    is_there = path.is_file() and not path.is_symlink()
    found = (path if is_there else path.parent).stat()
    if os.geteuid() == 0:
        os.fchown(descriptor, found.st_uid, found.st_gid)
    if is_there:
        os.fchmod(descriptor, found.st_mode & 0o7777)
