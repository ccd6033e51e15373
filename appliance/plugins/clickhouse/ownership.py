"""Which flow log this is, and that one process at a time writes it to ClickHouse."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.errors import StorageError


class Ownership:
    """The files in the data directory that say so.

    A loader whose collector was killed may still be in the middle of a batch when the next one
    begins; the kernel lets go of the lock when it is gone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = -1
        self._log_id = ""

    @property
    def log_id(self) -> str:
        """What tells this flow log from others."""
        return self._log_id

    def hold(self) -> None:
        """Take the lock, unless this process has it.

        Raises
        ------
        StorageError
            Another process has it, or the files cannot be written.
        """
        if self._lock >= 0:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._log_id = self._read_or_make_id()
            except BaseException:
                os.close(lock)
                raise
        except BlockingIOError as error:
            raise StorageError(
                "another process still writes this flow log to ClickHouse"
            ) from error
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be written: {error.strerror}") from error
        self._lock = lock

    def release(self) -> None:
        """Let another process write."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read_or_make_id(self) -> str:
        path = self.folder / "log-id"
        text = path.read_text(errors="replace").strip() if path.exists() else ""
        if re.fullmatch(r"[0-9a-f]{16}", text):
            return text
        made = secrets.token_hex(8)
        with atomic_write(path, durable=True) as file:
            file.write(f"{made}\n".encode())
        return made
