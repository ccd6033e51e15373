"""Which flow log this is, and that one process at a time writes it to ClickHouse."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.errors import StorageError

_ID_FILE = "log-id"


class WrittenByOther(StorageError):  # noqa: N818 - a state of the log, not of the program
    """Another process writes this flow log, as a collector that runs does."""


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
        WrittenByOther
            Another process has it.
        StorageError
            The files cannot be written.
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
            raise WrittenByOther(
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

    def read_id(self) -> str:
        """Return what tells this flow log from others, without the lock; empty: not known yet."""
        path = self.folder / _ID_FILE
        text = path.read_text(errors="replace").strip() if path.exists() else ""
        return text if re.fullmatch(r"[0-9a-f]{16}", text) else ""

    def _read_or_make_id(self) -> str:
        text = self.read_id()
        if text:
            return text
        made = secrets.token_hex(8)
        with atomic_write(self.folder / _ID_FILE, durable=True) as file:
            file.write(f"{made}\n".encode())
        return made
