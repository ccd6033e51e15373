"""A file with the collector's process number, locked while the process lives.

The lock is the truth and the number only its label: the kernel drops the lock whatever the process
dies of, so a stale file, or a stranger with the same number, is never taken for a collector. The
file is deleted when the collector was stopped; one that is there without a lock is what a crash
left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path

from appliance.errors import StorageError
from appliance.processes.supervision.supervisor import AlreadyRunning, CollectorProcess

_FLOCK = struct.Struct("hhqqi4x")
"""`struct flock` of Linux: type, whence, start, length, pid."""


class PidFile:
    """The pid file of one process at a time.

    The lock is a record lock (fcntl): it is not inherited by children, and the kernel names its
    holder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def hold(self, run: int | None = None) -> None:
        """Make this process the one that the file is about.

        Parameters
        ----------
        run
            The process of the `appliance run` under which this one is; None under none.

        Raises
        ------
        AlreadyRunning
            Another process is.
        StorageError
            The file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not self._lock():
                pass
            os.ftruncate(self._descriptor, 0)
            lines = [f"{os.getpid()}\n", *([f"{run}\n"] if run is not None else [])]
            os.pwrite(self._descriptor, "".join(lines).encode(), 0)
        except OSError as error:
            raise StorageError(f"pid file {self.path}: {error.strerror}") from error

    def release(self) -> None:
        """Say that this process ends as it should."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def abandon(self) -> None:
        """Let the file be, as a crash would."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def find_run(self) -> int | None:
        """Return the process of the `appliance run` that the holder named; None for none."""
        try:
            words = self.path.read_text().split()
        except OSError:
            return None
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None

    def status(self) -> CollectorProcess:
        """Tell who holds the file; asked by other processes than the holder.

        Raises
        ------
        StorageError
            The file is there and cannot be opened.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return CollectorProcess()
        except OSError as error:
            raise StorageError(f"pid file {self.path}: {error.strerror}") from error
        try:
            pid = lock_holder(descriptor)
        finally:
            os.close(descriptor)
        return CollectorProcess(pid, crashed=not pid)

    def forget_crash(self) -> None:
        """Delete what a crashed process left."""
        if self.status().crashed:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def mark_crash(self) -> None:
        """Leave the file as a crash would."""
        with contextlib.suppress(OSError):
            self.path.touch()

    def _lock(self) -> bool:
        """Lock the file; return False when it was deleted in between."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(self.path, descriptor):
                os.close(descriptor)
                return False
        except OSError as error:
            pid = lock_holder(descriptor)
            os.close(descriptor)
            if isinstance(error, BlockingIOError | PermissionError) and pid:
                raise AlreadyRunning(pid) from None
            raise
        self._descriptor = descriptor
        return True


def lock_holder(descriptor: int) -> int:
    """Return the process that keeps others from locking a file; 0 when none does."""
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted))
    return 0 if kind == fcntl.F_UNLCK else max(int(pid), 0)


def _is_at(path: Path, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False
