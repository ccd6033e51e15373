"""The lock that says whether an API of this data directory runs.

Every API holds it shared, as several may run beside one collector; who must have none running holds
it alone. The kernel drops it with the process, so a crash leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from appliance.errors import ApplianceError, StorageError
from appliance.processes.supervision.pid_file import lock_holder
from appliance.settings.file import Settings

LOCK_FILE = "api.lock"


class LockHeld(ApplianceError):  # noqa: N818 - it says what is the case
    """Another process holds the lock.

    Attributes
    ----------
    pid
        One of those that do.
    """

    exit_code = 2

    def __init__(self, program: str, pid: int) -> None:
        self.pid = pid
        super().__init__(f"{program} runs, process {pid}")


@contextmanager
def shared_api_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock as an API does.

    Raises
    ------
    LockHeld
        A backup is being put back.
    StorageError
        The file cannot be written.
    """
    with _lock(settings, fcntl.LOCK_SH, "appliance restore"):
        yield


@contextmanager
def exclusive_api_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock alone: no API runs, and none starts meanwhile.

    Raises
    ------
    LockHeld
        An API runs.
    StorageError
        The file cannot be written.
    """
    with _lock(settings, fcntl.LOCK_EX, "an API"):
        yield


@contextmanager
def _lock(settings: Settings, mode: int, other_program: str) -> Iterator[None]:
    path = settings["data_directory"] / LOCK_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.geteuid() == 0:
            # Root may restore before the API's own user has ever opened the file.
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise StorageError(f"lock file {path}: {error.strerror}") from error
    try:
        try:
            # A record lock: children do not inherit it, and the kernel names who holds it.
            fcntl.lockf(descriptor, mode | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise LockHeld(other_program, lock_holder(descriptor)) from None
        yield
    finally:
        os.close(descriptor)
